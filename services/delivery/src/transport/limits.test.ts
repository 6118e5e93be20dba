import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Allowance, Held, Slot } from '../quota/allowance.ts';
import { outcomes, startBench } from './fixtures/bench.ts';

const OFFERS = ['PIPELINING'];

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

/** Allows what it is told to, and notes what is done with it. */
function createNotes(o: { connections?: number; messages?: number } = {}) {
  let { connections = Number.POSITIVE_INFINITY, messages = Number.POSITIVE_INFINITY } = o;
  const slots: (Slot & { isCut: boolean; connection: Held | undefined; isFree: boolean })[] = [];
  const notes = { slots, sent: 0, counted: 0, onMessage: () => {} };
  const allowance: Allowance = {
    async connection() {
      if (connections-- <= 0) return undefined;
      const slot = {
        ...{ isUnused: false, isDotted: false, isCut: false, isFree: false },
        connection: undefined as Held | undefined,
        carries: (connection: Held) => void Object.assign(slot, { connection }),
        free: () => void Object.assign(slot, { isFree: true }),
      };
      slots.push(slot);
      return slot;
    },
    async message() {
      notes.onMessage();
      if (messages-- <= 0) return undefined;
      notes.sent++;
      return { counted: () => void notes.counted++ };
    },
  };
  return { allowance, notes };
}

test('a kept connection keeps its room, says that it is unused, and leaves with QUIT when it is asked to', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: OFFERS }]);
  const { allowance, notes } = createNotes();
  for (let message = 0; message < 3; message++) assert.deepEqual(outcomes(await send({ allowance })), ['delivered 250 2.0.0']);
  assert.equal(notes.slots.length, 1);
  const [slot] = notes.slots;
  assert.deepEqual([slot?.isUnused, slot?.isDotted, slot?.isFree], [true, false, false]);
  assert.equal(notes.sent, 3);
  slot?.connection?.leave();
  await until(() => slot?.isFree === true);
  assert.equal(hosts[0]?.lines.at(-1), '1 QUIT');
  await send({ allowance });
  assert.equal(notes.slots.length, 2);
});

test('without room nothing is sent, no attempt is spent, and the site is not blamed', async (t) => {
  const { hosts, send } = await startBench(t, [{}]);
  const result = await send({ allowance: createNotes({ connections: 0 }).allowance });
  assert.deepEqual([result.recipients[0]?.result, result.spent, result.site, result.noRoom], ['deferred', false, 'reached', true]);
  assert.equal(hosts[0]?.connections(), 0);
});

test('without leave to send the connection is kept for later, and MAIL was not said', async (t) => {
  const { hosts, send } = await startBench(t, [{}]);
  const { allowance, notes } = createNotes({ messages: 0 });
  const result = await send({ allowance });
  assert.deepEqual([result.recipients[0]?.result, result.spent, result.site, result.noRoom], ['deferred', false, 'reached', true]);
  assert.ok(!hosts[0]?.lines.some((line) => line.includes('MAIL')));
  assert.equal(notes.slots[0]?.isUnused, true);
});

test('a connection that is cut off while it waits costs no attempt; its room is free only after its host has seen that', async (t) => {
  const { send } = await startBench(t, [{}]);
  const { allowance, notes } = createNotes();
  notes.onMessage = () => {
    const [slot] = notes.slots;
    Object.assign(slot ?? {}, { isCut: true });
    slot?.connection?.drop();
  };
  const began = performance.now();
  const result = await send({ allowance });
  assert.deepEqual([result.recipients[0]?.result, result.spent, result.site, result.noRoom], ['deferred', false, 'reached', true]);
  await until(() => notes.slots[0]?.isFree === true);
  assert.ok(performance.now() - began >= 990);
});

test('a message is counted when MAIL is answered, though the transaction goes on, and once when the connection is lost before', async (t) => {
  const counts: number[] = [];
  const { allowance, notes } = createNotes();
  const { send } = await startBench(t, [
    {
      answers: {
        MAIL: (_, count) => (count === 0 ? '250 ok' : { and: 'drop' }),
        DATA: () => {
          counts.push(notes.counted);
          return '354 go';
        },
      },
    },
  ]);
  await send({ allowance });
  await send({ allowance });
  assert.deepEqual(counts.slice(0, 1), [1]);
  assert.ok(notes.counted >= notes.sent);
});

test('where connections are limited the addresses of a host are tried one at a time, in one room', async (t) => {
  const { send } = await startBench(t, [{}], { deadHosts: 2 });
  const { allowance, notes } = createNotes();
  assert.deepEqual(outcomes(await send({ allowance })), ['delivered 250 2.0.0']);
  assert.equal(notes.slots.length, 3);
  await until(() => notes.slots.slice(0, 2).every(({ isFree }) => isFree));
  assert.equal(notes.slots[2]?.isFree, false);
});
