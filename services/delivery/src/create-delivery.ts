import type { AccountingReport } from '@angarium/lanes';
import type { Suspension } from '@angarium/records';
import type { Queue } from '@angarium/rpc';
import type { Service } from '@angarium/runtime';
import { exportAccounting } from './accounting/gauges.ts';
import { createProjection, type Projection } from './accounting/projection.ts';
import { createControl } from './control/control.ts';
import { type Core, createCore } from './core.ts';
import type { DeliveryDeps } from './deps.ts';
import { createDispatch, type Dispatch } from './dispatch.ts';
import { recordDoubts } from './doubt.ts';
import { exportGauges } from './gauges.ts';
import { type LaneHooks, openLane } from './lane/lane.ts';
import { createNotifier, type Notifier } from './notify/notifier.ts';
import { createQueue } from './queue/create-queue.ts';
import { deleteLaneBlob, follow, takeOver } from './reading.ts';
import { createUpkeep } from './upkeep.ts';
import { endMessage } from './waiting.ts';

export interface Delivery extends Service {
  readonly queue: Queue;
  /** The count of promise 2; undefined while the lanes are replayed. */
  accounting(): AccountingReport | undefined;
  /** What keeps it from being ready, in words. */
  notReady(): readonly string[];
}

const CLOSE_MS = 2000;

interface Parts {
  readonly core: Core;
  readonly dispatch: Dispatch;
  readonly notifier: Notifier;
  readonly projection: Projection;
}

/** How the lanes drive everything else. */
function createHooks({ core, dispatch, notifier, projection }: Parts): LaneHooks {
  const { clock, logger } = core.deps;
  const startedAtMs = clock.nowMs();
  return {
    onStart: (lane, position) => projection.startLane(lane.number, position),
    onRecord(lane, record, change) {
      projection.onLane(lane.number, record, change);
      for (const message of change.ended) deleteLaneBlob(core, message);
      if (lane.state === 'live') follow(core, notifier, { lane, record, change });
    },
    onLive(lane) {
      core.meters.replay.observe((clock.nowMs() - startedAtMs) / 1000);
      logger.info({ lane: lane.number, epoch: lane.epoch, live: lane.fold.liveRecipients }, 'delivery.lane.owned');
      core.care.begin(lane);
      takeOver(core, notifier, lane);
    },
    onBatch: () => dispatch.pump(),
    onAppend: () => dispatch.pump(),
    onHalted(lane) {
      for (const message of lane.fold.messages.values()) endMessage(core, message);
    },
  };
}

function createSuspender(core: Core, pump: () => void): (suspension: Suspension) => void {
  const { clock, logger } = core.deps;
  return ({ scope, suspended, reason }) => {
    const nowMs = clock.nowMs();
    if (suspended) core.scheduler.suspend(scope, nowMs);
    else {
      core.resumedAtMs = nowMs;
      core.scheduler.resume(scope, nowMs);
      pump();
    }
    logger.info({ scope, reason }, suspended ? 'delivery.scope.suspended' : 'delivery.scope.resumed');
  };
}

/**
 * Waits for what is on the wire. What is sent and not answered soon is written down, since whoever stops us may lose patience;
 * answers that come later are written all the same. The hold outlasts the last instant at which that can happen, `drainMs` and
 * what follows it, by `inDoubtHoldMs`: then the host has finished with the message or has noticed that we are gone.
 */
async function drain(core: Core, dispatch: Dispatch): Promise<void> {
  const { drainMs, inDoubtAfterMs, inDoubtHoldMs } = core.deps.config.delivery;
  const firstMs = Math.min(inDoubtAfterMs, drainMs);
  await dispatch.drain(firstMs);
  if (dispatch.active === 0) return;
  recordDoubts(core, core.deps.clock.nowMs() + drainMs - firstMs + 3 * CLOSE_MS + inDoubtHoldMs);
  await dispatch.drain(drainMs - firstMs);
}

/** What was written, or what could be within two seconds. */
async function flushOutcomes({ lanes, deps }: Core): Promise<void> {
  const late = new Promise<void>((resolve) => deps.clock.after(CLOSE_MS, resolve));
  await Promise.race([Promise.all(lanes.map((lane) => lane.queue.idle())), late]);
}

/**
 * Delivers the mail of all lanes of the log. `start` resolves when each lane is read and owned, is halted, or could not be owned
 * at the first try; `stop` starts nothing new, waits for what is on the wire and writes its outcomes.
 */
export function createDelivery(deps: DeliveryDeps): Delivery {
  const { log } = deps;
  const core = createCore(deps);
  const { lanes } = core;
  const parts: Parts = { core, dispatch: createDispatch(core), notifier: createNotifier(core), projection: createProjection(core) };
  const { dispatch, notifier, projection } = parts;
  const control = createControl(deps, createSuspender(core, dispatch.pump));
  const upkeep = createUpkeep(core, projection, control);
  core.laneTableVersion = () => control.fold.laneTable?.version ?? 0;
  exportAccounting(deps.metrics, () => projection.report());
  exportGauges(core, dispatch, upkeep);
  const hooks = createHooks(parts);
  return {
    queue: createQueue(core, control, dispatch.pump),
    accounting: () => projection.report(),
    async start() {
      await control.start();
      await projection.prepare();
      for (let number = 0; number < log.partitions('mail.lane'); number++) lanes.push(openLane(number, deps, hooks));
      projection.start();
      await Promise.all(lanes.map((lane) => lane.start()));
      upkeep.start();
    },
    async stop() {
      const upkeepEnded = upkeep.stop();
      await drain(core, dispatch);
      notifier.stop();
      core.isOpen = () => false;
      await Promise.all(core.transports.map((transport) => transport.close()));
      await dispatch.drain(CLOSE_MS);
      await flushOutcomes(core);
      await Promise.all([control.stop(), projection.stop(), upkeepEnded, ...lanes.map((lane) => lane.stop())]);
    },
    notReady: () => [
      ...(control.trouble === '' ? [] : [`delivery: ${control.trouble}`]),
      ...lanes
        .filter(({ state }) => state !== 'live')
        .map((lane) => `delivery: lane ${lane.number} is ${lane.state} ${lane.trouble}`.trim()),
    ],
  };
}
