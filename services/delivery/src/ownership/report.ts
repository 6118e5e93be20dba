import type { Lease } from '@angarium/lanes';
import type { LaneStatus, LanesResponse } from '@angarium/rpc';
import { laneAt, type Owning } from './state.ts';

const numbersOf = ({ core }: Owning): readonly number[] =>
  Array.from({ length: core.deps.log.partitions('mail.lane') }, (_, number) => number);

/** Somebody owns the lane and is heard; for one of our own, it is read. */
function isServed(owning: Owning, number: number, heard: ReadonlySet<string>): boolean {
  const own = laneAt(owning, number);
  if (own !== undefined) return own.state === 'live' || own.state === 'draining' || own.state === 'halted';
  const owner = owning.member.fold.lanes.get(number)?.owner;
  return owner !== undefined && owner !== owning.incarnation && heard.has(owner);
}

/** An owner that has not renewed for longer may be gone, though nobody may take its lanes yet. */
const QUIET_MS = 3_000;

const heardBy = ({ member }: Owning): ReadonlySet<string> =>
  new Set(member.live().flatMap(({ incarnation, appendedAtMs }) => (member.fold.seenAtMs - appendedAtMs > QUIET_MS ? [] : [incarnation])));

/** Lanes that nobody can be asked about at the moment. */
export function recoveringLanes(owning: Owning): number[] {
  const heard = heardBy(owning);
  return numbersOf(owning).filter((number) => !isServed(owning, number, heard));
}

const UNKNOWN: Lease = { lane: 0, epoch: 0, owner: undefined, renewed: -1, watermark: 0, recipients: 0 };

async function statusOf(owning: Owning, number: number, heard: ReadonlySet<string>): Promise<LaneStatus> {
  const { core, member, troubles } = owning;
  const { low, high } = await core.deps.log.marks('mail.lane', number);
  const { epoch, owner, watermark, recipients } = member.fold.lanes.get(number) ?? UNKNOWN;
  const own = laneAt(owning, number);
  return {
    lane: number,
    worker: owner === undefined ? '' : (member.fold.members.get(owner)?.worker ?? ''),
    incarnation: owner ?? '',
    epoch,
    state: own?.state ?? (isServed(owning, number, heard) ? 'owned' : 'recovering'),
    watermark: own?.watermark ?? watermark,
    low,
    end: high,
    position: own?.fold.position ?? 0,
    recipients: own?.fold.liveRecipients ?? recipients,
    trouble: own?.trouble ?? troubles.get(number) ?? '',
  };
}

/** As this process has read the lease log; its own lanes as they are. */
export async function reportLanes(owning: Owning): Promise<LanesResponse> {
  const { member, core } = owning;
  const heard = heardBy(owning);
  const owned = Map.groupBy(member.fold.lanes.values(), ({ owner }) => owner);
  const workers = member.live().map(({ worker, incarnation, address, leaving, full, appendedAtMs }) => ({
    ...{ worker, incarnation, address, leaving, full, renewedAtMs: appendedAtMs },
    lanes: owned.get(incarnation)?.length ?? 0,
  }));
  return {
    lanes: await Promise.all(numbersOf(owning).map((number) => statusOf(owning, number, heard))),
    workers: workers.sort((one, other) => (one.worker < other.worker ? -1 : 1)),
    worker: core.deps.ownerName,
  };
}
