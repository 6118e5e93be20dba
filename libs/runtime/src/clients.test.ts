import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientKey, createGuesses, plainAddress } from './clients.ts';

test('a client is limited after so many wrong passwords, until its window ends; others are not', () => {
  let nowMs = 0;
  const guesses = createGuesses({ authFailuresPerClient: 2, authFailureWindowMs: 1000, nowMs: () => nowMs });
  assert.deepEqual([guesses.begin('a'), guesses.begin('a'), guesses.begin('a'), guesses.begin('b')], [true, true, false, true]);
  guesses.right('a');
  nowMs = 999;
  assert.deepEqual([guesses.begin('a'), guesses.begin('a')], [true, false]);
  nowMs = 1000;
  assert.equal(guesses.begin('a'), true);
});

test('ten thousand clients are remembered and no more', () => {
  const guesses = createGuesses({ authFailuresPerClient: 1, authFailureWindowMs: 1000, nowMs: () => 0 });
  for (let client = 0; client <= 10_000; client++) guesses.begin(String(client));
  assert.deepEqual([guesses.begin('10000'), guesses.begin('0')], [false, true]);
});

test('a client is an IPv4 address or a /64', () => {
  assert.equal(plainAddress('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(plainAddress('FE80::1%eth0'), 'fe80::1');
  assert.equal(clientKey('192.0.2.1'), '192.0.2.1');
  for (const address of ['2001:db8::9', '2001:DB8:0:0:1::', '2001:0db8:0000:0000:1:2:3:4', '2001:db8::1.2.3.4']) {
    assert.equal(clientKey(address), '2001:db8:0:0::/64', address);
  }
  assert.equal(clientKey('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64');
  assert.equal(clientKey('1:2:3:4:5:6:7:8'), '1:2:3:4::/64');
  assert.equal(clientKey('::1'), '0:0:0:0::/64');
});
