import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasEightBit, hasLongLine } from './octets.ts';
import { sevenBitSteps, toSevenBit } from './seven-bit.ts';
import { mimeMessage } from './testing/mime-samples.ts';

const message = (text: string): Buffer => Buffer.from(text.replace(/\n/g, '\r\n'));
const converted = (text: string): string | undefined => {
  const result = toSevenBit(message(text));
  return result && Buffer.from(result).toString('latin1').replace(/\r\n/g, '\n');
};

test('clean content is returned itself, not copied', () => {
  const content = message('Subject: x\nContent-Transfer-Encoding: 8bit\n\nplain\n');
  assert.equal(toSevenBit(content), content);
});

test('a text becomes quoted-printable and its field says so', () => {
  assert.equal(
    converted('MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\nX: y\n\nGrüße=\n'),
    'MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nX: y\nContent-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe=3D\n',
  );
});

test('a part that is no text becomes base64', () => {
  assert.equal(
    converted('MIME-Version: 1.0\nContent-Type: image/png\n\né\n'),
    'MIME-Version: 1.0\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\nw6kNCg==\n',
  );
});

test('a message that is no MIME becomes one, of unknown charset', () => {
  assert.equal(
    converted('Subject: x\n\né\n'),
    'Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\nContent-Transfer-Encoding: quoted-printable\n\n=C3=A9\n',
  );
});

test('only the parts that need it are changed, and enclosing 8bit labels become 7bit', () => {
  const before = `MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x
Content-Transfer-Encoding: 8bit

--x
Content-Transfer-Encoding: 8bit

plain
--x

é
--x
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Subject: inner
MIME-Version: 1.0
Content-Type: application/x

ü
--x--
`;
  const after = `MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x
Content-Transfer-Encoding: 7bit

--x
Content-Transfer-Encoding: 7bit

plain
--x
Content-Transfer-Encoding: quoted-printable

=C3=A9
--x
Content-Type: message/rfc822
Content-Transfer-Encoding: 7bit

Subject: inner
MIME-Version: 1.0
Content-Type: application/x
Content-Transfer-Encoding: base64

w7w=

--x--
`;
  assert.equal(converted(before), after);
});

test('a digest holds messages unless a part says otherwise', () => {
  const before = 'MIME-Version: 1.0\nContent-Type: multipart/digest; boundary=x\n\n--x\n\nSubject: s\nMIME-Version: 1.0\n\né\n--x--\n';
  assert.match(
    converted(before) ?? '',
    /--x\n\nSubject: s\nMIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\n\n=C3=A9\n--x--/,
  );
});

const signed = (inner: string): string =>
  `MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: text/plain\n\né\n--o\nContent-Type: multipart/signed; boundary=s\n\n--s\nContent-Transfer-Encoding: 8bit\n\n${inner}\n--s\nContent-Type: application/pgp-signature\n\nx\n--s--\n--o--\n`;

test('signed parts stay octet for octet, and forbid the conversion when they hold 8-bit octets', () => {
  assert.match(converted(signed('plain')) ?? '', /--s\nContent-Transfer-Encoding: 8bit\n\nplain\n--s/);
  assert.equal(converted(signed('ü')), undefined);
});

const IMPOSSIBLE: Record<string, string> = {
  '8-bit octets in the header': 'Subject: é\n\né\n',
  '8-bit octets in the header of a part': 'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\nX: é\n\né\n--x--\n',
  '8-bit octets in the header of an enclosed message': 'MIME-Version: 1.0\nContent-Type: message/rfc822\n\nSubject: é\n\nx\n',
  'a header line over 998 octets': `Subject: ${'x'.repeat(999)}\n\né\n`,
  '8-bit octets before the first part': 'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\né\n--x\n\na\n--x--\n',
  'a line in the header that is no field': 'MIME-Version: 1.0\nno field\nX: y\n\né\n',
  'no boundary': 'MIME-Version: 1.0\nContent-Type: multipart/mixed\n\né\n',
  'two boundaries': 'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x; boundary=y\n\n--x\n\né\n--x--\n',
  'a boundary that never comes': 'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\né\n',
  'two encodings': 'MIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: binary\n\né\n',
  'two types': 'MIME-Version: 1.0\nContent-Type: text/plain\nContent-Type: text/html\n\né\n',
  '8-bit octets inside base64': 'MIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\né\n',
  'an unknown encoding': 'MIME-Version: 1.0\nContent-Transfer-Encoding: x-uue\n\né\n',
  'an encoded multipart': 'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\nContent-Transfer-Encoding: base64\n\né\n',
  'a message type that may not be encoded': 'MIME-Version: 1.0\nContent-Type: message/delivery-status\n\né\n',
};
for (const [what, text] of Object.entries(IMPOSSIBLE)) {
  test(`cannot be converted: ${what}`, () => assert.equal(toSevenBit(message(text)), undefined));
}

