import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parsePlain } from './sasl.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');

test('PLAIN carries a login and a password', () => {
  assert.deepEqual(parsePlain(base64('\0me@example.org\0pä ss')), { login: 'me@example.org', password: 'pä ss' });
  assert.deepEqual(parsePlain(base64('ME@example.org\0me@example.org\0x')), { login: 'me@example.org', password: 'x' });
});

test('what is not PLAIN, or acts for somebody else, is refused', () => {
  for (const text of ['', '\0', '\0\0', '\0a\0', '\0\0b', 'a\0b', 'other\0a\0b', '\0a\0b\0c'])
    assert.equal(parsePlain(base64(text)), undefined);
  for (const response of ['=', '*', 'AGEAYg', 'AGEAYg=', 'AGEAYg== ', 'AGE\0AYg=', 'AGEA_g=='])
    assert.equal(parsePlain(response), undefined);
  assert.equal(parsePlain(Buffer.from([0, 97, 0, 0xff]).toString('base64')), undefined);
});

test('no response throws', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parsePlain(text)));
  fc.assert(fc.property(fc.uint8Array(), (octets) => void parsePlain(Buffer.from(octets).toString('base64'))));
});
