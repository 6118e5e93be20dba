import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { scanHeader } from './header.ts';
import {
  formatDate,
  formatDateTime,
  formatDeliveredTo,
  formatMessageId,
  formatReceived,
  formatReturnPath,
  type Received,
} from './trace.ts';

const received: Received = {
  from: { helo: 'client.example.org', address: '192.0.2.1', name: 'host.example.org' },
  by: 'mx.example.net',
  protocol: 'ESMTPS',
  queueId: '01JABCDEFGHJKMNPQRSTVWXYZ0',
  tls: { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' },
  forAddress: 'bob@example.net',
  nowMs: Date.UTC(2025, 10, 25, 2, 24, 3),
};
const from = (changes: Partial<Received['from']>): string => formatReceived({ ...received, from: { ...received.from, ...changes } });

test('a Received field names client, host, protocol, queue id, recipient and time', () => {
  assert.equal(
    formatReceived(received),
    'Received: from client.example.org (host.example.org [192.0.2.1])\r\n\tby mx.example.net with ESMTPS\r\n' +
      '\t(TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n\tid 01JABCDEFGHJKMNPQRSTVWXYZ0\r\n\tfor <bob@example.net>;\r\n\tTue, 25 Nov 2025 02:24:03 +0000\r\n',
  );
});

test('what is unknown is left out', () => {
  assert.equal(
    formatReceived({ from: { helo: 'x', address: '::1' }, by: 'a.b', protocol: 'SMTP', queueId: 'Q', nowMs: 0 }),
    'Received: from x ([IPv6:::1])\r\n\tby a.b with SMTP\r\n\tid Q;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n',
  );
});

test('a mapped IPv4 address is written as IPv4', () => assert.match(from({ address: '::ffff:192.0.2.7' }), /\[192\.0\.2\.7\]/));

test('an address literal is a greeting, anything else goes made safe into a comment', () => {
  assert.match(from({ helo: '[IPv6:2001:db8::1]' }), /^Received: from \[IPv6:2001:db8::1\] \(host/);
  assert.match(
    from({ helo: 'a b)\r\nX: y' }),
    /^Received: from \[192\.0\.2\.1\] \(host\.example\.org \[192\.0\.2\.1\]\) \(helo=a\?b\?\?\?X:\?y\)\r\n\tby/,
  );
  assert.match(from({ helo: '' }), /^Received: from \[192\.0\.2\.1\] \(host.*\) \(helo=\)\r\n/);
  assert.match(from({ helo: 'x'.repeat(100_000) }), /\(helo=x{255}\)/);
});

test('a UTF-8 recipient is not named, so that the header stays ASCII', () => {
  assert.doesNotMatch(formatReceived({ ...received, forAddress: 'jörg@example.net' }), /for/);
});

test('whatever the client says, it is one ASCII field with lines of at most 998 octets', () => {
  const hostile = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary', maxLength: 2000 }),
    fc.constantFrom('(', ')', '\\', '"', '\r\n', '\r\nX: y'),
  );
  fc.assert(
    fc.property(hostile, hostile, hostile, hostile, (helo, address, name, other) => {
      const field = formatReceived({ ...received, from: { helo, address, name }, protocol: other, queueId: other, forAddress: other });
      assert.match(field, /^[\t\r\n\x20-\x7e]*$/);
      for (const line of field.split('\r\n')) assert.ok(line.length <= 998 && !/[\r\n]/.test(line));
      const scan = scanHeader(Buffer.from(`${field}\r\n`));
      assert.deepEqual([scan.all.length, scan.receivedCount, scan.defects], [1, 1, 0]);
      const comments = field.slice(0, field.indexOf('\tid'));
      assert.equal(comments.split('(').length, comments.split(')').length);
    }),
  );
});

test('dates are those of RFC 5322, to the second, in UTC', () => {
  assert.equal(formatDate(0), 'Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n');
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 253_402_300_799_999 }), (ms) => {
      const text = formatDateTime(ms);
      assert.match(
        text,
        /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d \+0000$/,
      );
      assert.equal(Date.parse(text), Math.floor(ms / 1000) * 1000);
    }),
  );
  assert.throws(() => formatDateTime(Number.NaN), RangeError);
});

test('the fields of final delivery', () => {
  assert.equal(formatReturnPath(''), 'Return-Path: <>\r\n');
  assert.equal(formatReturnPath('"a b"@example.org'), 'Return-Path: <"a b"@example.org>\r\n');
  assert.equal(formatDeliveredTo('bob@example.net'), 'Delivered-To: bob@example.net\r\n');
  assert.equal(formatDeliveredTo('a\r\nX: y'), 'Delivered-To: a??X: y\r\n');
  assert.equal(formatMessageId('Q1', 'mx.example.net'), 'Message-ID: <Q1@mx.example.net>\r\n');
  assert.equal(formatMessageId('a b>', 'x\r\n'), 'Message-ID: <a-b-@x-->\r\n');
});
