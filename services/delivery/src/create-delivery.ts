import type { AccountingReport } from '@angarium/lanes';
import type { Suspension } from '@angarium/records';
import type { Queue, Quota } from '@angarium/rpc';
import type { Service } from '@angarium/runtime';
import { exportAccounting } from './accounting/gauges.ts';
import { createProjection, type Projection } from './accounting/projection.ts';
import { type Control, createControl } from './control/control.ts';
import { type Core, createCore } from './core.ts';
import type { DeliveryDeps } from './deps.ts';
import { createDispatch, type Dispatch } from './dispatch.ts';
import { exportGauges } from './gauges.ts';
import type { Lane, LaneHooks } from './lane/lane.ts';
import { createNotifier, type Notifier } from './notify/notifier.ts';
import { createOwnership } from './ownership/ownership.ts';
import { CLOSE_MS } from './ownership/tenure.ts';
import { createPeers } from './peers.ts';
import { createClusterQueue } from './queue/cluster-queue.ts';
import { createQueue } from './queue/create-queue.ts';
import { deleteLaneBlob, follow, takeOver } from './reading.ts';
import { createUpkeep } from './upkeep.ts';
import { exportUseful } from './useful.ts';
import { endMessage } from './waiting.ts';

export interface Delivery extends Service {
  /** The queue of the whole cluster. */
  readonly queue: Queue;
  /** Of this worker's lanes, for the others. */
  readonly ownQueue: Queue;
  /** For the other workers; left out: no site has a limit. */
  readonly quota?: Quota;
  /** The count of promise 2; undefined while the lanes are replayed. */
  accounting(): AccountingReport | undefined;
  /** What keeps it from being ready, in words. */
  notReady(): readonly string[];
}

interface Parts {
  readonly core: Core;
  readonly dispatch: Dispatch;
  readonly notifier: Notifier;
  readonly projection: Projection;
}

/** How the lanes drive everything else. */
function createHooks({ core, dispatch, notifier, projection }: Parts): Omit<LaneHooks, 'mayOwn' | 'onOutdated'> {
  const { clock, logger } = core.deps;
  const begunAtMs = new WeakMap<Lane, number>();
  return {
    onStart(lane, position) {
      begunAtMs.set(lane, clock.nowMs());
      projection.startLane(lane, position);
    },
    onRecord(lane, record, change) {
      projection.onLane(lane, record, change);
      if (core.mayAct(lane)) for (const message of change.ended) deleteLaneBlob(core, message);
      if (lane.state === 'live') follow(core, notifier, { lane, record, change });
    },
    onLive(lane) {
      core.meters.replay.observe((clock.nowMs() - (begunAtMs.get(lane) ?? clock.nowMs())) / 1000);
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
 * Delivers the mail of this process's lanes. `start` resolves when each lane is read and owned, is halted, or could not be owned
 * at the first try, and in a cluster when this process takes part; `stop` starts nothing new, waits for what is on the wire,
 * writes its outcomes and gives the lanes away.
 */
export function createDelivery(deps: DeliveryDeps): Delivery {
  const core = createCore(deps);
  const parts: Parts = { core, dispatch: createDispatch(core), notifier: createNotifier(core), projection: createProjection(core) };
  const { dispatch, notifier, projection } = parts;
  const { pump } = dispatch;
  const onLimit = (name: string) => core.quota?.order(name, control.fold.limitOrders.get(name));
  const control: Control = createControl(deps, { onSuspension: createSuspender(core, pump), onLimit });
  core.laneTableVersion = () => control.fold.laneTable?.version ?? 0;
  const { laneTableVersion } = core;
  const ownership = createOwnership(core, { projection, hooks: createHooks(parts), laneTableVersion, pump });
  const upkeep = createUpkeep(core, { projection, control, ownership });
  exportAccounting(deps.metrics, () => projection.report());
  exportGauges(core, { dispatch, upkeep, ownership });
  exportUseful(core, {
    workers: () => ownership.workers().members.length,
    isSuspended: () => control.fold.suspensions.has('all'),
  });
  const { cluster, logger } = deps;
  const own = createQueue(core, { control, ownership, pump });
  return {
    ownQueue: own,
    queue: cluster
      ? createClusterQueue({ own, ownership, logger, incarnation: cluster.incarnation, peers: createPeers(cluster.connectQueue) })
      : own,
    ...(core.quota && { quota: core.quota.port }),
    accounting: () => projection.report(),
    async start() {
      await control.start();
      core.quota?.start(ownership.workers, pump);
      await ownership.start();
      upkeep.start();
    },
    async stop() {
      const upkeepEnded = upkeep.stop();
      dispatch.close();
      await ownership.stop();
      notifier.stop();
      core.isOpen = () => false;
      await Promise.all(core.transports.map((transport) => transport.close()));
      await dispatch.idle(CLOSE_MS);
      await ownership.flush(CLOSE_MS);
      await Promise.all([control.stop(), projection.end(), upkeepEnded, ownership.close()]);
      core.quota?.stop();
    },
    notReady: () => [...(control.trouble === '' ? [] : [`delivery: ${control.trouble}`]), ...ownership.notReady()],
  };
}
