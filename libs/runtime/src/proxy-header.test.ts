import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ProxyHeader, parseProxyHeader } from './proxy-header.ts';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

function v2(o: { command?: number; family: number; addresses?: Buffer; tlvs?: Buffer }): Buffer {
  const { command = 0x21, family, addresses = Buffer.alloc(0), tlvs = Buffer.alloc(0) } = o;
  const length = Buffer.alloc(2);
  length.writeUInt16BE(addresses.length + tlvs.length);
  return Buffer.concat([SIGNATURE, Buffer.from([command, family]), length, addresses, tlvs]);
}
const ports = Buffer.from([0x12, 0x34, 0, 25]);
const REST = Buffer.from('EHLO client.test\r\n');

const WHOLE: readonly (readonly [string, Buffer, string | undefined])[] = [
  ['version 1, IPv4', Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 4660 25\r\n'), '192.0.2.7'],
  ['version 1, IPv6', Buffer.from('PROXY TCP6 2001:db8::7 2001:db8::1 4660 25\r\n'), '2001:db8::7'],
  ['version 1, unknown', Buffer.from('PROXY UNKNOWN\r\n'), undefined],
  ['version 1, unknown with more', Buffer.from('PROXY UNKNOWN ffff::1 what ever\r\n'), undefined],
  ['version 2, IPv4', v2({ family: 0x11, addresses: Buffer.from([192, 0, 2, 7, 198, 51, 100, 1, ...ports]) }), '192.0.2.7'],
  [
    'version 2, IPv6 with more behind it',
    v2({
      family: 0x21,
      addresses: Buffer.concat([Buffer.from('20010db8000000000000000000000007', 'hex'), Buffer.alloc(16), ports]),
      tlvs: Buffer.alloc(300, 7),
    }),
    '2001:db8::7',
  ],
  ['version 2, the balancer itself', v2({ command: 0x20, family: 0x11, addresses: Buffer.alloc(12) }), undefined],
  ['version 2, of no family', v2({ family: 0x00, tlvs: Buffer.alloc(9) }), undefined],
];
for (const [what, header, address] of WHOLE) {
  test(`${what}: read in one piece and octet by octet, and not one octet further`, () => {
    const input = Buffer.concat([header, REST]);
    for (let length = 0; length < header.length; length++)
      assert.equal(parseProxyHeader(input.subarray(0, length)).is, 'more', `${length}`);
    for (const length of [header.length, input.length]) {
      const expected: ProxyHeader = { is: 'header', octets: header.length, ...(address !== undefined && { address }) };
      assert.deepEqual(parseProxyHeader(input.subarray(0, length)), expected);
    }
  });
}

const REFUSED: readonly (readonly [string, Buffer, string])[] = [
  ['a client that speaks at once', REST, 'missing'],
  ['a TLS handshake', Buffer.from([0x16, 3, 1]), 'missing'],
  ['small letters', Buffer.from('proxy TCP4 '), 'missing'],
  ['a name for an address', Buffer.from('PROXY TCP4 client.test 192.0.2.1 1 2\r\n'), 'broken'],
  ['IPv6 said to be IPv4', Buffer.from('PROXY TCP4 ::1 ::1 1 2\r\n'), 'broken'],
  ['a port that is none', Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.1 1 65536\r\n'), 'broken'],
  ['a field too many', Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3\r\n'), 'broken'],
  ['a line without an end', Buffer.from(`PROXY TCP6 ${'f'.repeat(200)}`), 'too_long'],
  ['another version', v2({ command: 0x11, family: 0x11, addresses: Buffer.alloc(12) }), 'broken'],
  ['a path', v2({ family: 0x31, addresses: Buffer.alloc(216) }), 'broken'],
  ['too few addresses', v2({ family: 0x21, addresses: Buffer.alloc(12) }), 'broken'],
  ['more than anybody needs', v2({ family: 0x11, addresses: Buffer.alloc(12), tlvs: Buffer.alloc(4000) }), 'too_long'],
];
for (const [what, input, trouble] of REFUSED) {
  test(`refused: ${what}`, () => assert.deepEqual(parseProxyHeader(input), { is: 'refused', trouble }));
}

test('whatever comes is decided within 2,048 octets, and once decided stays so', () => {
  const octets = fc.oneof(
    fc.uint8Array({ maxLength: 2100 }),
    fc.uint8Array({ maxLength: 2100 }).map((rest) => Buffer.concat([SIGNATURE, rest])),
    fc.uint8Array({ maxLength: 200 }).map((rest) => Buffer.concat([Buffer.from('PROXY '), rest])),
  );
  fc.assert(
    fc.property(octets, fc.nat(2100), (input, cut) => {
      const whole = Buffer.concat([input, Buffer.alloc(2048)]);
      const decided = parseProxyHeader(whole);
      assert.notEqual(decided.is, 'more');
      const early = parseProxyHeader(whole.subarray(0, cut));
      if (early.is !== 'more') assert.deepEqual(early, decided);
    }),
  );
});

test('every IPv4 address comes out as it went in', () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      const header = Buffer.from(`PROXY TCP4 ${address} 192.0.2.1 1 2\r\n`);
      assert.deepEqual(parseProxyHeader(header), { is: 'header', octets: header.length, address });
    }),
  );
});
