import type { Suspension } from '@angarium/records';
import type { Queue } from '@angarium/rpc';
import type { Service } from '@angarium/runtime';
import { createControl } from './control/control.ts';
import { createCore } from './core.ts';
import type { DeliveryDeps } from './deps.ts';
import { createDispatch } from './dispatch.ts';
import { type LaneHooks, openLane } from './lane/lane.ts';
import { createNotifier } from './notify/notifier.ts';
import { createQueue } from './queue/create-queue.ts';
import { deleteLaneBlob, follow, takeOver } from './reading.ts';

export interface Delivery extends Service {
  readonly queue: Queue;
  /** What keeps it from being ready, in words. */
  notReady(): readonly string[];
}

const CLOSE_MS = 2000;

/**
 * Delivers the mail of all lanes of the log. `start` resolves when each lane is read and owned, is halted, or could not be owned
 * at the first try; `stop` starts nothing new, waits for what is on the wire and writes its outcomes.
 */
export function createDelivery(deps: DeliveryDeps): Delivery {
  const { clock, logger, config, log } = deps;
  const core = createCore(deps);
  const dispatch = createDispatch(core);
  const notifier = createNotifier(core);
  const { scheduler, lanes } = core;

  const onSuspension = ({ scope, suspended, reason }: Suspension) => {
    const nowMs = clock.nowMs();
    if (suspended) scheduler.suspend(scope, nowMs);
    else {
      core.resumedAtMs = nowMs;
      scheduler.resume(scope, nowMs);
      dispatch.pump();
    }
    logger.info({ scope, reason }, suspended ? 'delivery.scope.suspended' : 'delivery.scope.resumed');
  };
  const control = createControl(deps, onSuspension);
  core.laneTableVersion = () => control.fold.laneTable?.version ?? 0;

  const startedAtMs = clock.nowMs();
  const hooks: LaneHooks = {
    onRecord(lane, record, change) {
      for (const message of change.ended) deleteLaneBlob(core, message);
      if (lane.state === 'live') follow(core, notifier, { lane, record, change });
    },
    onLive(lane) {
      core.meters.replay.observe((clock.nowMs() - startedAtMs) / 1000);
      logger.info({ lane: lane.number, epoch: lane.epoch, live: lane.fold.liveRecipients }, 'delivery.lane.owned');
      takeOver(core, notifier, lane);
    },
    onBatch: () => dispatch.pump(),
    onAppend: () => dispatch.pump(),
    onHalted(lane) {
      for (const message of lane.fold.messages.values())
        for (const unit of core.units.of(message)) core.scheduler.remove(unit, clock.nowMs());
    },
  };

  return {
    queue: createQueue(core, control, dispatch.pump),
    async start() {
      await control.start();
      for (let number = 0; number < log.partitions('mail.lane'); number++) lanes.push(openLane(number, deps, hooks));
      await Promise.all(lanes.map((lane) => lane.start()));
    },
    async stop() {
      await dispatch.drain(config.delivery.drainMs);
      notifier.stop();
      core.isOpen = () => false;
      await Promise.all(core.transports.map((transport) => transport.close()));
      await dispatch.drain(CLOSE_MS);
      await Promise.race([
        Promise.all(lanes.map((lane) => lane.queue.idle())),
        new Promise<void>((resolve) => clock.after(CLOSE_MS, resolve)),
      ]);
      await Promise.all([control.stop(), ...lanes.map((lane) => lane.stop())]);
    },
    notReady: () => [
      ...(control.trouble === '' ? [] : [`delivery: ${control.trouble}`]),
      ...lanes
        .filter(({ state }) => state !== 'live')
        .map((lane) => `delivery: lane ${lane.number} is ${lane.state} ${lane.trouble}`.trim()),
    ],
  };
}
