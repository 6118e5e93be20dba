import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { HEADER_LIMITS, headerEnd, scanHeader } from './header.ts';
import { hasEightBit, hasLongLine, wrap } from './octets.ts';

const octets = (text: string): Buffer => Buffer.from(text.replace(/\n/g, '\r\n'), 'latin1');
const scan = (text: string) => scanHeader(octets(text));

test('the header section ends behind the first empty line', () => {
  assert.equal(headerEnd(octets('A: b\n\nbody\n\n')), 8);
  assert.equal(headerEnd(octets('\nbody')), 2);
  assert.equal(headerEnd(octets('A: b\n')), 6);
  assert.equal(headerEnd(new Uint8Array()), 0);
  assert.equal(headerEnd(octets('A: b\n \n\nbody')), 11);
});

test('fields are found in any case, with blanks before the colon, in their order', () => {
  const header = scan('Received: a\nSUBJECT : x\nreceived: b\n\nReceived: c\n');
  assert.equal(header.receivedCount, 2);
  assert.ok(header.has('subject') && header.has('Subject') && !header.has('date'));
  assert.deepEqual(
    header.fields('RECEIVED').map((field) => header.text(field)),
    ['a', 'b'],
  );
  assert.equal(header.value('subject'), 'x');
  assert.equal(header.value('date'), undefined);
});

test('folded lines belong to their field and are joined', () => {
  const header = scan('Subject: one\n two\n\tthree\n \n four\nDate: d\n\n');
  assert.equal(header.value('subject'), 'one two\tthree  four');
  assert.equal(header.value('date'), 'd');
  assert.equal(header.defects, 0);
});

test('octet ranges are those of the content', () => {
  const content = octets('A: b\nC: d\n e\n\nbody');
  const [field] = scanHeader(content).fields('c');
  assert.ok(field);
  assert.equal(content.toString('latin1', field.start, field.end), 'C: d\r\n e\r\n');
  assert.equal(content.toString('latin1', field.valueStart, field.end), ' d\r\n e\r\n');
});

test('what is no field is counted and does not end the section', () => {
  const header = scan('From x Tue\nFrom: a\nno colon\n folded: y\n: empty name\nbad name: z\nTo: b\n\n');
  assert.equal(header.defects, 4);
  assert.deepEqual(
    header.all.map(({ name }) => name),
    ['from', 'to'],
  );
  assert.equal(scan(' folded: first\nA: b\n\n').defects, 1);
});

test('a bare CR or LF does not end a line', () => {
  const header = scanHeader(Buffer.from('A: b\nFrom: x\rTo: y\r\n\r\n'));
  assert.deepEqual(
    header.all.map(({ name }) => name),
    ['a'],
  );
});

test('text is UTF-8 where it is valid, else latin1', () => {
  assert.equal(scanHeader(Buffer.from('Subject: Grüße\r\n\r\n')).value('subject'), 'Grüße');
  assert.equal(scanHeader(Buffer.from('Subject: Gr\xfc\xdfe\r\n\r\n', 'latin1')).value('subject'), 'Grüße');
});

test('octets above 127 count in the header only', () => {
  assert.equal(scan('A: b\n\nk\xf6rper').hasEightBit, false);
  assert.equal(scan('A: \xf6\n\nbody').hasEightBit, true);
});

test('names of object properties are names like others', () => {
  const header = scan('__proto__: x\nconstructor: y\n\n');
  assert.equal(header.value('__proto__'), 'x');
  assert.equal(header.value('constructor'), 'y');
  assert.equal(header.has('toString'), false);
});

test('a section at a limit is complete, beyond it is not', () => {
  const limits = { maxOctets: 12, maxFields: 2 };
  assert.equal(scanHeader(octets('A: b\nC: \n\nbody and more'), { ...limits, maxOctets: 13 }).complete, true);
  assert.equal(scanHeader(octets('A: b\nC: \n\nbody and more'), { ...limits, maxOctets: 12 }).complete, false);
  assert.equal(scanHeader(octets('A:\nB:\n\n'), limits).complete, true);
  assert.equal(scanHeader(octets('A:\nB\nC:\n\n'), limits).complete, false);
  assert.equal(scanHeader(octets('A: without a bl'), { ...limits, maxOctets: 15 }).complete, true);
});

