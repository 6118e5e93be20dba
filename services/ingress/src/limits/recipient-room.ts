/** Memory for the recipients of the transactions that are under way, over all sessions. */
export interface RecipientRoom {
  readonly octets: number;
  /** Takes octets for a transaction that has `own` already; false: there is no room, and it has had its share. */
  take(octets: number, own: number): boolean;
  giveBack(octets: number): void;
}

/**
 * Holds at most twice `maxOctets`. Each of the connections has a share that it gets whatever the others hold, so that a few
 * clients with many recipients do not shut out the rest.
 */
export function createRecipientRoom(limits: { readonly maxRecipientOctets: number; readonly maxConnections: number }): RecipientRoom {
  const share = limits.maxRecipientOctets / limits.maxConnections;
  let held = 0;
  return {
    get octets() {
      return held;
    },
    take(octets, own) {
      if (held + octets > limits.maxRecipientOctets && own + octets > share) return false;
      held += octets;
      return true;
    },
    giveBack(octets) {
      held -= octets;
    },
  };
}
