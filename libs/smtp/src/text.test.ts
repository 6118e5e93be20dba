import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  classifyReply, decodeXtext, encodeXtext, formatNotify, formatOrcpt, formatReply, isAscii, NOTIFY, parseNotify, parseOrcpt, printable, smtpReply, utf8Octets,
} from './index.ts'; // biome-ignore format: one line

const anyText = fc.string({ unit: 'grapheme', maxLength: 60 });

test('xtext comes back as it was, is printable ASCII, and has no "=" and no bare "+"', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const encoded = encodeXtext(text);
      assert.match(encoded, /^([!-*,-<>-~]|\+[0-9A-F]{2})*$/);
      assert.equal(decodeXtext(encoded), text);
    }),
  );
});

test('what is not xtext is not decoded', () => {
  for (const text of ['+', '+4', '+4g', '+4a', 'a b', 'a=b', 'ü', '\x7f', 'a\r', '+FF', '+C3'])
    assert.equal(decodeXtext(text), undefined, text);
  assert.equal(decodeXtext('+41+20+C3+BC'), 'A ü');
});

test('the decoder takes xchars and whole escapes, nothing else', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', '+', '4', '1', '=', ' ', 'ü', '\t'), maxLength: 12 }), (text) => {
      assert.equal(decodeXtext(text) !== undefined, /^(?:[a41]|\+[41]{2})*$/.test(text));
    }),
  );
});

test('ORCPT of type utf-8 in each of its forms', () => {
  const bob = 'utf-8;b\u00f6b+x@d';
  assert.equal(parseOrcpt('utf-8;b\\x{F6}b\\x{2B}x@d', { smtputf8: false }), bob);
  assert.equal(parseOrcpt('utf-8;b\u00f6b\\x{2B}x@d', { smtputf8: true }), bob);
  assert.equal(parseOrcpt('utf-8;b+C3+B6b+2Bx@d', { smtputf8: false }), bob);
  for (const value of [
    'utf-8;b\u00f6b',
    'utf-8;\\x{0}',
    'utf-8;\\x{D800}',
    'utf-8;\\x{110000}',
    'utf-8;\\x',
    'utf-8;a+b',
    'utf-8;\\x{0A}',
    'utf-8;+FF',
  ]) {
    assert.equal(parseOrcpt(value, { smtputf8: false }), undefined, value);
  }
});

test('ORCPT comes back as it was in either form', () => {
  const address = fc.string({ unit: fc.constantFrom(...'aé日👩 +=\\{}x@;.'), minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(address, fc.boolean(), (text, smtputf8) => {
      const orcpt = `${isAscii(text) ? 'rfc822' : 'utf-8'};${text}`;
      const wire = formatOrcpt(orcpt, { smtputf8 });
      assert.doesNotMatch(wire, /[ =]/);
      if (!smtputf8) assert.ok(isAscii(wire));
      assert.equal(parseOrcpt(wire, { smtputf8 }), orcpt);
    }),
  );
});

test('NOTIFY comes back as it was; NEVER stands alone', () => {
  for (const bits of [1, 2, 4, 8, 6, 10, 12, 14]) assert.equal(parseNotify(formatNotify(bits)), bits);
  assert.equal(formatNotify(0), '');
  assert.equal(parseNotify('delay,Delay'), NOTIFY.DELAY);
  for (const text of ['', 'NEVER,SUCCESS', 'x', ',', '__proto__']) assert.equal(parseNotify(text), undefined, text);
});

test('replies have CRLF lines of at most 512 printable octets, all with code and enhanced code, the last one alone with a blank', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(250, 354, 421, 550),
      fc.string({ unit: 'binary', maxLength: 2000 }),
      fc.boolean(),
      (code, text, withStatus) => {
        const enhanced = withStatus && code !== 354 ? `${Math.floor(code / 100)}.1.1` : undefined;
        const wire = formatReply({ code, text, ...(enhanced !== undefined && { enhanced }) });
        assert.ok(wire.endsWith('\r\n'));
        const lines = wire.slice(0, -2).split('\r\n');
        for (const [at, line] of lines.entries()) {
          assert.match(line, /^[\x20-\x7e]{4,510}$/);
          assert.ok(line.startsWith(`${code}${at === lines.length - 1 ? ' ' : '-'}${enhanced === undefined ? '' : `${enhanced} `}`));
        }
      },
    ),
  );
});

test('several lines, and one of exactly 512 octets', () => {
  assert.equal(formatReply({ code: 250, text: 'a\nb' }), '250-a\r\n250 b\r\n');
  assert.equal(formatReply(smtpReply(550, [1, 1], 'x'.repeat(500))).length, 512);
  assert.equal(formatReply(smtpReply(550, [1, 1], 'x'.repeat(501))).split('\r\n').length, 3);
});

test('a reply whose enhanced class differs from its code cannot be built', () => {
  assert.deepEqual(smtpReply(451, [3, 0], 'later'), { code: 451, enhanced: '4.3.0', text: 'later' });
  assert.throws(() => smtpReply(354, [0, 0], 'go'), RangeError);
  assert.throws(() => smtpReply(250, [0, 0], 'a\r\nb'), RangeError);
});

test('replies are classified: 552 to RCPT defers, a 5yz to the session defers, unknown defers', () => {
  assert.equal(classifyReply('message', 250), 'delivered');
  assert.equal(classifyReply('message', 552), 'bounced');
  assert.equal(classifyReply('recipient', 550), 'bounced');
  assert.equal(classifyReply('recipient', 552), 'deferred');
  assert.equal(classifyReply('session', 554), 'deferred');
  for (const code of [0, 199, 354, 421, 450, 600, Number.NaN]) assert.equal(classifyReply('message', code), 'deferred', String(code));
});

test('printable text is ASCII without controls, and as long as was asked for at most', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 100 }), fc.nat(60), (text, max) => {
      const shown = printable(text, max);
      assert.match(shown, /^[\x20-\x7e]*$/);
      assert.ok(shown.length <= max);
    }),
  );
  assert.equal(printable('a\r\nb\u00fc\u{1f469}c', 100), 'a??b??c');
});

test('octets are counted as the encoder writes them', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => assert.equal(utf8Octets(text), Buffer.byteLength(text))));
  assert.equal(utf8Octets('\ud800a'), Buffer.byteLength('\ud800a'));
});
