import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { actions, History } from './fixtures/history.ts';
import { liveState } from './fixtures/journal.ts';

const frequent = ['route', 'route', 'route', 'deliver', 'bounce', 'defer', 'move', 'move', 'late', 'late', 'wait', 'trim'] as const;
const turn = fc.record({ action: fc.constantFrom(...actions, ...frequent), who: fc.nat(1000), how: fc.nat(1000) });
const turns = fc.array(turn, { maxLength: 100, size: 'max' });

/** Set to more for a longer search. */
const RUNS = Number(process.env.RUNS ?? 1000);
const LAST = { action: 'trim', who: 0, how: 0 } as const;

const waitingOf = (history: History) =>
  [...history.fold.messages.values()]
    .flatMap(({ queueId, recipients }) =>
      [...recipients.values()].filter(({ state }) => state === 'waiting').map(({ address }) => `${queueId} ${address}`),
    )
    .sort();

test('whatever happens, who was enqueued and has no final fact is waiting, and nobody else', () => {
  fc.assert(
    fc.property(turns, (given) => {
      const history = new History();
      for (const one of given) {
        history.play(one);
        assert.deepEqual(waitingOf(history), history.waiting);
      }
      assert.equal(history.fold.waitingRecipients, history.waiting.length);
    }),
    { numRuns: RUNS },
  );
});

test('a reader that started at a low mark has the same live state as one from the beginning', () => {
  fc.assert(
    fc.property(turns, (given) => {
      const history = new History();
      for (const one of [...given, LAST]) {
        history.play(one);
        if (one.action !== 'trim') continue;
        for (const { start, fold } of history.readers) {
          assert.deepEqual(liveState(fold), liveState(history.fold), `start ${start} of ${history.records.length}`);
          assert.equal(fold.waitingRecipients, history.fold.waitingRecipients);
          assert.equal(fold.liveRecipients, history.fold.liveRecipients);
        }
      }
    }),
    { numRuns: RUNS },
  );
});
