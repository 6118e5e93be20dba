import type { Grantee, Instant } from '@angarium/scheduler';
import type { Held, Slot } from './allowance.ts';

/** What is under way here for one limit. */
export interface Room {
  readonly key: string;
  readonly slots: Set<OpenSlot>;
  /** Starts, and those of them that have begun no transaction. */
  starts: number;
  unsent: number;
  /** Sites that were told to wait, the one that waits longest first. */
  readonly waiting: Set<string>;
  /** Attempts that wait for a connection or for leave to send. */
  readonly sleepers: Set<() => void>;
}

export interface OpenSlot extends Slot {
  isCut: boolean;
  isLeaving: boolean;
  connection: Held | undefined;
}

export const createRoom = (key: string): Room => ({
  key,
  slots: new Set(),
  starts: 0,
  unsent: 0,
  waiting: new Set(),
  sleepers: new Set(),
});

/** Starts this much before their transactions may begin. */
const AHEAD_MS = 250;

/** How many more may start. */
export function roomFor({ key, starts, unsent }: Room, grantee: Grantee, now: Instant): number {
  const connections = grantee.mayKeep(key, now) - starts;
  const messages = grantee.sendsNow(key, now) - unsent;
  if (messages > 0) return Math.min(connections, messages);
  return unsent === 0 && grantee.sendsInMs(key, now) <= AHEAD_MS ? Math.min(connections, 1) : 0;
}

/** Whether it is the site's turn, with room for so many. */
export function isNext({ waiting }: Room, site: string, free: number): boolean {
  if (free <= 0) return false;
  if (waiting.size < free) return true;
  if (!waiting.has(site)) return false;
  let left = free;
  for (const other of waiting) {
    if (other === site) return true;
    if (--left <= 0) return false;
  }
  return false;
}

export function wake({ sleepers }: Room): void {
  for (const goOn of [...sleepers]) goOn();
}

/** Asks unused connections to leave until no more than `most` stay. */
export function leaveUnused({ slots }: Room, most: number): void {
  let staying = 0;
  for (const { isLeaving } of slots) if (!isLeaving) staying++;
  for (const slot of slots) {
    if (staying <= most) return;
    if (!slot.isUnused || slot.isLeaving) continue;
    staying--;
    slot.isLeaving = true;
    slot.connection?.leave();
  }
}

/** Its grant has ended. What was sent and is not answered goes on. */
export function cut(room: Room): void {
  for (const slot of room.slots) {
    if (slot.isDotted) continue;
    slot.isCut = true;
    slot.connection?.drop();
  }
  wake(room);
}
