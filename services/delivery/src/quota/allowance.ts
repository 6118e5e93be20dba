/** What the limits of a site let one attempt do. */
export interface Allowance {
  /** Room for one more connection, waited for, but not for long; undefined: none. */
  connection(): Promise<Slot | undefined>;
  /** Leave to begin one transaction, waited for; undefined: none. */
  message(): Promise<Permit | undefined>;
}

/** Room of one connection, from before its first packet until `free`. */
export interface Slot {
  /** It is unused, and may be asked to leave. */
  isUnused: boolean;
  /** Its final dot is out: it is not cut off. */
  isDotted: boolean;
  /** It was cut off: its grant has ended. */
  readonly isCut: boolean;
  /** The connection has come about. */
  carries(connection: Held): void;
  /** The receiver has closed it. */
  free(): void;
}

/** A connection that takes room. */
export interface Held {
  /** QUIT. */
  leave(): void;
  /** At once. */
  drop(): void;
}

export interface Permit {
  /** MAIL was answered, or the connection is gone. */
  counted(): void;
}
