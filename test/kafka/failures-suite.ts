import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { Log } from '@angarium/log';
import type { Brokers } from './brokers.ts';
import { createTrial, type Trial, until } from './fixtures.ts';
import { countRecords, type Load, readTopic, startLoad } from './witness.ts';

const LANES = 12;
const LOAD = { callers: 24, lanes: LANES, octets: 512 };
/** Silence that one broker's death may cause: its session of 3 s, and what it takes to learn of the new leaders. */
const SILENCE_MAX_MS = 10_000;
const partitions = { 'mail.in': 6, 'mail.lane': LANES };

/** Reads all lanes on and on; gives the texts by "partition/offset". */
function followLanes(log: Log) {
  const stop = new AbortController();
  const seen = new Map<string, string>();
  const follow = async (lane: number) => {
    for await (const records of log.follow('mail.lane', lane, 0, stop.signal))
      for (const { offset, value } of records) seen.set(`${lane}/${offset}`, Buffer.from(value).toString().trim());
  };
  const following = Array.from({ length: LANES }, (_, lane) => follow(lane));
  return {
    seen,
    stop: async () => {
      stop.abort();
      await Promise.all(following);
    },
  };
}

/** What becomes of records when brokers go, one by one or together. */
export function failuresSuite(brokers: () => Brokers): void {
  /** Load and followers while something happens to the brokers, then the count. */
  const survive = async (t: { diagnostic(message: string): void }, happen: (trial: Trial, load: Load) => Promise<void>) => {
    const trial = await createTrial(brokers().addresses, { partitions });
    const log = await trial.open();
    const followed = followLanes(log);
    const load = startLoad(log, LOAD);
    await until('the load runs', () => load.acknowledged.size > 200);
    load.longestSilenceMs();
    await happen(trial, load);
    const silenceMs = load.longestSilenceMs();
    const before = load.acknowledged.size;
    await until('the load goes on', () => load.acknowledged.size > before + 200);
    await load.stop();
    const count = await countRecords(log, load);
    t.diagnostic(`${JSON.stringify(count)}, longest silence ${Math.round(silenceMs)} ms`);
    const lanes = await readTopic(log, 'mail.lane');
    await until('the followers have read everything', () => followed.seen.size === lanes.size);
    assert.deepEqual(followed.seen, lanes);
    await followed.stop();
    await log.close();
    return { count, silenceMs };
  };

  test('a clean rolling restart loses no acknowledged record and refuses none', { timeout: 120_000 }, async (t) => {
    const { count } = await survive(t, async () => {
      for (const id of brokers().ids) {
        await brokers().stop(id);
        await brokers().boot(id);
      }
    });
    assert.equal(count.refused, 0);
  });

  test('a broker that is killed stalls appends for its session and loses nothing', { timeout: 120_000 }, async (t) => {
    const { count, silenceMs } = await survive(t, async (_trial, load) => {
      await brokers().kill(1);
      const before = load.acknowledged.size;
      await until('appends go on without the broker', () => load.acknowledged.size > before + 500);
      await brokers().boot(1);
    });
    assert.equal(count.refused, 0);
    assert.ok(silenceMs < SILENCE_MAX_MS, `${silenceMs} ms without an acknowledgement`);
  });

  test('a stopped broker holds nobody for as long as it stands', { timeout: 120_000 }, async (t) => {
    const { count, silenceMs } = await survive(t, async (_trial, load) => {
      brokers().pause(2);
      try {
        const before = load.acknowledged.size;
        await until('appends go on beside the stopped broker', () => load.acknowledged.size > before + 500);
        await pause(SILENCE_MAX_MS);
      } finally {
        brokers().resume(2);
      }
    });
    assert.equal(count.refused, 0);
    assert.ok(silenceMs < SILENCE_MAX_MS, `${silenceMs} ms without an acknowledgement`);
  });

  test('with two of three brokers down appends fail in time and say whether they are in doubt', { timeout: 120_000 }, async (t) => {
    const trial = await createTrial(brokers().addresses, { partitions });
    const log = await trial.open({ appendTimeoutMs: 3000 });
    const load = startLoad(log, LOAD);
    await until('the load runs', () => load.acknowledged.size > 200);
    await Promise.all([brokers().kill(1), brokers().kill(2)]);
    await until('appends are refused', () => load.refused.size > LOAD.callers * 2, 30_000);
    await Promise.all([brokers().boot(1, 1), brokers().boot(2, 1)]);
    const before = load.acknowledged.size;
    await until('appends go on', () => load.acknowledged.size > before + 200, 30_000);
    await load.stop();
    await log.close();
    const reader = await trial.open();
    const count = await countRecords(reader, load);
    t.diagnostic(JSON.stringify(count));
    assert.ok([...load.refused.values()].every(({ reason }) => reason === 'failed'));
    await reader.close();
  });
}
