import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientOf } from './client.ts';
import { createGuesses } from './guesses.ts';

test('a client is limited after so many wrong passwords, until its window ends; others are not', () => {
  const guesses = createGuesses({ limit: 2, windowMs: 1000 });
  guesses.wrong('a', 0);
  assert.equal(guesses.isLimited('a', 10), false);
  guesses.wrong('a', 20);
  assert.equal(guesses.isLimited('a', 999), true);
  assert.equal(guesses.isLimited('b', 999), false);
  assert.equal(guesses.isLimited('a', 1000), false);
});

test('ten thousand clients are remembered and no more', () => {
  const guesses = createGuesses({ limit: 1, windowMs: 1000 });
  for (let client = 0; client <= 10_000; client++) guesses.wrong(String(client), 0);
  assert.equal(guesses.isLimited('0', 1), false);
  assert.equal(guesses.isLimited('1', 1), true);
  assert.equal(guesses.isLimited('10000', 1), true);
});

test('a client is an IPv4 address or a /64', () => {
  assert.equal(clientOf('192.0.2.1'), '192.0.2.1');
  assert.equal(clientOf('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(clientOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64');
  assert.equal(clientOf('2001:db8:1:2::9'), '2001:db8:1:2::/64');
  assert.equal(clientOf('2001:db8::9'), '2001:db8:0:0::/64');
  assert.equal(clientOf('fe80::1%eth0'), 'fe80:0:0:0::/64');
  assert.equal(clientOf('::1'), '0:0:0:0::/64');
});
