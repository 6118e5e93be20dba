import { BlockList, isIPv6 } from 'node:net';

/** The configured network that an address lies in, as it is written there. */
export type RelayNetworks = (address: string) => string | undefined;

const familyOf = (address: string) => (isIPv6(address) ? 'ipv6' : 'ipv4');

/** Networks (CIDR, validated by the configuration) that may relay at the MX listener. */
export function createRelayNetworks(networks: readonly string[]): RelayNetworks {
  const lists = networks.map((cidr) => {
    const [network = '', prefix] = cidr.split('/');
    const list = new BlockList();
    list.addSubnet(network, Number(prefix), familyOf(network));
    return { cidr, family: familyOf(network), list };
  });
  // The list itself would find an IPv4 address in ::/0, as the IPv6 address that it is mapped to.
  return (address) => lists.find(({ family, list }) => family === familyOf(address) && list.check(address, family))?.cidr;
}