test('message/global may be encoded', () => {
  assert.match(
    converted('MIME-Version: 1.0\nContent-Type: message/global\n\nSubject: é\n\nx\n') ?? '',
    /quoted-printable\n\nSubject: =C3=A9\n\nx\n$/,
  );
});

function nested(levels: number): string {
  let inner = 'Content-Type: text/plain\n\né\n';
  for (let level = 0; level < levels; level++)
    inner = `Content-Type: multipart/mixed; boundary=b${level}\n\n--b${level}\n${inner}\n--b${level}--\n`;
  return `MIME-Version: 1.0\n${inner}`;
}

test('twenty levels are converted, more are not', () => {
  assert.notEqual(toSevenBit(message(nested(20))), undefined);
  assert.equal(toSevenBit(message(nested(21))), undefined);
});

test('a thousand parts at most, the whole counted', () => {
  const flat = (parts: number): string =>
    `MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n${'--x\n\né\n'.repeat(parts)}--x--\n`;
  assert.notEqual(toSevenBit(message(flat(999))), undefined);
  assert.equal(toSevenBit(message(flat(1000))), undefined);
  assert.equal(toSevenBit(message(flat(20_000))), undefined);
});

test('a text cannot grow a boundary where a long line is broken', () => {
  fc.assert(
    fc.property(fc.integer({ min: 60, max: 80 }), fc.constantFrom('--x', '--x--', '--x \t'), (length, boundary) => {
      const result = converted(
        `MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\né\n${'y'.repeat(length)}${boundary}\n--x--\n`,
      );
      assert.equal(result?.match(/^--x[ \t]*$/gm)?.length, 1);
      assert.equal(result?.match(/^--x--[ \t]*$/gm)?.length, 1);
    }),
  );
});

test('whatever comes in: undefined, or clean content', () => {
  const check = (content: Uint8Array): void => {
    const result = toSevenBit(content);
    if (result) assert.ok(!hasEightBit(result) && !hasLongLine(result));
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 3000 }), check));
  fc.assert(fc.property(mimeMessage, check), { numRuns: 300 });
  fc.assert(
    fc.property(mimeMessage, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 5 }), (content, changes) => {
      const broken = Buffer.from(content);
      for (const [at, octet] of changes) broken[at % broken.length] = octet;
      check(broken);
    }),
    { numRuns: 300 },
  );
});

test('a converted message is not changed again', () => {
  fc.assert(
    fc.property(mimeMessage, (content) => {
      const once = toSevenBit(content);
      if (once) assert.equal(toSevenBit(once), once);
    }),
  );
});

test('large content is worked on in steps', () => {
  const content = Buffer.concat([message('MIME-Version: 1.0\n\n'), Buffer.alloc(8 * 1024 * 1024, 'é line\r\n')]);
  const steps = sevenBitSteps(content);
  let count = 0;
  while (!steps.next().done) count++;
  assert.ok(count >= 32, `${count} steps`);
});

test('hostile content takes linear time', { timeout: 20_000 }, () => {
  const mime = 'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="--------x"\n\n--------x\n\n';
  toSevenBit(Buffer.concat([message(mime), Buffer.alloc(4 * 1024 * 1024, '\r\n----------x'), Buffer.from('é\r\n')]));
  toSevenBit(Buffer.concat([message('MIME-Version: 1.0\n\n'), Buffer.alloc(4 * 1024 * 1024, '-'), Buffer.from('é\r\n')]));
  toSevenBit(message(`MIME-Version: 1.0\nContent-Type: ${'a/b;'.repeat(100)}${'\n ;x=y'.repeat(100_000)}\n\né\n`));
  toSevenBit(message(`MIME-Version: 1.0\nContent-Type: text/plain${'\n ('.repeat(100_000)}\n\né\n`));
});
