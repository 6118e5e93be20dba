import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nextAttempt } from './index.ts';

const POLICY = { retryMs: [5, 10, 20].map((minutes) => minutes * 60_000), jitter: 0.1 };

test('pauses follow the schedule and its last one repeats', () => {
  const at = (attempts: number) => nextAttempt(POLICY, { attempts, nowMs: 1000, random: () => 0.5 }) - 1000;
  assert.deepEqual([1, 2, 3, 4, 99].map(at), [300_000, 600_000, 1_200_000, 1_200_000, 1_200_000]);
});

test('a pause is moved by at most the jitter, and no attempt comes after the end of the lifetime', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      fc.nat(3_000_000),
      (attempts, chance, lifeMs) => {
        const o = { attempts, nowMs: 0, random: () => chance };
        const pause = POLICY.retryMs[Math.min(attempts, 3) - 1] ?? 0;
        const free = nextAttempt(POLICY, o);
        assert.ok(free >= pause * 0.9 - 1 && free <= pause * 1.1 + 1);
        const bounded = nextAttempt(POLICY, { ...o, expiresAtMs: lifeMs });
        assert.equal(bounded, lifeMs > 0 ? Math.min(free, lifeMs) : free);
      },
    ),
  );
});
