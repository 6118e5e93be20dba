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

test('found: routing takes a lane for durable that is not', async () => {
  const plant: Plant = (log, asker) => {
    if (asker !== 'routing') return log;
    const append: Log['append'] = async (topic, partition, values) => {
      try {
        return await log.append(topic, partition, values);
      } catch (error) {
        if (error instanceof AppendFailed && error.reason === 'failed') return 0;
        throw error;
      }
    };
    return { ...log, append };
  };
  assert.match(await firstFault(plant), /was lost|accounting/);
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
  const plant: Plant = (log, asker) => {
    if (asker !== 'delivery') return log;
    const append: Log['append'] = async (topic, partition, values) => {
      try {
        return await log.append(topic, partition, values);
      } catch (error) {
        if (topic === 'mail.in.bulk' && error instanceof AppendFailed) return 0;
        throw error;
      }
    };
    return { ...log, append };
  };
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
  const plant: Plant = (log, asker) => {
    if (asker !== 'ingress') return log;
    const append: Log['append'] = async (topic, partition, values) => {
      try {
        return await log.append(topic, partition, values);
      } catch (error) {
        if (error instanceof AppendFailed && error.reason === 'failed') return 0;
        throw error;
      }
    };
    return { ...log, append };
  };
  assert.match(await firstFault(plant), /was lost/);
});

test('found: ingress answers before the log does', async () => {
  const plant: Plant = (log, asker) => {
    if (asker !== 'ingress') return log;
    const append: Log['append'] = async (topic, partition, values) => {
      log.append(topic, partition, values).catch(() => {});
      return 0;
    };
    return { ...log, append };
  };
  assert.match(await firstFault(plant), /was lost/);
});

test('found: ingress writes what it has refused', async () => {
  const plant: Plant = (log, asker) => {
    if (asker !== 'ingress') return log;
    const append: Log['append'] = async (topic, partition, values) => {
      try {
        return await log.append(topic, partition, values);
      } catch (error) {
        log.append(topic, partition, values).catch(() => {});
        throw error;
      }
    };
    return { ...log, append };
  };
  assert.match(await firstFault(plant), /was refused and delivered/);
});

test('found: an accepted recipient is not in the record', async () => {
  const plant: Plant = (log, asker) => {
    if (asker !== 'ingress') return log;
    const shorten = (value: Uint8Array): Uint8Array => {
      const decoded = decodeRecord(value);
      if (decoded.is !== 'known' || decoded.kind.$case !== 'accepted') return value;
      const { recipients } = decoded.kind.value;
      return encodeRecord({
        $case: 'accepted',
        value: { ...decoded.kind.value, recipients: recipients.slice(0, Math.max(1, recipients.length - 1)) },
      });
    };
    return { ...log, append: (topic, partition, values) => log.append(topic, partition, values.map(shorten)) };
  };
  assert.match(await firstFault(plant), /was lost/);
});
