// A simulation that finds nothing proves little. Each of these bugs is of a kind that loses or doubles mail; each must be found.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppendFailed, type Log } from '@angarium/log';
import { decodeRecord, encodeRecord, type Kind } from '@angarium/records';
import { simulate } from './simulate.ts';
import type { Plant } from './world.ts';

const SEEDS = 60;

/** The first fault that any of the seeds shows. */
async function firstFault(plant: Plant, onStart = () => {}): Promise<string> {
  for (let seed = 1; seed <= SEEDS; seed++) {
    onStart();
    const { faults } = await simulate(seed, plant);
    if (faults[0] !== undefined) return faults.join('\n');
  }
  return '';
}

function rewrite(log: Log, change: (kind: Kind) => Kind | undefined): Log {
  const each = (values: readonly Uint8Array[]) =>
    values.flatMap((value) => {
      const decoded = decodeRecord(value);
      const kind = decoded.is === 'known' ? change(decoded.kind) : undefined;
      return kind === undefined ? [] : [encodeRecord(kind)];
    });
  return {
    ...log,
    append: (topic, partition, values) => log.append(topic, partition, topic === 'mail.lane' ? each(values) : values),
  };
}

/** One part appends otherwise than the log wants it. */
const plantAppend =
  (who: Parameters<Plant>[1], append: (log: Log) => Log['append']): Plant =>
  (log, asker) =>
    asker === who ? { ...log, append: append(log) } : log;

/** Takes what has failed for durable. */
const forgiving =
  (isForgiven: (topic: string, error: AppendFailed) => boolean) =>
  (log: Log): Log['append'] =>
  async (topic, partition, values) => {
    try {
      return await log.append(topic, partition, values);
    } catch (error) {
      if (error instanceof AppendFailed && isForgiven(topic, error)) return 0;
      throw error;
    }
  };
const hasFailed = (_topic: string, { reason }: AppendFailed) => reason === 'failed';

test('found: routing takes a lane for durable that is not', async () => {
  assert.match(await firstFault(plantAppend('routing', forgiving(hasFailed))), /was lost|accounting/);
});

test('found: a lane is trimmed above its watermark', async () => {
  const plant: Plant = (log, asker) => {
    if (asker !== 'delivery') return log;
    const trim: Log['trim'] = async (topic, partition, below) => {
      const { high } = await log.marks(topic, partition);
      return log.trim(topic, partition, topic === 'mail.lane' ? high : below);
    };
    return { ...log, trim };
  };
  assert.notEqual(await firstFault(plant), '');
});

test('found: outcomes of deliveries are not written', async () => {
  const plant: Plant = (log) =>
    rewrite(log, (kind) => {
      if (kind.$case !== 'outcome') return kind;
      return { ...kind, value: { ...kind.value, recipients: kind.value.recipients.filter(({ result }) => result !== 1) } };
    });
  assert.match(await firstFault(plant), /still queued|taken/);
});

test('found: a notification is taken for handed over before it is', async () => {
  const plant = plantAppend(
    'delivery',
    forgiving((topic) => topic === 'mail.in.bulk'),
  );
  assert.match(await firstFault(plant), /not told/);
});

test('found: what routing writes again counts as new mail', async () => {
  const plant: Plant = (log, asker) => {
    if (asker !== 'routing') return log;
    return rewrite(log, (kind) => {
      if (kind.$case !== 'enqueued' || kind.value.envelope === undefined) return kind;
      const { envelope, recipients } = kind.value;
      const isFirst = recipients.every(({ address }) => !written.has(`${envelope.queueId} ${address}`));
      for (const { address } of recipients) written.add(`${envelope.queueId} ${address}`);
      const queueId = isFirst ? envelope.queueId : `${envelope.queueId.slice(0, 20)}${String(written.size).padStart(6, '0')}`;
      return { ...kind, value: { ...kind.value, envelope: { ...envelope, queueId } } };
    });
  };
  const written = new Set<string>();
  assert.match(await firstFault(plant, () => written.clear()), /unknown/);
});

test('found: ingress answers with 250 what the log has refused', async () => {
  assert.match(await firstFault(plantAppend('ingress', forgiving(hasFailed))), /was lost/);
});

test('found: ingress answers before the log does', async () => {
  const hasty = (log: Log): Log['append'] => {
    return async (...what) => {
      log.append(...what).catch(() => {});
      return 0;
    };
  };
  assert.match(await firstFault(plantAppend('ingress', hasty)), /was lost/);
});

test('found: ingress writes what it has refused', async () => {
  const stubborn = (log: Log): Log['append'] => {
    return (...what) =>
      log.append(...what).catch((error: unknown) => {
        log.append(...what).catch(() => {});
        throw error;
      });
  };
  assert.match(await firstFault(plantAppend('ingress', stubborn)), /was refused and delivered/);
});

test('found: an accepted recipient is not in the record', async () => {
  const shorten = (value: Uint8Array): Uint8Array => {
    const decoded = decodeRecord(value);
    if (decoded.is !== 'known' || decoded.kind.$case !== 'accepted') return value;
    const accepted = decoded.kind.value;
    return encodeRecord({ $case: 'accepted', value: { ...accepted, recipients: accepted.recipients.slice(0, 1) } });
  };
  const forgetful =
    (log: Log): Log['append'] =>
    (topic, partition, values) =>
      log.append(topic, partition, values.map(shorten));
  assert.match(await firstFault(plantAppend('ingress', forgetful)), /was lost/);
});
