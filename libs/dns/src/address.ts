import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';

/** Address of a literal `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3); undefined where it is none of these. */
export function parseAddressLiteral(domain: string): string | undefined {
  const inner = /^\[(.*)\]$/.exec(domain)?.[1];
  if (inner === undefined) return undefined;
  const sixth = /^ipv6:(.*)$/i.exec(inner)?.[1];
  if (sixth !== undefined) return isIPv6(sixth) ? sixth.toLowerCase() : undefined;
  return isIPv4(inner) ? inner : undefined;
}

/** Not anybody's own, not private, not reserved (RFC 6890 §2.2.2). */
const RESERVED: readonly (readonly [network: string, prefix: number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
  ['::', 127],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001:db8::', 32],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
];

const reserved = new BlockList();
for (const [network, prefix] of RESERVED) reserved.addSubnet(network, prefix, isIPv6(network) ? 'ipv6' : 'ipv4');

/** Loopback, private, link-local, documentation, multicast: nothing that a stranger's MX record should lead us to. */
export const isReservedAddress = (address: string): boolean =>
  isIP(address) === 0 || reserved.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
