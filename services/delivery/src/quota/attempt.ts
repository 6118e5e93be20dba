import type { Allowance, Permit, Slot } from './allowance.ts';
import { leaveUnused, type OpenSlot, type Room, wake } from './room.ts';
import type { QuotaState } from './state.ts';

/** Longest wait of an attempt that has started for what it was promised. */
const WAIT_MS = 10_000;

type What = 'connection' | 'message';

/** Resolves when something has changed, or after `ms`. */
function change({ deps }: QuotaState, rooms: readonly Room[], ms: number): Promise<void> {
  return new Promise((resolve) => {
    const goOn = () => {
      callOff();
      for (const { sleepers } of rooms) sleepers.delete(goOn);
      resolve();
    };
    const callOff = deps.clock.after(ms, goOn);
    for (const { sleepers } of rooms) sleepers.add(goOn);
  });
}

/** Takes what there is as soon as there is some. `take`: else how long to wait at most; undefined: not at all. */
async function take<T>(
  state: QuotaState,
  rooms: readonly Room[],
  o: { what: What; take: () => T | number | undefined },
): Promise<T | undefined> {
  const endMs = state.deps.clock.nowMs() + WAIT_MS;
  for (let tries = 0; ; tries++) {
    const taken = o.take();
    if (taken === undefined) break;
    if (typeof taken !== 'number') return taken;
    if (tries === 0) state.meters.waited.inc({ for: o.what });
    const leftMs = endMs - state.deps.clock.nowMs();
    if (leftMs <= 0) break;
    await change(state, rooms, Math.min(leftMs, taken));
  }
  state.meters.refused.inc();
  return undefined;
}

function createSlot(state: QuotaState, rooms: readonly Room[]): Slot {
  let isFree = false;
  const slot: OpenSlot = {
    isUnused: false,
    isDotted: false,
    isCut: false,
    isLeaving: false,
    connection: undefined,
    carries(connection) {
      slot.connection = connection;
      if (slot.isCut) connection.drop();
    },
    free() {
      if (isFree) return;
      isFree = true;
      for (const room of rooms) {
        state.grantee.closed(room.key);
        room.slots.delete(slot);
        wake(room);
      }
    },
  };
  for (const room of rooms) {
    state.grantee.opened(room.key);
    room.slots.add(slot);
  }
  return slot;
}

function createPermit(state: QuotaState, rooms: readonly Room[]): Permit {
  let isCounted = false;
  for (const room of rooms) state.grantee.sent(room.key);
  return {
    counted() {
      if (isCounted) return;
      isCounted = true;
      for (const room of rooms) {
        state.grantee.counted(room.key, state.deps.now());
        wake(room);
      }
    },
  };
}

/** @param onSent leave to send was given */
export function createAllowance(state: QuotaState, rooms: readonly Room[], onSent: () => void): Allowance {
  const { grantee, deps } = state;
  const connection = (): Slot | number => {
    const now = deps.now();
    const full = rooms.find(({ key }) => !grantee.mayOpen(key, now));
    if (full === undefined) return createSlot(state, rooms);
    // Another site's connection that nobody uses makes room.
    leaveUnused(full, Math.max(0, grantee.mayKeep(full.key, now) - 1));
    return WAIT_MS;
  };
  const message = (): Permit | number | undefined => {
    const now = deps.now();
    // Whoever waits holds a connection, which is to go first when there are too many.
    if (rooms.some(({ key, slots }) => slots.size > grantee.mayKeep(key, now))) return undefined;
    const inMs = Math.max(...rooms.map(({ key }) => grantee.sendsInMs(key, now)));
    if (inMs > 0) return Math.ceil(inMs);
    onSent();
    return createPermit(state, rooms);
  };
  return {
    connection: () => take(state, rooms, { what: 'connection', take: connection }),
    message: () => take(state, rooms, { what: 'message', take: message }),
  };
}
