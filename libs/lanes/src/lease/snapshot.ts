import type { LaneLease, LeaseMember, LeaseRenewal, LeaseSnapshot } from '@angarium/records';
import type { Lease, Member } from './lease.ts';

export const toMember = (renewal: LeaseRenewal, appendedAtMs: number): Member => ({
  incarnation: renewal.writer?.incarnation ?? '',
  worker: renewal.writer?.worker ?? '',
  sequence: renewal.writer?.sequence ?? 0,
  leaving: renewal.leaving,
  full: renewal.full,
  laneCount: renewal.laneCount,
  laneTableVersion: renewal.laneTableVersion,
  address: renewal.address,
  appendedAtMs,
  renewal: { ...renewal, lanes: [] },
});

/** State of the lease log before an offset. */
export interface LeaseState {
  lanes: Map<number, Lease>;
  members: Map<string, Member>;
}

export function takeSnapshot(snapshot: LeaseSnapshot): LeaseState {
  const lanes = new Map<number, Lease>();
  for (const { lane, owner, renewed } of snapshot.lanes)
    if (lane !== undefined) lanes.set(lane.lane, { ...lane, owner: owner === '' ? undefined : owner, renewed });
  const members = new Map<string, Member>();
  for (const { renewal, appendedAtMs } of snapshot.members) {
    const member = renewal && toMember(renewal, appendedAtMs);
    if (member !== undefined) members.set(member.incarnation, member);
  }
  return { lanes, members };
}

export const snapshotLanes = (lanes: ReadonlyMap<number, Lease>): LaneLease[] =>
  [...lanes.values()]
    .sort((one, other) => one.lane - other.lane)
    .map(({ owner, renewed, lane, epoch, watermark, recipients }) => ({
      lane: { lane, epoch, watermark, recipients },
      owner: owner ?? '',
      renewed,
    }));

export const snapshotMembers = (members: ReadonlyMap<string, Member>): LeaseMember[] =>
  [...members.values()]
    .sort((one, other) => (one.incarnation < other.incarnation ? -1 : 1))
    .map(({ renewal, appendedAtMs }) => ({ renewal, appendedAtMs }));

/** Nobody owns anything and nobody lives: written into an empty log. */
export const isBeginning = (snapshot: LeaseSnapshot): boolean => snapshot.lanes.length === 0 && snapshot.members.length === 0;

/**
 * What a snapshot of an earlier state says against this one. Epochs only grow and an epoch has one owner, so no history is
 * needed to compare.
 */
export function contradiction(snapshot: LeaseSnapshot, lanes: ReadonlyMap<number, Lease>): string | undefined {
  for (const { lane: said, owner } of snapshot.lanes) {
    if (said === undefined) continue;
    const known = lanes.get(said.lane);
    if (known === undefined || known.epoch < said.epoch)
      return `lane ${said.lane}: a snapshot has epoch ${said.epoch}, this process ${known?.epoch ?? 'none'}`;
    if (known.epoch === said.epoch && known.owner !== undefined && known.owner !== owner)
      return `lane ${said.lane}: a snapshot gives epoch ${said.epoch} to ${owner || 'nobody'}, this process to ${known.owner}`;
  }
  return undefined;
}