test('hostile header sections are read in linear time', { timeout: 10_000 }, () => {
  const size = HEADER_LIMITS.maxOctets;
  for (const pattern of ['a:\r\n', 'a\r\n', ':', ' \r\n', '\r\n ', 'a', '\r\r\n', 'a: b\r\n\t']) {
    const content = Buffer.alloc(size + 1000, pattern);
    const header = scanHeader(content);
    header.value('a');
    assert.ok(header.all.length + header.defects <= HEADER_LIMITS.maxFields);
  }
});

test('a body of 50 MB is not looked at', () => {
  const content = Buffer.alloc(50 * 1024 * 1024, 0xff);
  octets('A: b\n\n').copy(content);
  const header = scanHeader(content);
  assert.equal(header.octets, 8);
  assert.equal(header.hasEightBit, false);
  assert.equal(hasEightBit(content, header.octets), true);
});

test('whatever comes in, fields lie in order inside the section', () => {
  const hostile = fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    fc
      .array(fc.constantFrom('\r', '\n', '\r\n', ' ', '\t', ':', 'a', 'From', '\0', '\xff'))
      .map((pieces) => Buffer.from(pieces.join(''), 'latin1')),
  );
  fc.assert(
    fc.property(hostile, (content) => {
      const header = scanHeader(content);
      assert.equal(header.octets, headerEnd(content));
      let end = 0;
      for (const field of header.all) {
        assert.ok(field.start >= end && field.valueStart > field.start && field.end >= field.valueStart && field.end <= header.octets);
        assert.match(field.name, /^[!-9;-~]+$/);
        header.text(field);
        end = field.end;
      }
    }),
    { numRuns: 2000 },
  );
});

const fieldName = fc.stringMatching(/^[!-9;-~]{1,20}$/);
const fieldValue = fc.array(fc.stringMatching(/^[!-~]{1,20}$/), { maxLength: 4 });

test('written fields are read back, however they are folded', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fieldName, fieldValue, fc.constantFrom(' ', '\r\n ', '\r\n\t'))), fc.string(), (fields, body) => {
      const section = fields.map(([name, words, fold]) => `${name}:${words.map((word) => fold + word).join('')}\r\n`).join('');
      const header = scanHeader(Buffer.from(`${section}\r\n${body}`));
      assert.equal(header.octets, section.length + 2);
      assert.deepEqual(
        header.all.map((field) => [field.name, header.text(field).split(/[ \t]/).filter(Boolean)]),
        fields.map(([name, words]) => [name.toLowerCase(), words]),
      );
    }),
  );
});

test('an octet above 127 is found wherever it is', () => {
  fc.assert(
    fc.property(fc.nat(300), fc.nat(300), fc.integer({ min: 128, max: 255 }), (length, at, octet) => {
      const content = Buffer.alloc(length + 1, 127);
      assert.equal(hasEightBit(content), false);
      content[at % content.length] = octet;
      assert.equal(hasEightBit(content), true);
      assert.equal(hasEightBit(content, (at % content.length) + 1), false);
    }),
  );
});

test('a line of 998 octets is not long, one of 999 is', () => {
  const line = (length: number): string => `${'x'.repeat(length)}\r\n`;
  const short = fc.array(fc.integer({ min: 0, max: 998 }).map(line), { maxLength: 6 });
  fc.assert(
    fc.property(short, short, fc.integer({ min: 999, max: 2500 }), fc.boolean(), (before, after, length, ends) => {
      const tail = ends ? '' : 'x'.repeat(998);
      assert.equal(hasLongLine(Buffer.from([...before, ...after, tail].join(''))), false);
      assert.equal(hasLongLine(Buffer.from([...before, line(length), ...after, tail].join(''))), true);
    }),
  );
});

test('wrapped text keeps its words and its lines stay within the width', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 300 }), fc.integer({ min: 1, max: 40 }), (text, width) => {
      const lines = wrap(text, width);
      assert.ok(lines.every((line) => line.length <= width && !/[\r\n]/.test(line)));
      assert.equal(lines.join('').replace(/ /g, ''), text.replace(/[\r\n ]/g, ''));
    }),
  );
});
