import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalAddress, canonicalDomain, formatMailbox, isIpv4, isIpv6, parseMailbox, splitAddress, utf8Octets } from './index.ts';

const ATEXT = [..."abcXYZ019!#$%&'*+-/=?^_`{|}~"];
const LET_DIG = [...'abcxyzABC019'];
const text = (alphabet: readonly string[], minLength: number, maxLength: number) =>
  fc.array(fc.constantFrom(...alphabet), { minLength, maxLength }).map((characters) => characters.join(''));
const dotString = fc.array(text(ATEXT, 1, 6), { minLength: 1, maxLength: 4 }).map((atoms) => atoms.join('.'));
const printableAscii = Array.from({ length: 95 }, (_, at) => String.fromCharCode(32 + at));
const quotedString = text(printableAscii, 0, 20).map((content) => `"${content.replace(/["\\]/g, '\\$&')}"`);
const label = fc.tuple(text(LET_DIG, 1, 5), text([...LET_DIG, '-'], 0, 5), text(LET_DIG, 1, 5)).map((parts) => parts.join(''));
const domain = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'));
/** RFC 5321 §4.1.3 lets "::" stand for two groups at least, the generator for one. */
const hasTwoZeroGroups = (ip: string) => !ip.includes('::') || ip.split(':').filter(Boolean).length + (ip.includes('.') ? 1 : 0) <= 6;
const literal = fc.oneof(
  fc.ipV4().map((address) => `[${address}]`),
  fc
    .ipV6()
    .filter(hasTwoZeroGroups)
    .map((address) => `[IPv6:${address}]`),
  fc.constant('[x-tag:a@b>c]'),
);
const address = fc.tuple(fc.oneof(dotString, quotedString), fc.oneof(domain, literal)).map(([local, host]) => `${local}@${host}`);

test('addresses made by the grammar of RFC 5321 are parsed and come back as sent', () => {
  fc.assert(
    fc.property(address, (sent) => {
      const mailbox = parseMailbox(sent, { smtputf8: false });
      assert.ok(mailbox, sent);
      assert.equal(formatMailbox(mailbox), sent);
      assert.deepEqual(splitAddress(sent), mailbox);
    }),
  );
});

test('an address with one octet broken is refused', () => {
  const broken = fc.tuple(
    dotString,
    domain,
    fc.constantFrom(' ', '"', '(', ')', ',', ':', ';', '<', '>', '[', ']', '\\', '\0', '\r', '\n', '\x7f', '@'),
  );
  fc.assert(
    fc.property(broken, ([local, host, octet]) => {
      assert.equal(parseMailbox(`${local}${octet}${local}@${host}`, { smtputf8: true }), undefined);
      assert.equal(parseMailbox(`${local}@${host}${octet}${host}`, { smtputf8: true }), undefined);
    }),
  );
});

test('whatever is parsed stays within the limits, and parses again', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 400 }), address), fc.boolean(), (sent, smtputf8) => {
      const mailbox = parseMailbox(sent, { smtputf8 });
      if (!mailbox) return;
      assert.ok(utf8Octets(mailbox.localPart) <= 64 && utf8Octets(mailbox.domain) <= 255 && utf8Octets(sent) <= 254);
      assert.deepEqual(parseMailbox(formatMailbox(mailbox), { smtputf8 }), mailbox);
    }),
  );
});

const REFUSED = [
  '', '@', 'a', 'a@', '@b', 'a.@b', '.a@b', 'a..b@c', 'a@b.', 'a@.b', 'a@b..c', 'a@-b', 'a@b-', 'a@ex_ample.com', 'a b@c', '"a@b', 'a"b"@c', '"a"b@c',
  '"a\\"@b', '"\r\n"@b', 'a@[1.2.3]', 'a@[1.2.3.256]', 'a@[1.2.3.4', 'a@1.2.3.4]', 'a@[IPv6:1:2:3]', 'a@[IPv6:::1::2]', 'a@[IPv6:1:2:3:4:5:6:7::8]',
  'a@[IPv6:fe80::1%eth0]', 'a@[IPv6:g::]', 'a@[tag-:x]', 'a@[:x]', 'a@[tag:]', 'a@[tag:a b]', 'a@[]', '<a@b>', 'a@b@c', 'bü@c', 'a@bü.c',
]; // biome-ignore format: a table
test('what the grammar does not know is refused', () => {
  for (const sent of REFUSED) assert.equal(parseMailbox(sent, { smtputf8: false }), undefined, sent);
});

