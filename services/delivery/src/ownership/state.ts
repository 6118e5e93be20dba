import type { Instant, LeaseMember, Reign } from '@angarium/lanes';
import type { Clock } from '@angarium/runtime';
import type { Projection } from '../accounting/projection.ts';
import type { Core } from '../core.ts';
import type { Lane, LaneHooks } from '../lane/lane.ts';
import type { LeaseReader } from './lease-reader.ts';

/** What the parts of the driver share. */
export interface Owning {
  readonly core: Core;
  readonly member: LeaseMember;
  readonly reader: LeaseReader;
  readonly isAlone: boolean;
  readonly incarnation: string;
  readonly projection: Projection;
  readonly hooks: LaneHooks;
  readonly now: () => Instant;
  /** Lanes that begin as soon as the count is ready for them, with the newest epoch of their leases. */
  readonly opening: Map<number, number>;
  /** Lanes that are live or halted, or whose `Owner` record the log has refused once. */
  readonly started: WeakSet<Lane>;
  /** Lanes that are no longer ours, as long as something of them is on the wire or not durable. */
  readonly formers: Set<Lane>;
  /** Why a lane was given up, until it begins again. */
  readonly troubles: Map<number, string>;
  /** The count of lane 0's owner begins or ends. */
  counting: Promise<void>;
  /** The newest append to the lease log was read back, or failed. */
  landed: Promise<void>;
  /** The log was asked once and did not answer well: a start waits no longer. */
  hasFailed: boolean;
  /** Newest one that was asked for. */
  catchUpToken: number;
  readonly onCaughtUp: () => void;
  isStopping: boolean;
  /** Every lane is released. */
  hasLeft: boolean;
  readonly onChange: Set<() => void>;
}

/** This process's time with a lane. */
export const reignOf = ({ number, epoch }: Lane): Reign => ({ lane: number, epoch });

export const laneAt = ({ core }: Owning, number: number): Lane | undefined => core.lanes.find((lane) => lane.number === number);

/** Resolves with the work, or when so much time has passed. */
export function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      callOff();
      resolve();
    };
    const callOff = clock.after(ms, end);
    work.then(end, end);
  });
}

export function tellChange({ onChange }: Owning): void {
  for (const told of [...onChange]) told();
}

/** Resolves when the condition holds; it is looked at after each change. */
export function until(owning: Owning, holds: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (!holds()) return;
      owning.onChange.delete(look);
      resolve();
    };
    owning.onChange.add(look);
    look();
  });
}
