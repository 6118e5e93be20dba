export interface Clients {
  readonly connections: number;
  /** Takes one connection into account; `undefined` at a cap. The returned function gives it back, once. */
  admit(key: string): (() => void) | undefined;
}

/** Connections in total and per client. Holds one entry per connected client. */
export function createClients(limits: { readonly maxConnections: number; readonly maxConnectionsPerClient: number }): Clients {
  const byClient = new Map<string, number>();
  let connections = 0;
  return {
    get connections() {
      return connections;
    },
    admit(key) {
      const own = byClient.get(key) ?? 0;
      if (connections >= limits.maxConnections || own >= limits.maxConnectionsPerClient) return undefined;
      byClient.set(key, own + 1);
      connections++;
      let isHeld = true;
      return () => {
        if (!isHeld) return;
        isHeld = false;
        connections--;
        const left = (byClient.get(key) ?? 1) - 1;
        if (left === 0) byClient.delete(key);
        else byClient.set(key, left);
      };
    },
  };
}
