import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeRecord } from '@angarium/records';
import { configSchema } from '@angarium/runtime';
import { accept, accepted, clock, committed, createBench, deadIn, until } from './fixtures/bench.ts';
import type { RoutingDeps } from './index.ts';

const HOUR_MS = 3_600_000;
const config = configSchema.parse({ routing: { historyMs: HOUR_MS, floorLagMs: 60_000, historyMaxOctets: 1000 } });

/** Bench whose clock reads what the log's does; trims come with every turn of the event loop. */
function createHistoryBench(more: { keepFrom?: () => number } = {}) {
  const bench = createBench();
  const { log } = bench;
  const low = async () => (await log.marks('mail.in', 0)).low;
  return {
    ...bench,
    low,
    start: (deps: Partial<RoutingDeps> = {}) => bench.start({ config, clock: { ...clock, nowMs: () => log.nowMs }, ...more, ...deps }),
    /** Routes one message at each of these times. */
    route: async (...timesMs: number[]) => {
      for (const nowMs of timesMs) {
        log.nowMs = nowMs;
        await accept(log, accepted(`Q${nowMs}`, ['a@one.example']));
        await committed(log, log.records('mail.in', 0).length);
      }
    },
    /** Resolves after trims had their chance. */
    settled: async () => {
      for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
    },
  };
}

test('what is routed is kept for its history, then given up', async () => {
  const { start, stop, route, low, settled, log } = createHistoryBench();
  await start();
  await route(0, 1000, 2000);
  await settled();
  assert.equal(await low(), 0);
  log.nowMs = HOUR_MS + 1000;
  await until(async () => (await low()) === 2, 'two records given up');
  await settled();
  assert.equal(await low(), 2);
  await stop();
});

test('what is not routed is never given up, however old', async () => {
  const { start, stop, route, low, settled, log } = createHistoryBench();
  await start();
  await route(0);
  log.fault = (topic) => (topic === 'mail.lane' ? 'lost' : undefined);
  await accept(log, accepted('Q1', ['a@one.example']));
  log.nowMs = 10 * HOUR_MS;
  await settled();
  assert.ok((await low()) <= 1);
  await stop();
});

test('what an earlier run routed is given up without new mail', async () => {
  const { start, stop, route, low, log } = createHistoryBench();
  await start();
  await route(0, 1);
  await stop();
  log.nowMs = 2 * HOUR_MS;
  await start();
  await until(async () => (await low()) === 2, 'given up after a restart');
  await stop();
});

test('a record that mail.dead names, and what follows it, is kept', async () => {
  const { start, stop, route, low, settled, log } = createHistoryBench();
  await start();
  await route(0);
  await log.append('mail.in', 0, [encodeRecord({ $case: 'notified', value: { queueId: 'Q', notifyId: 'N' } })]);
  await route(1, 2);
  assert.equal(deadIn(log).length, 1);
  log.nowMs = 5 * HOUR_MS;
  await until(async () => (await low()) === 1, 'given up to the dead record');
  await settled();
  assert.equal(await low(), 1);
  await stop();
});

test('what a projection still needs is kept', async () => {
  const { start, stop, route, low, settled, log } = createHistoryBench({ keepFrom: () => 1 });
  await start();
  await route(0, 1, 2);
  log.nowMs = 5 * HOUR_MS;
  await until(async () => (await low()) === 1, 'given up to what is needed');
  await settled();
  assert.equal(await low(), 1);
  await stop();
});

test('less is kept when the shared file grows too large', async () => {
  const { start, stop, route, low, log } = createHistoryBench();
  await start();
  await route(0, 1, 100_000);
  log.held = 1001;
  log.nowMs = 100_001;
  await until(async () => (await low()) === 2, 'given up down to the lag');
  await stop();
});

test('less is kept when the disk is nearly full', async () => {
  const { start, stop, route, low, log } = createHistoryBench();
  let freeShare = 0.5;
  await start({ log: { ...log, freeShare: () => freeShare } });
  await route(0, 1, 100_000);
  log.nowMs = 100_001;
  freeShare = 0.19;
  await until(async () => (await low()) === 2, 'given up down to the lag');
  await stop();
});
