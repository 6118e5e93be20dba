/** The octets of one message that is being received or waits for the log. */
export interface Holding {
  readonly octets: number;
  add(octets: number): void;
  /** Received to its end: from here on it waits for us, not for the client. */
  complete(): void;
  /** Durable, refused or given up. More than once is harmless. */
  release(): void;
}

/**
 * Bounds the memory of messages that are not durable yet.
 *
 * Above `maxOctets` no socket is read while a complete message waits for the log: that ends by itself. When what is held are
 * halves of messages alone, waiting would wait for the clients: then the largest half is dropped, and small mail passes.
 */
export class Unacknowledged {
  octets = 0;
  private completeOctets = 0;
  private readonly maxOctets: number;
  private readonly partial = new Map<Holding, () => void>();
  private readonly waiting: (() => void)[] = [];

  constructor(maxOctets: number) {
    this.maxOctets = maxOctets;
  }

  get isOver(): boolean {
    return this.octets > this.maxOctets;
  }

  /** `drop` is called when the message has to go to make room: its content is forgotten, the rest read and discarded. */
  open(drop: () => void): Holding {
    let state: 'partial' | 'complete' | 'released' = 'partial';
    const holding = {
      octets: 0,
      add: (more: number) => {
        if (state !== 'partial') return;
        holding.octets += more;
        this.octets += more;
        this.shed();
      },
      complete: () => {
        if (state !== 'partial') return;
        state = 'complete';
        this.partial.delete(holding);
        this.completeOctets += holding.octets;
      },
      release: () => {
        if (state === 'released') return;
        if (state === 'complete') this.completeOctets -= holding.octets;
        state = 'released';
        this.partial.delete(holding);
        this.octets -= holding.octets;
        if (this.waiting.length > 0) queueMicrotask(() => this.settle());
      },
    };
    this.partial.set(holding, drop);
    return holding;
  }

  /** Runs `run` as soon as sockets may be read: now, or when the log has caught up. */
  whenRoom(run: () => void): void {
    if (!this.isOver) run();
    else this.waiting.push(run);
  }

  private settle(): void {
    this.shed();
    if (!this.isOver) for (const run of this.waiting.splice(0)) run();
  }

  private shed(): void {
    while (this.isOver && this.completeOctets === 0) {
      let largest: Holding | undefined;
      for (const holding of this.partial.keys()) if (holding.octets > (largest?.octets ?? 0)) largest = holding;
      const drop = largest && this.partial.get(largest);
      if (!largest || !drop) return;
      largest.release();
      drop();
    }
  }
}
