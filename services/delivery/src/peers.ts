/** Another worker's side of something that it serves. */
export type Peer<Port> = Port & { close(): void };
/** Opens a client of the worker that is reached there; a call that is not answered in time rejects. */
export type ConnectPeer<Port> = (address: string) => Promise<Peer<Port>>;

/** Clients of the other workers, one for each address that is known to be a live worker's. */
export interface Peers<Port> {
  /** Rejects when the worker cannot be asked. */
  at(address: string): Promise<Peer<Port>>;
  /** Closes all but these. */
  keep(addresses: ReadonlySet<string>): void;
}

export function createPeers<Port>(connect: ConnectPeer<Port>): Peers<Port> {
  const clients = new Map<string, Promise<Peer<Port>>>();
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
