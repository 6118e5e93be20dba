import type { LeaseClaim, LeaseRelease, LeaseRenewal, LeaseWriter } from '@angarium/records';
import type { Lease, LeaseEvent, LeaseRecord } from './lease.ts';
import { type LeaseState, toMember } from './snapshot.ts';

/** A renewal or claim that took longer than a lease to get into the log is nobody's any more. Part of the fold: never configured. */
const VOID_AFTER_MS = 6_000;

export const VOID: LeaseEvent = { is: 'void' };

const isOverdue = (writer: LeaseWriter, appendedAtMs: number): boolean => appendedAtMs - writer.seenAtMs > VOID_AFTER_MS;

type Written<T> = Pick<LeaseRecord, 'offset' | 'appendedAtMs'> & { readonly value: T; readonly writer: LeaseWriter };

/** The writer lives, and keeps those of the lanes that are its own. Copies, and renewals that others overtook, say nothing. */
export function renew({ lanes, members }: LeaseState, { value, writer, offset, appendedAtMs }: Written<LeaseRenewal>): LeaseEvent {
  const newest = members.get(writer.incarnation)?.sequence ?? -1;
  if (isOverdue(writer, appendedAtMs) || writer.sequence <= newest) return VOID;
  members.set(writer.incarnation, toMember(value, appendedAtMs));
  const renewed: number[] = [];
  for (const { lane, epoch, watermark, recipients } of value.lanes) {
    const lease = lanes.get(lane);
    if (lease?.owner !== writer.incarnation || lease.epoch !== epoch) continue;
    Object.assign(lease, { renewed: offset, watermark, recipients });
    renewed.push(lane);
  }
  return { is: 'renewed', writer, lanes: renewed };
}

/** A claim holds iff no renewal by the previous owner lies between what the claimer had seen and the claim. */
export function claim({ lanes }: LeaseState, { value, writer, offset, appendedAtMs }: Written<LeaseClaim>): LeaseEvent {
  if (isOverdue(writer, appendedAtMs)) return VOID;
  const claimed: number[] = [];
  for (const { lane, epoch } of value.lanes) {
    const lease: Lease = lanes.get(lane) ?? { lane, epoch: 0, owner: undefined, renewed: -1, watermark: 0, recipients: 0 };
    const holds = lease.owner === undefined || lease.owner === writer.incarnation || lease.renewed < writer.seen;
    if (epoch <= lease.epoch || !holds) continue;
    lanes.set(lane, Object.assign(lease, { epoch, owner: writer.incarnation, renewed: offset }));
    claimed.push(lane);
  }
  return { is: 'claimed', writer, lanes: claimed };
}

export function release({ lanes }: LeaseState, { value, writer, offset }: Written<LeaseRelease>): LeaseEvent {
  const released: number[] = [];
  for (const { lane, epoch, watermark, recipients } of value.lanes) {
    const lease = lanes.get(lane);
    if (lease?.owner !== writer.incarnation || lease.epoch !== epoch) continue;
    Object.assign(lease, { owner: undefined, renewed: offset, watermark, recipients });
    released.push(lane);
  }
  return { is: 'released', writer, lanes: released };
}

const MEMBER_KEPT_MS = 60_000;

/** Members that were silent for a minute of the log's time and own nothing are forgotten with each snapshot. */
export function forgetMembers({ lanes, members }: LeaseState, nowMs: number): void {
  const owners = new Set([...lanes.values()].map(({ owner }) => owner));
  for (const { incarnation, appendedAtMs } of members.values())
    if (nowMs - appendedAtMs > MEMBER_KEPT_MS && !owners.has(incarnation)) members.delete(incarnation);
}
