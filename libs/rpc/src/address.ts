import { rm } from 'node:fs/promises';
import type { MutualTls } from './certificates.ts';

/**
 * "unix:<path>" or "host:port"; a client may have several: "dns:///host:port" for all addresses of a name, or IPv4 addresses with
 * ports, separated by commas. Without mutual TLS only loopback addresses (the configuration sees to it).
 */
export interface RpcAddress {
  readonly address: string;
  readonly tls?: MutualTls | undefined;
}

const IPV4_LIST = /^\d+(\.\d+){3}:\d+(,\d+(\.\d+){3}:\d+)+$/;

/** As the gRPC library names it. */
export const targetOf = (address: string): string => (IPV4_LIST.test(address) ? `ipv4:${address}` : address);

/** Socket paths longer than this do not fit in `sockaddr_un`. */
const SOCKET_PATH_MAX_OCTETS = 107;

/**
 * Makes room for a Unix socket: a file left by a killed process is removed. Whoever holds the data folder owns it.
 *
 * @throws when the path is too long for a socket
 */
export async function clearSocket(address: string): Promise<void> {
  if (!address.startsWith('unix:')) return;
  const path = address.slice('unix:'.length);
  if (Buffer.byteLength(path) > SOCKET_PATH_MAX_OCTETS)
    throw new Error(`${path}: a socket path has at most ${SOCKET_PATH_MAX_OCTETS} octets`);
  await rm(path, { force: true });
}
