import { randomUUID } from 'node:crypto';
import { createLeaseMember, type Instant, type LeaseAction, type LeaseTerms, type Reign } from '@angarium/lanes';
import { encodeRecord } from '@angarium/records';
import type { LanesResponse } from '@angarium/rpc';
import type { Projection } from '../accounting/projection.ts';
import type { Core } from '../core.ts';
import type { DeliveryDeps } from '../deps.ts';
import type { Lane, LaneHooks } from '../lane/lane.ts';
import { backoffMs, crash, reasonOf } from '../pause.ts';
import type { Workers } from '../quota/quota.ts';
import { ALONE_WORKER } from '../quota/state.ts';
import { createLeaseReader, LEASES } from './lease-reader.ts';
import { createLives, lifeOf } from './life.ts';
import { recoveringLanes, reportLanes } from './report.ts';
import { laneAt, type Owning, reignOf, tellChange, until, within } from './state.ts';
import { begin, CLOSE_MS, drain, giveAway } from './tenure.ts';

/** Which lanes of the log are this process's, and what follows from that. */
export interface Ownership {
  /** Resolves when it takes part; alone, when each lane is read and owned or is halted. Also when the log has failed once. */
  start(): Promise<void>;
  /** Gives all lanes away; resolves when replies to what was sent are written, or the time for that is over. */
  stop(): Promise<void>;
  /** What was written, or what could be within `ms`. */
  flush(ms: number): Promise<void>;
  /** Ends all reading and writing. */
  close(): Promise<void>;
  /** Watermarks of lanes have changed. Alone, it resolves when they were read back. */
  publish(): Promise<void>;
  /** Highest watermark of the lane that was read back. */
  trimmable(lane: Lane): number;
  /** Who lives, and whether this process certainly does. */
  workers(): Workers;
  /** Who owns which lane. */
  report(): Promise<LanesResponse>;
  /** Lanes that nobody can be asked about at the moment. */
  recovering(): number[];
  /** Number of lanes whose owner is gone, as this process has read the lease log; alone, 0. */
  unowned(): number;
  notReady(): readonly string[];
}

export interface OwnershipOptions {
  readonly projection: Projection;
  readonly hooks: Omit<LaneHooks, 'mayOwn' | 'onOutdated'>;
  readonly laneTableVersion: () => number;
  /** More may be allowed than before. */
  readonly pump: () => void;
}

const TICK_MS = 100;
/** Nobody can take a lane away, and nothing is written that nothing has changed. */
const ALONE_TICK_MS = 1_000;
const DRAINS_AT_ONCE = 16;
const PUBLISH_MS = 3_000;
const PUBLISH_TRIES = 3;

/** The only one there is. */
const ALONE = { incarnation: ALONE_WORKER, address: '', leaving: false };
const never = Number.POSITIVE_INFINITY;
/** The lock on the log proves what others prove by waiting. */
const ALONE_TERMS: Partial<LeaseTerms> = { leaseMs: never, stallMs: never, lifeMs: never, cadenceMs: never };

function createMember({ config, log, ownerName, cluster }: DeliveryDeps, incarnation: string, now: Instant) {
  return createLeaseMember({
    worker: ownerName,
    incarnation,
    logId: `begun by ${incarnation}`,
    address: cluster?.address ?? '',
    laneCount: log.partitions('mail.lane'),
    laneTableVersion: 0,
    recipientBudget: cluster === undefined ? never : config.delivery.recipientBudget,
    drainsAtOnce: DRAINS_AT_ONCE,
    isAlone: cluster === undefined,
    terms: cluster === undefined ? ALONE_TERMS : {},
    now,
  });
}

type Act = (actions: readonly LeaseAction[]) => void;

/** Never repeated here: the member asks again. */
function append(owning: Owning, { id, kinds }: LeaseAction & { readonly do: 'append' }): void {
  const { core, member, reader } = owning;
  const { log, logger } = core.deps;
  const appended = log.append(LEASES.topic, LEASES.partition, kinds.map(encodeRecord));
  owning.landed = appended.then(
    (first) => {
      member.settled(id);
      return reader.readTo(first + kinds.length - 1).catch(() => {});
    },
    (error: unknown) => {
      member.settled(id);
      owning.hasFailed = true;
      logger.warn({ reason: reasonOf(error) }, 'delivery.lease.append_failed');
      tellChange(owning);
    },
  );
}

