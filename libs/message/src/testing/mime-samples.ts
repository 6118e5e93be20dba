import { Buffer } from 'node:buffer';
import fc from 'fast-check';

/** A line of text or junk, without CR and LF: ingress lets none through but as CRLF. */
const line: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 90 }).map((text) => Buffer.from(text.replace(/[\r\n]/g, ' '))) },
  { weight: 3, arbitrary: fc.string({ unit: 'grapheme', maxLength: 60 }).map((text) => Buffer.from(text.replace(/[\r\n]/g, ' '))) },
  {
    weight: 2,
    arbitrary: fc.uint8Array({ maxLength: 200 }).map((octets) => Buffer.from(octets.map((o) => (o === 10 || o === 13 ? 65 : o)))),
  },
  { weight: 1, arbitrary: fc.integer({ min: 900, max: 1100 }).map((length) => Buffer.alloc(length, 'long line ')) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('--b1', '--b1--', '--b2 x', 'From a', '.', ' ', '\t', 'a=3D ', `${'x'.repeat(75)}--b1`)
      .map((t) => Buffer.from(t)),
  },
);

/** A body; lines with CRLF, the last one with or without. */
export const body: fc.Arbitrary<Buffer> = fc
  .tuple(fc.array(line, { maxLength: 8 }), fc.boolean())
  .map(([lines, ends]) =>
    Buffer.concat([...lines.flatMap((octets, at) => (at > 0 ? [Buffer.from('\r\n'), octets] : [octets])), Buffer.from(ends ? '\r\n' : '')]),
  );

const encoding = fc.constantFrom(
  '',
  '',
  'Content-Transfer-Encoding: 8bit\r\n',
  'content-transfer-encoding:\r\n 8BIT (yes)\r\n',
  'Content-Transfer-Encoding: binary\r\n',
  'Content-Transfer-Encoding: 7bit\r\n',
);
const leafType = fc.constantFrom(
  '',
  'Content-Type: text/plain; charset=utf-8\r\n',
  'Content-Type: text/html;\r\n\tcharset="utf-8"\r\n',
  'Content-Type: application/octet-stream; name="a;b"\r\n',
  'Content-Type: image/png\r\n',
);

const { tree } = fc.letrec<{ tree: Buffer; leaf: Buffer; multipart: Buffer; message: Buffer }>((tie) => ({
  leaf: fc.tuple(leafType, encoding, body).map(([type, cte, octets]) => Buffer.concat([Buffer.from(`${type}${cte}\r\n`), octets])),
  multipart: fc
    .tuple(fc.constantFrom('mixed', 'alternative', 'related'), encoding, fc.array(tie('tree'), { minLength: 1, maxLength: 3 }), fc.nat(9))
    .map(([subtype, cte, parts, number]) => {
      const boundary = `b${number}`;
      const head = `Content-Type: multipart/${subtype};\r\n boundary="${boundary}"\r\n${cte}\r\npreamble`;
      return Buffer.concat([
        Buffer.from(head),
        ...parts.flatMap((part) => [Buffer.from(`\r\n--${boundary}\r\n`), part]),
        Buffer.from(`\r\n--${boundary}--\r\n`),
      ]);
    }),
  message: fc
    .tuple(encoding, tie('tree'))
    .map(([cte, inner]) =>
      Buffer.concat([Buffer.from(`Content-Type: message/rfc822\r\n${cte}\r\nSubject: inner\r\nMIME-Version: 1.0\r\n`), inner]),
    ),
  tree: fc.oneof({ maxDepth: 3, withCrossShrink: true }, tie('leaf'), tie('multipart'), tie('message')),
}));

/** A whole MIME message with 8-bit octets and long lines in odd places. */
export const mimeMessage: fc.Arbitrary<Buffer> = tree.map((entity) =>
  Buffer.concat([Buffer.from('From: a@example.org\r\nSubject: test\r\nMIME-Version: 1.0\r\n'), entity, Buffer.from('\r\n')]),
);
