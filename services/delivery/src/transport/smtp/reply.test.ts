import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseReply } from './reply.ts';

test('code, enhanced code and text are told apart', () => {
  assert.deepEqual(parseReply('550 5.1.1 no such user'), { code: 550, enhanced: '5.1.1', text: 'no such user' });
  assert.deepEqual(parseReply('250 ok'), { code: 250, enhanced: '', text: 'ok' });
  assert.deepEqual(parseReply('250'), { code: 250, enhanced: '', text: '' });
});

test('lines are joined, the enhanced code taken from each', () => {
  assert.deepEqual(parseReply('550-5.7.1 one\n550-5.7.1 two\n550 5.7.1'), { code: 550, enhanced: '5.7.1', text: 'one\ntwo\n' });
});

test('an enhanced code of another class than the reply is text', () => {
  assert.deepEqual(parseReply('450 5.1.1 odd'), { code: 450, enhanced: '', text: '5.1.1 odd' });
});

test('what is no reply has code 0 and says what was said', () => {
  for (const raw of ['199 hello', '600 no', '999 no', 'hello', '25 ok', '2500 ok', '250ok', '250-a\n251 b', '250-a\nb'])
    assert.deepEqual([parseReply(raw).code, parseReply(raw).enhanced], [0, '4.5.0'], raw);
  assert.match(parseReply('199 hello').text, /199 hello/);
});

test('control and 8-bit octets do not come through, and the text is at most 1,000 octets', () => {
  const reply = parseReply(`554 a\u0000\u0007\u001b[31mé${'x'.repeat(5000)}`);
  assert.match(reply.text, /^a\?\?\?\[31m\?x+$/);
  assert.equal(reply.text.length, 1000);
  const long = parseReply(Array.from({ length: 400 }, () => `250-${'y'.repeat(30)}`).join('\n'));
  assert.equal(long.text.length, 1000);
});

test('any octets give a reply that is bounded and printable', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 3000 }), fc.constantFrom('', '250 ', '550-5.1.1 ', '421 '), (raw, start) => {
      const { code, text, enhanced } = parseReply(start + raw);
      return (
        text.length <= 1000 &&
        /^[\x20-\x7e\n]*$/.test(text) &&
        /^$|^[245]\.\d+\.\d+$/.test(enhanced) &&
        (code === 0 || (code >= 200 && code < 600))
      );
    }),
  );
});
