export { isReservedAddress, parseAddressLiteral } from './address.ts';
export type { Answer, RecordData, RecordType } from './answer.ts';
export { type Hosts, parseHosts, systemHosts } from './hosts.ts';
export { type HostAddresses, inOrder, type MxHost, type MxOptions, type MxPlan, planMx, resolveAddresses } from './mx.ts';
export { createResolver, type Resolver, type ResolverOptions } from './resolver.ts';
