import type { Projection } from './accounting/projection.ts';
import { countAges } from './ages.ts';
import { countAstray } from './astray.ts';
import type { Control } from './control/control.ts';
import type { Core } from './core.ts';
import type { Lane } from './lane/lane.ts';
import { moveOldest } from './lane/moving.ts';
import { findWatermark, trimInput, trimLane } from './lane/trimming.ts';
import type { Fault } from './meters.ts';
import type { Ownership } from './ownership/ownership.ts';
import { crash, reasonOf } from './pause.ts';
import { type Census, takeCensus } from './queue/summary.ts';
import { sweepBlobs } from './sweeper.ts';

/** What is done once in a while: count, trim, rewrite, sweep. */
export interface Upkeep {
  start(): void;
  stop(): Promise<void>;
  /** As of the last round; undefined: before the start. */
  readonly seen: Seen | undefined;
}

/** What each scrape would be too often for. */
export interface Seen {
  readonly census: Census;
  /** In the order of `AGES`. */
  readonly ages: readonly number[];
  /** Records between watermark and tail, the largest over the lanes. Cost: a pass over all that is remembered as finished. */
  readonly lagRecords: number;
  /** Recipients that nothing here would ever try, now. */
  readonly astrayNow: number;
  /** The same in this round and the one before. */
  readonly astray: number;
}

/** Each part for itself: what one cannot do now is tried again in the next round. */
async function attempt({ deps, meters }: Core, fault: Fault, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof TypeError) crash(error);
    meters.ownFaults.inc({ fault });
    deps.logger.error({ fault, reason: reasonOf(error) }, 'delivery.upkeep.failed');
  }
}

async function tendLanes(core: Core, projection: Projection, ownership: Ownership): Promise<void> {
  const lows = new Map<Lane, number>();
  for (const lane of [...core.lanes]) if (lane.state === 'live') lows.set(lane, await findWatermark(core, lane, projection));
  await ownership.publish();
  for (const [lane, low] of lows)
    if (lane.state === 'live') await moveOldest(core, lane, await trimLane(core, lane, { low, trimmable: ownership.trimmable(lane) }));
}

function look(core: Core, before: Seen | undefined): Seen {
  const live = core.lanes.filter(({ state }) => state === 'live');
  const lagRecords = Math.max(0, ...live.map(({ fold }) => fold.position - fold.watermark()));
  const census = takeCensus(core);
  const astrayNow = countAstray(core, census);
  return { census, ages: countAges(core), lagRecords, astrayNow, astray: Math.min(astrayNow, before?.astrayNow ?? 0) };
}

/** What one worker does for all is done by the owner of lane 0. */
const isFirst = (core: Core): boolean => core.lanes.some((lane) => lane.number === 0 && core.mayAct(lane));

/** Rings when the count is off twice in a row: a record that is read in one topic and not yet in the other is no loss. */
function createAuditor({ deps }: Core, projection: Projection): () => void {
  let wasOff = false;
  return () => {
    const report = projection.report();
    const isOff = report !== undefined && report.difference !== 0;
    if (isOff && wasOff) deps.logger.error({ ...report }, 'delivery.accounting.differed');
    wasOff = isOff;
  };
}

export interface UpkeepParts {
  readonly projection: Projection;
  readonly control: Control;
  readonly ownership: Ownership;
}

export function createUpkeep(core: Core, { projection, control, ownership }: UpkeepParts): Upkeep {
  const { clock, config } = core.deps;
  const { housekeepingMs, sweepEveryMs } = config.delivery;
  const audit = createAuditor(core, projection);
  let callOff: () => void = () => {};
  let round: Promise<void> = Promise.resolve();
  let isStopped = false;
  let sweptAtMs = clock.nowMs();
  let seen: Seen | undefined;

  const tend = async (): Promise<void> => {
    seen = look(core, seen);
    if (seen.astray > 0) core.deps.logger.error({ recipients: seen.astray, cure: 'restart this worker' }, 'delivery.recipients.astray');
    await attempt(core, 'accounting', () => projection.keep());
    audit();
    if (!isStopped && isFirst(core)) await attempt(core, 'log', () => control.tend());
    if (!isStopped) await attempt(core, 'lane', () => tendLanes(core, projection, ownership));
    for (const input of projection.inputs) if (!isStopped && isFirst(core)) await attempt(core, 'log', () => trimInput(core, input));
    if (isStopped || clock.nowMs() - sweptAtMs < sweepEveryMs) return;
    sweptAtMs = clock.nowMs();
    await attempt(core, 'sweep', () => sweepBlobs(core, projection));
  };
  const next = (): void => {
    callOff = clock.after(housekeepingMs, () => {
      round = tend().then(() => {
        if (!isStopped) next();
      });
      round.catch(crash);
    });
  };
  return {
    start() {
      seen = look(core, seen);
      next();
    },
    async stop() {
      isStopped = true;
      callOff();
      await round;
    },
    get seen() {
      return seen;
    },
  };
}
