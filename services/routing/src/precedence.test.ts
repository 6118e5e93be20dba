import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createPrecedence as create } from './precedence.ts';

let timers: (() => void)[] = [];
const clock = {
  nowMs: () => 0,
  after: (_delayMs: number, run: () => void) => {
    timers.push(run);
    return () => {
      timers = timers.filter((timer) => timer !== run);
    };
  },
};
const createPrecedence = (bulkAfterBatches: number) => create({ clock, bulkAfterBatches, bulkMaxWaitMs: 1000 });

/** Work that ends when told to. */
function held() {
  let end = () => {};
  const work = new Promise<void>((resolve) => {
    end = resolve;
  });
  return { work: () => work, end };
}

test('bulk mail is routed at once when there is no new mail', async () => {
  const { bulk } = createPrecedence(9);
  assert.equal(await bulk(async () => 'done'), 'done');
});

test('bulk mail waits while new mail is routed', async () => {
  const { newMail, bulk } = createPrecedence(9);
  const first = held();
  const routing = newMail(first.work);
  let bulkDone = false;
  const bulkMail = bulk(async () => {
    bulkDone = true;
  });
  await setImmediate();
  assert.equal(bulkDone, false);
  first.end();
  await Promise.all([routing, bulkMail]);
  assert.ok(bulkDone);
});

test('bulk mail has a turn after so many batches, though new mail never ends', async () => {
  const { newMail, bulk } = createPrecedence(9);
  const endless = held();
  const routing = newMail(endless.work);
  let turns = 0;
  let batches = 0;
  const bulkMail = async () => {
    for (;;) {
      await bulk(async () => {
        turns++;
      });
      if (batches >= 90) return;
    }
  };
  const running = bulkMail();
  for (; batches < 90; batches++) {
    await newMail(async () => {});
    await setImmediate();
  }
  assert.equal(turns, 10);
  endless.end();
  await Promise.all([routing, running]);
});

test('several partitions of bulk mail all have their turn when new mail ends', async () => {
  const { newMail, bulk } = createPrecedence(9);
  const first = held();
  const routing = newMail(first.work);
  const turns = [1, 2, 3].map((turn) => bulk(async () => turn));
  first.end();
  await routing;
  assert.deepEqual(await Promise.all(turns), [1, 2, 3]);
});

test('work that fails frees the way', async () => {
  const { newMail, bulk } = createPrecedence(9);
  await assert.rejects(
    newMail(() => Promise.reject(new Error('no'))),
    /no/,
  );
  await assert.rejects(
    bulk(() => Promise.reject(new Error('no'))),
    /no/,
  );
  assert.equal(await bulk(async () => 'done'), 'done');
});

test('bulk mail has its turn after its longest wait, though new mail stands still; no timer is left', async () => {
  const { newMail, bulk } = createPrecedence(9);
  const stuck = held();
  const routing = newMail(stuck.work);
  const bulkMail = bulk(async () => 'done');
  assert.equal(timers.length, 1);
  timers[0]?.();
  assert.equal(await bulkMail, 'done');
  stuck.end();
  await routing;
  assert.equal(timers.length, 0);
});
