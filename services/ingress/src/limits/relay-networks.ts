import { BlockList, isIPv6 } from 'node:net';

/** The configured network that an address lies in, as it is written there. */
export type RelayNetworks = (address: string) => string | undefined;

/** Networks (CIDR, validated by the configuration) that may relay at the MX listener. */
export function createRelayNetworks(networks: readonly string[]): RelayNetworks {
  const lists = networks.map((cidr) => {
    const [network = '', prefix] = cidr.split('/');
    const family = isIPv6(network) ? 'ipv6' : 'ipv4';
    const list = new BlockList();
    list.addSubnet(network, Number(prefix), family);
    return { cidr, list };
  });
  return (address) => lists.find(({ list }) => list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4'))?.cidr;
}