test('non-ASCII addresses need SMTPUTF8, well-formed text and a domain that has A-labels', () => {
  for (const sent of ['bü@c', 'a@bücher.example', '"ü \\" "@日本.example', '👩‍💻@x.example']) {
    assert.deepEqual(parseMailbox(sent, { smtputf8: true }), splitAddress(sent), sent);
    assert.equal(parseMailbox(sent, { smtputf8: false }), undefined, sent);
  }
  for (const sent of ['\ufffd@b', '\ud800@b', 'a\u0085@b', 'a@\u{1f4a9}..b', 'a@１.２.３.４', 'a@b\u0000ü', 'a@ü b', 'a@ü/b']) {
    assert.equal(parseMailbox(sent, { smtputf8: true }), undefined, sent);
  }
});

test('local part 64, label 63, domain 255 and address 254 octets are taken, one more is not', () => {
  const label63 = 'a'.repeat(63);
  const ok = (sent: string) => parseMailbox(sent, { smtputf8: true }) !== undefined;
  assert.deepEqual([ok(`${'a'.repeat(64)}@b`), ok(`${'a'.repeat(65)}@b`)], [true, false]);
  assert.deepEqual([ok(`${'ü'.repeat(32)}@b`), ok(`${'ü'.repeat(32)}a@b`)], [true, false]);
  assert.deepEqual([ok(`a@${label63}`), ok(`a@${label63}a`)], [true, false]);
  const long = `${`${label63}.`.repeat(3)}${'b'.repeat(60)}`;
  assert.deepEqual([ok(`a@${long}`), `a@${long}`.length], [true, 254]);
  assert.equal(ok(`ab@${long}`), false);
});

test('A-labels are kept as sent', () => {
  assert.equal(parseMailbox('a@xn--Bcher-kva.example', { smtputf8: false })?.domain, 'xn--Bcher-kva.example');
});

test('addresses agree with the address parser of Node where both judge', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.string({ unit: fc.constantFrom(...'0123456789.'), maxLength: 16 })), (sent) => {
      // Node refuses leading zeros, which RFC 5321 allows.
      if (!/(^|\.)0\d/.test(sent)) assert.equal(isIpv4(sent), isIP(sent) === 4, sent);
    }),
  );
  fc.assert(
    fc.property(fc.oneof(fc.ipV6(), fc.string({ unit: fc.constantFrom(...'0a:.1'), maxLength: 24 })), (sent) => {
      // A "::" for one group is allowed there and not here.
      if (isIpv6(sent)) assert.equal(isIP(sent.replace(/(^|[:.])0+(?=\d)/g, '$1')), 6, sent);
    }),
  );
});

test('canonical forms: case, needless quotes, U-labels, trailing dot', () => {
  const table: readonly (readonly [string, string])[] = [
    ['Ann@Here.Example', 'ann@here.example'],
    ['"Ann"@x', 'ann@x'],
    ['"a\\n\\n"@x', 'ann@x'],
    ['"a b"@X', '"a b"@x'],
    ['"a\\"b"@X', '"a\\"b"@x'],
    ['a@Bücher.Example', 'a@xn--bcher-kva.example'],
    ['a@XN--BCHER-KVA.example', 'a@xn--bcher-kva.example'],
    ['A\u030a@x', '\u00e5@x'],
    ['a@[IPv6:FE80::1]', 'a@[ipv6:fe80::1]'],
    ['Postmaster', 'postmaster'],
    ['a@x.', 'a@x'],
  ];
  for (const [sent, canonical] of table) assert.equal(canonicalAddress(sent), canonical);
});

test('canonical forms are their own canonical forms', () => {
  fc.assert(
    fc.property(fc.oneof(address, fc.string({ unit: 'binary', maxLength: 80 })), (sent) => {
      const mailbox = parseMailbox(sent, { smtputf8: true });
      if (!mailbox) return void canonicalAddress(sent);
      const canonical = canonicalAddress(sent);
      assert.equal(canonicalAddress(canonical), canonical);
      assert.equal(canonicalDomain(canonicalDomain(mailbox.domain)), canonicalDomain(mailbox.domain));
    }),
  );
});

test('a megabyte of anything is judged at once', () => {
  const before = process.threadCpuUsage();
  for (const piece of ['a', '.', '"', '\\', '@', 'ü', '[', ':', 'a.', '"\\']) {
    const long = piece.repeat(1_000_000 / piece.length);
    for (const sent of [long, `${long}@b`, `a@${long}`, `"${long}"@b`, `a@[${long}]`]) {
      assert.equal(parseMailbox(sent, { smtputf8: true }), undefined);
      canonicalDomain(sent);
    }
  }
  assert.ok(process.threadCpuUsage(before).user < 3_000_000);
});
