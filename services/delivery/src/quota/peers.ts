import type { Quota as QuotaPort } from '@angarium/rpc';

/** Another worker's side of the limits. */
export type Peer = QuotaPort & { close(): void };
/** Opens a client of the worker that is reached there; a call that is not answered in a second rejects. */
export type ConnectPeer = (address: string) => Promise<Peer>;

/** Clients of the other workers, one for each address that is known to be a live worker's. */
export interface Peers {
  /** Rejects when the worker cannot be asked. */
  at(address: string): Promise<Peer>;
  /** Closes all but these. */
  keep(addresses: ReadonlySet<string>): void;
}

export function createPeers(connect: ConnectPeer): Peers {
  const clients = new Map<string, Promise<Peer>>();
  return {
    at(address) {
      const known = clients.get(address);
      if (known !== undefined) return known;
      const client = connect(address);
      clients.set(address, client);
      client.catch(() => clients.delete(address));
      return client;
    },
    keep(addresses) {
      for (const [address, client] of clients) {
        if (addresses.has(address)) continue;
        clients.delete(address);
        client.then(
          (one) => one.close(),
          () => {},
        );
      }
    },
  };
}
