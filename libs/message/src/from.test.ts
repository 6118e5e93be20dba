import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromAddresses } from './from.ts';
import { scanHeader } from './header.ts';

const fromField = (...values: string[]): readonly string[] | undefined =>
  fromAddresses(scanHeader(Buffer.from(`${values.map((value) => `From: ${value}\r\n`).join('')}\r\n`)));

/** Examples of RFC 5322 §A.1.2, §A.1.3, §A.5, §A.6.1, of RFC 2047 §8, of RFC 6854 §1.1 and of RFC 6532. */
const VALID: readonly (readonly [string, ...string[]])[] = [
  ['John Doe <jdoe@machine.example>', 'jdoe@machine.example'],
  ['"Joe Q. Public" <john.q.public@example.com>', 'john.q.public@example.com'],
  ['Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>', 'mary@x.test', 'jdoe@example.org', 'one@y.test'],
  ['<boss@nil.test>, "Giant; \\"Big\\" Box" <sysservices@example.net>', 'boss@nil.test', 'sysservices@example.net'],
  ['A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;', 'c@a.test', 'joe@where.test', 'jdoe@one.test'],
  ['Undisclosed recipients:;'],
  ['Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>', 'pete@silly.test'],
  [
    "A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)",
    'c@public.example',
    'joe@example.org',
    'jdoe@one.test',
  ],
  ['(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;'],
  ['Joe Q. Public <john.q.public@example.com>', 'john.q.public@example.com'],
  ['Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example', 'mary@example.net', 'jdoe@test.example'],
  ['<@a.test,@b.test:joe@where.test>', 'joe@where.test'],
  ['=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <keld@dkuug.dk>', 'keld@dkuug.dk'],
  ['Nathaniel Borenstein <nsb@thumper.bellcore.com> (=?iso-8859-8?b?7eXs+SDv4SDp7Oj08A==?=)', 'nsb@thumper.bellcore.com'],
  ['Nightly Monitor Robot:;'],
  ['Managing Partners:ben@example.com,carol@example.com;', 'ben@example.com', 'carol@example.com'],
  ['Jörg <jörg@bücher.example>', 'jörg@bücher.example'],
  ['"very long"@example.org', '"very long"@example.org'],
  ['"a@b"@example.org', '"a@b"@example.org'],
  ['user@[192.0.2.1]', 'user@[192.0.2.1]'],
  ['user@[IPv6:2001:db8::1]', 'user@[IPv6:2001:db8::1]'],
  ["'me@own.example' <me@own.example>", 'me@own.example'],
  ['_bot_@own.example', '_bot_@own.example'],
  ['"Me @ Home" <me@own.example> (5@10.50)', 'me@own.example'],
];
for (const [value, ...addresses] of VALID) {
  test(`mailboxes of ${JSON.stringify(value)}`, () => assert.deepEqual(fromField(value), addresses));
}

const TRICKS: readonly (readonly [what: string, value: string, ...shown: string[]])[] = [
  ['an address for a name', 'ceo@corp.example <me@own.example>', 'ceo@corp.example', 'me@own.example'],
  ['an address as a quoted name', '"ceo@corp.example" <me@own.example>', 'me@own.example', 'ceo@corp.example'],
  ['brackets in a quoted name', '"CEO <ceo@corp>" <me@own.example>', 'me@own.example', 'ceo@corp'],
  ['an address in a comment', 'me@own.example (ceo@corp.example)', 'me@own.example', 'ceo@corp.example'],
  ['brackets in a comment', '(<ceo@corp>) me@own.example', 'me@own.example', 'ceo@corp'],
  ['a comment inside an address', 'ceo(me@own.example)@corp.example', 'ceo@corp.example', 'me@own.example'],
  ['an address in an encoded word', '=?utf-8?q?ceo=40corp.example?= <me@own.example>', 'me@own.example', 'ceo@corp.example'],
  ['an encoded word that ends the list', '=?utf-8?b?Y2VvQGNvcnAuZXhhbXBsZSw=?= <me@own.example>', 'me@own.example', 'ceo@corp.example'],
  [
    'an address cut in two encoded words',
    '=?utf-8?q?ceo=40co?= =?utf-8?q?rp.example?= <me@own.example>',
    'me@own.example',
    'ceo@corp.example',
  ],
  ['a full-width at sign', 'ceo＠corp.example <me@own.example>', 'me@own.example', 'ceo@corp.example'],
  [
    'an encoded word with a question mark inside',
    '=?utf-8?q?a?ceo=40corp.example?= <me@own.example>',
    'me@own.example',
    'a?ceo@corp.example',
  ],
  ['characters that show nothing', '"ceo@co\u200brp.example" <me@own.example>', 'me@own.example', 'ceo@corp.example'],
  ['the bare name of a group', 'ceo@corp:me@own.example;', 'ceo@corp', 'me@own.example'],
  ['an address as the name of a group', '"ceo@corp.example":me@own.example;', 'me@own.example', 'ceo@corp.example'],
];
for (const [what, value, ...shown] of TRICKS) test(`counts ${what}`, () => assert.deepEqual(fromField(value), shown));

test('all From fields count', () => {
  assert.deepEqual(fromField('me@own.example', 'ceo@corp.example'), ['me@own.example', 'ceo@corp.example']);
  const header = 'From : me@own.example\r\nFROM: two@own.example\r\nX: y\r\nfrom:\r\n ceo@corp.example\r\n\r\n';
  assert.deepEqual(fromAddresses(scanHeader(Buffer.from(header))), ['me@own.example', 'two@own.example', 'ceo@corp.example']);
});

