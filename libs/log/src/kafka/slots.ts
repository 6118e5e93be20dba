import { type AppendQueue, BATCH_MAX_OCTETS } from './append-queue.ts';

/** A broker that takes longer is passed over by what may go elsewhere. */
const SLOW_MS = 500;
/** Of all batches of one call. */
const CALL_MAX_OCTETS = 4 * 1024 ** 2;

/** The produce connections of each broker: what is free, what runs, who waits. */
export class Slots {
  readonly #perBroker: number;
  readonly #brokers = new Map<
    number,
    { readonly free: number[]; readonly startedMs: Map<number, number>; readonly waiting: Set<AppendQueue> }
  >();

  constructor(perBroker: number) {
    this.#perBroker = perBroker;
  }

  #of(node: number) {
    const found = this.#brokers.get(node);
    if (found) return found;
    const free = Array.from({ length: this.#perBroker }, (_, at) => at);
    const made = { free, startedMs: new Map<number, number>(), waiting: new Set<AppendQueue>() };
    this.#brokers.set(node, made);
    return made;
  }

  /** Undefined when all are taken: the queue gets its turn. */
  take(node: number, queue: AppendQueue): number | undefined {
    const { free, startedMs, waiting } = this.#of(node);
    const slot = free.pop();
    if (slot === undefined) waiting.add(queue);
    else startedMs.set(slot, performance.now());
    return slot;
  }

  wait(node: number, queue: AppendQueue): void {
    this.#of(node).waiting.add(queue);
  }

  release(node: number, slot: number): void {
    const { free, startedMs } = this.#of(node);
    free.push(slot);
    startedMs.delete(slot);
  }

  /** The queues whose turn it is, the longest waiting first, as many as fit a call; they wait no more. */
  next(node: number): readonly AppendQueue[] {
    const { waiting } = this.#of(node);
    const taken: AppendQueue[] = [];
    let octets = 0;
    for (const queue of waiting) {
      octets += Math.min(queue.octets, BATCH_MAX_OCTETS);
      if (taken.length > 0 && octets > CALL_MAX_OCTETS) break;
      waiting.delete(queue);
      taken.push(queue);
    }
    return taken;
  }

  isFree(node: number): boolean {
    return this.#of(node).free.length > 0;
  }

  isSlow(node: number, nowMs: number): boolean {
    for (const startedMs of this.#of(node).startedMs.values()) if (nowMs - startedMs > SLOW_MS) return true;
    return false;
  }
}