/** Reads both logs up to the ends that they have now. A lane that is still replayed reads to its end anyway. */
async function catchUp(owning: Owning, token: number): Promise<void> {
  const { core, reader, member } = owning;
  const { log, clock, config, logger } = core.deps;
  owning.catchUpToken = token;
  for (let failures = 0; !owning.hasLeft && owning.catchUpToken === token; failures++) {
    try {
      const { low, high } = await log.marks(LEASES.topic, LEASES.partition);
      const readLane = async (lane: Lane) => {
        const marks = await log.marks('mail.lane', lane.number);
        if (marks.high > marks.low) await lane.readTo(marks.high - 1).catch(() => {});
      };
      await Promise.all(core.lanes.filter(({ state }) => state !== 'replaying').map(readLane));
      if (high > low) await reader.readTo(high - 1);
      member.caughtUp(token);
      owning.onCaughtUp();
      return;
    } catch (error) {
      logger.warn({ reason: reasonOf(error) }, 'delivery.lease.not_caught_up');
    }
    await new Promise<void>((resolve) => void clock.after(backoffMs(failures, config.delivery.appendMaxRetryMs), resolve));
  }
}

function lose(owning: Owning, { lane: number, epoch, reason }: LeaseAction & { readonly do: 'lose' }): void {
  const lane = laneAt(owning, number);
  owning.opening.delete(number);
  owning.core.deps.logger.warn({ lane: number, epoch, reason }, 'delivery.lane.lost');
  if (lane !== undefined) giveAway(owning, lane);
}

function startDrain(owning: Owning, { lane: number, epoch }: Reign, act: Act): void {
  const { core, member, opening, now } = owning;
  const lane = laneAt(owning, number);
  core.deps.logger.info({ lane: number }, 'delivery.lane.draining');
  if (lane !== undefined) drain(owning, lane).then(act, crash);
  else if (opening.delete(number)) {
    const { watermark = 0, recipients = 0 } = member.fold.lanes.get(number) ?? {};
    act(member.drained({ lane: number, epoch }, { watermark, recipients }, now()));
  }
}

function trim({ core }: Owning, below: number): void {
  const { log, logger } = core.deps;
  log.trim(LEASES.topic, LEASES.partition, below).catch((error: unknown) => {
    logger.warn({ reason: reasonOf(error) }, 'delivery.lease.not_trimmed');
  });
}

function halt({ core }: Owning, reason: string): void {
  const cure = `two workers read ${LEASES.topic} differently: start one release everywhere, then look at the log`;
  core.deps.logger.error({ reason, cure }, 'delivery.lease.halted');
  crash(new Error(`${LEASES.topic}: ${reason}`));
}

/** Does what the member wants, in order. */
function createActing(owning: () => Owning): Act {
  const perform = (action: LeaseAction): void => {
    const it = owning();
    if (action.do === 'append') append(it, action);
    else if (action.do === 'begin') begin(it, action);
    else if (action.do === 'drain') startDrain(it, action, act);
    else if (action.do === 'lose') lose(it, action);
    else if (action.do === 'catchUp') catchUp(it, action.token).catch(crash);
    else if (action.do === 'trim') trim(it, action.below);
    else if (action.do === 'reread') it.reader.restart();
    else if (action.do === 'refuse') it.core.deps.logger.error({ ...action }, 'delivery.lane.refused');
    else if (action.do === 'left') it.hasLeft = true;
    else if (action.do === 'halt') halt(it, action.reason);
  };
  const act: Act = (actions) => {
    for (const action of actions) perform(action);
    if (actions.length > 0) tellChange(owning());
  };
  return act;
}

/** Alone: some lane is not where it belongs yet, so that time has to go on. */
const isUnsettled = ({ core, isStopping, hasLeft }: Owning): boolean =>
  isStopping ? !hasLeft : core.lanes.length < core.deps.log.partitions('mail.lane');