test('a header that readers may end or read elsewhere is not judged', () => {
  for (const first of ['no field', ' From: ceo@corp.example', 'From ceo@corp.example Tue']) {
    assert.equal(fromAddresses(scanHeader(Buffer.from(`${first}\r\nFrom: me@own.example\r\n\r\n`))), undefined);
  }
  const cut = scanHeader(Buffer.from('From: me@own.example\r\nFrom: ceo@corp.example\r\n\r\n'), { maxOctets: 1000, maxFields: 1 });
  assert.equal(fromAddresses(cut), undefined);
});

test('no From field is an empty list', () => assert.deepEqual(fromAddresses(scanHeader(Buffer.from('To: a@b\r\n\r\n'))), []));

const UNPARSEABLE = [
  'John Doe',
  'me@own.example ceo@corp.example',
  '<me@own.example',
  'me@own.example>',
  '<me@own.example> <ceo@corp.example>',
  '<me@own.example> ceo@corp.example',
  '<<me@own.example>>',
  '<>',
  'me@own.example@corp.example',
  'me@@own.example',
  '@own.example',
  'me@',
  '"me@own.example',
  '(me@own.example',
  'a b@own.example',
  'me@own example',
  'me@"own.example"',
  'g:a@own.example:b@own.example;',
  'me\\@own.example',
  'me@[own',
  'me@own.example\0',
  'Me <me@own.example>\nFrom: ceo@corp.example',
  '=?utf-7?q?ceo+AEA-corp.example?= <me@own.example>',
];
for (const value of UNPARSEABLE) test(`is no address list: ${JSON.stringify(value)}`, () => assert.equal(fromField(value), undefined));

const atom = fc.stringMatching(/^[a-z0-9!#$%&'*+/=^_`{|}~-]{1,8}$/);
const dotAtom = fc.array(atom, { minLength: 1, maxLength: 3 }).map((atoms) => atoms.join('.'));
const quoted = fc.string({ maxLength: 10 }).map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`);
const domain = fc.array(fc.stringMatching(/^[a-z0-9]{1,8}$/), { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.'));
const address = fc.tuple(fc.oneof(dotAtom, quoted), domain).map(([local, host]) => `${local}@${host}`);
const comment = fc.string({ maxLength: 10 }).map((text) => `(${text.replace(/[()\\]/g, '\\$&')})`);
const cfws = fc
  .constantFrom('', ' ', '\r\n ', '\t')
  .chain((blank) => comment.map((text) => fc.sample(fc.constantFrom('', blank, `${blank}${text}${blank}`), 1)[0] ?? ''));
const mailbox = fc
  .tuple(address, fc.oneof(atom, quoted), cfws, cfws, fc.boolean())
  .map(([to, name, a, b, bare]) => ({ to, text: bare ? `${a}${to}${b}` : `${name}${a}<${b}${to}>` }));

test('every mailbox of a well-formed list is among the addresses', () => {
  fc.assert(
    fc.property(fc.array(mailbox, { minLength: 1, maxLength: 4 }), fc.boolean(), (boxes, inGroup) => {
      const list = boxes.map(({ text }) => text).join(',');
      const found = fromField(inGroup ? `some group:${list};` : list);
      for (const { to } of boxes) assert.ok(found?.includes(to), `${to} in ${list}: ${found}`);
    }),
    { numRuns: 500 },
  );
});

test('whatever comes in: undefined, or addresses with an @ and without controls', () => {
  const pieces = fc.array(
    fc.constantFrom(
      '<',
      '>',
      '@',
      ',',
      ';',
      ':',
      '"',
      '(',
      ')',
      '[',
      ']',
      '\\',
      '.',
      ' ',
      'a',
      'b.c',
      '=?utf-8?q?',
      '=40',
      '?=',
      '\r\n ',
      'é',
      '\0',
    ),
  );
  const hostile = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    pieces.map((parts) => Buffer.from(parts.join(''))),
  );
  fc.assert(
    fc.property(hostile, (value) => {
      const found = fromAddresses(scanHeader(Buffer.concat([Buffer.from('From: '), value, Buffer.from('\r\n\r\n')])));
      for (const one of found ?? []) assert.match(one, /^[^\p{Cc}]+@[^\p{Cc}]+$/u);
    }),
    { numRuns: 3000 },
  );
});

test('From fields of 16 KiB together are read, longer ones are not', () => {
  const list = (octets: number): string => `a@b.example,${' '.repeat(octets - 'From: a@b.example,c@d.example\r\n'.length)}c@d.example`;
  assert.deepEqual(fromField(list(16_384)), ['a@b.example', 'c@d.example']);
  assert.equal(fromField(list(16_385)), undefined);
  assert.equal(fromField(list(8192), list(8193)), undefined);
});

test('a hostile From field is read in linear time', { timeout: 20_000 }, () => {
  for (const pattern of [
    'a',
    '(',
    ')',
    '"',
    '<',
    '@',
    'a@b.c,',
    'a ',
    '=?',
    '=?a?q?',
    '?= =?',
    '.',
    "'",
    '\\',
    'a(',
    '\r\n ',
    '[',
    ':',
    ';',
    '=?utf-8?q?=40?=',
    '.a@',
  ]) {
    fromField(pattern.repeat(Math.floor(16_000 / pattern.length)));
  }
});