interface Ticking {
  start(): void;
  stop(): void;
  /** At once. */
  tick(): void;
  /** Sees to it that the next one comes. */
  go(): void;
}

function createTicking(owning: () => Owning, o: { act: Act; before: () => void }): Ticking {
  let callOff: (() => void) | undefined;
  let isOver = true;
  const tick = () => {
    o.before();
    o.act(owning().member.tick(owning().now()));
  };
  const go = () => {
    const { isAlone, core } = owning();
    if (isOver || callOff !== undefined || (isAlone && !isUnsettled(owning()))) return;
    callOff = core.deps.clock.after(isAlone ? ALONE_TICK_MS : TICK_MS, () => {
      callOff = undefined;
      tick();
      go();
    });
  };
  return {
    tick,
    go,
    start() {
      isOver = false;
      go();
    },
    stop() {
      isOver = true;
      callOff?.();
    },
  };
}

/** More came while the lane changed hands than its last owner has told. */
const OVER_BUDGET = 1.25;
const isTooMuch = ({ lanes, deps }: Core): boolean =>
  lanes.reduce((sum, { fold }) => sum + fold.liveRecipients, 0) > OVER_BUDGET * deps.config.delivery.recipientBudget;

/** What a lane tells of itself, besides what others want to know. On one machine nobody else could take what is given up. */
function createLaneHooks(owning: () => Owning, hooks: OwnershipOptions['hooks'], act: Act): LaneHooks {
  const giveUp = (lane: Lane, reason: 'halted' | 'too many recipients') => {
    const { core, member, troubles, now } = owning();
    troubles.set(lane.number, lane.trouble || reason);
    core.deps.logger.error({ lane: lane.number, reason }, 'delivery.lane.given_up');
    giveAway(owning(), lane);
    act(member.giveUp(reignOf(lane), reason, now()));
  };
  return {
    ...hooks,
    mayOwn: (lane) => owning().core.mayAct(lane),
    onOutdated(lane) {
      const { member, now } = owning();
      act(member.outdated(reignOf(lane), lane.fold.epoch, now()));
    },
    onHalted(lane) {
      hooks.onHalted(lane);
      if (!owning().isAlone) giveUp(lane, 'halted');
    },
    onBatch(lane) {
      const { isAlone, core } = owning();
      if (!isAlone && lane.state === 'replaying' && isTooMuch(core)) giveUp(lane, 'too many recipients');
      hooks.onBatch(lane);
    },
  };
}

function createOwning(core: Core, { projection, hooks, pump }: OwnershipOptions) {
  const { deps } = core;
  const now = () => ({ monotonicMs: (deps.cluster?.monotonicMs ?? deps.clock.nowMs)(), wallMs: deps.clock.nowMs() });
  const isAlone = deps.cluster === undefined;
  const incarnation = deps.cluster?.incarnation ?? randomUUID();
  const member = createMember(deps, incarnation, now());
  const act = createActing(() => owning);
  /** Alone, nothing needs to be waited for. */
  const goOn = () => {
    if (isAlone && isUnsettled(owning)) ticking.tick();
    ticking.go();
    pump();
  };
  const reader = createLeaseReader(deps, {
    onStart: (low) => act(member.reading(low, now())),
    onRecords(records) {
      act(member.read(records, now()));
      goOn();
    },
    onLost: () => act(member.logLost()),
    onTrouble() {
      owning.hasFailed = true;
      tellChange(owning);
    },
  });
  const owning: Owning = {
    ...{ core, member, reader, isAlone, incarnation, projection, now },
    hooks: createLaneHooks(() => owning, hooks, act),
    opening: new Map(),
    started: new WeakSet(),
    formers: new Set(),
    troubles: new Map(),
    counting: Promise.resolve(),
    landed: Promise.resolve(),
    hasFailed: false,
    catchUpToken: 0,
    onCaughtUp: goOn,
    isStopping: false,
    hasLeft: false,
    onChange: new Set(),
  };
  const lives = createLives(owning);
  const ticking = createTicking(() => owning, { act, before: lives.tell });
  return { owning, act, ticking };
}

function notReady({ core, member, isAlone, opening, troubles }: Owning): string[] {
  const { log } = core.deps;
  if (!member.fold.isBased) return [`delivery: ${LEASES.topic} is not read`];
  const numbers = Array.from({ length: log.partitions('mail.lane') }, (_, number) => number);
  const owned = new Map(core.lanes.map((lane) => [lane.number, lane]));
  return numbers.flatMap((number) => {
    const lane = owned.get(number);
    const trouble = troubles.get(number);
    if (lane?.state === 'live') return [];
    if (lane !== undefined) return [`delivery: lane ${number} is ${lane.state} ${lane.trouble}`.trim()];
    if (trouble !== undefined) return [`delivery: lane ${number} is halted ${trouble}`];
    return isAlone || opening.has(number) ? [`delivery: lane ${number} has no owner`] : [];
  });
}

function workersOf({ member, isAlone, now }: Owning): Workers {
  const members = isAlone ? [ALONE] : member.live();
  const incarnations = (some: typeof members) => some.map(({ incarnation }) => incarnation);
  return {
    members,
    live: incarnations(members),
    candidates: incarnations(members.filter(({ leaving }) => !leaving)),
    isLeased: isAlone || member.isLeased(now()),
  };
}

/** Whether what a start waits for has come. */
function hasStarted({ core, member, isAlone, started, hasFailed }: Owning): boolean {
  if (hasFailed || !isAlone) return hasFailed || member.live().length > 0;
  const { lanes, deps } = core;
  return lanes.length === deps.log.partitions('mail.lane') && lanes.every((lane) => started.has(lane));
}

/** The driver of this process's part in the lease log: see `LeaseMember`. */
export function createOwnership(core: Core, options: OwnershipOptions): Ownership {
  const { clock, config, log } = core.deps;
  const { owning, act, ticking } = createOwning(core, options);
  const { member, reader, isAlone, formers, now } = owning;
  const isCurrent = (lane: Lane) => lane.state === 'live' || lane.state === 'draining' || lane.state === 'replaying';
  core.mayAct = (lane) => isCurrent(lane) && member.mayAct(reignOf(lane), now());
  core.mayStart = (lane) => isCurrent(lane) && member.mayStart(reignOf(lane), now());
  let tableVersion = 0;
  return {
    async start() {
      reader.start();
      ticking.start();
      await until(owning, () => hasStarted(owning));
    },
    async stop() {
      const { drainMs, graceMs } = config.delivery;
      owning.isStopping = true;
      act(member.stop(now()));
      ticking.go();
      if (core.lanes.length + owning.opening.size > 0)
        await within(
          clock,
          drainMs + CLOSE_MS,
          until(owning, () => owning.hasLeft),
        );
      if (!isAlone)
        await within(
          clock,
          graceMs,
          until(owning, () => formers.size === 0),
        );
    },
    async flush(ms) {
      await within(clock, ms, Promise.all([...core.lanes, ...formers].map((lane) => lane.queue.idle())));
    },
    async close() {
      owning.hasLeft = true;
      ticking.stop();
      await Promise.all([reader.stop(), ...[...core.lanes, ...formers].map((lane) => lane.stop())]);
    },
    async publish() {
      if (options.laneTableVersion() !== tableVersion) {
        tableVersion = options.laneTableVersion();
        member.tableChanged(tableVersion, log.partitions('mail.lane'));
      }
      for (const lane of core.lanes) member.alive(reignOf(lane), lifeOf(lane), now());
      const isBehind = () => core.lanes.some((lane) => lane.state === 'live' && member.trimmable(reignOf(lane)) < lane.watermark);
      for (let tries = 0; isAlone && tries < PUBLISH_TRIES && isBehind(); tries++) {
        ticking.tick();
        await within(clock, PUBLISH_MS, owning.landed);
      }
    },
    trimmable: (lane) => member.trimmable(reignOf(lane)),
    workers: () => workersOf(owning),
    report: () => reportLanes(owning),
    recovering: () => recoveringLanes(owning),
    unowned: () => (isAlone ? 0 : member.free(now()).length),
    notReady: () => notReady(owning),
  };
}
