import { createScheduler, type Scheduler } from '@angarium/scheduler';
import { type Care, createCare } from './careful.ts';
import { type Contents, createContents } from './contents.ts';
import type { DeliveryDeps } from './deps.ts';
import { createFlights, type Flights } from './flights.ts';
import { createHops, type Hops } from './hops.ts';
import type { Lane } from './lane/lane.ts';
import { createMeters, type Meters } from './meters.ts';
import { reasonOf } from './pause.ts';
import { providerNames } from './providers.ts';
import { createQuotaMeters } from './quota/meters.ts';
import { createQuota, type Quota } from './quota/quota.ts';
import { type PoolName, poolsOf } from './sites.ts';
import { createMailboxTransport } from './transport/mailbox.ts';
import type { Transport } from './transport/port.ts';
import { createUnits, domainOf, type Units } from './unit.ts';

export type { Flight } from './flights.ts';

/** What the parts of delivery share. */
export interface Core {
  readonly deps: DeliveryDeps;
  readonly meters: Meters;
  readonly transports: readonly Transport[];
  readonly scheduler: Scheduler<PoolName>;
  readonly units: Units;
  readonly hops: Hops;
  /** Left out: no site has a limit. */
  readonly quota?: Quota;
  readonly contents: Contents;
  readonly flights: Flights;
  readonly care: Care;
  /** That this process owns, in the order of their numbers. */
  readonly lanes: Lane[];
  /** Last word of a site that failed or asked for less, for the queue tools. */
  readonly lastReplies: Map<string, string>;
  /** Last time that a suspension ended. */
  resumedAtMs: number;
  /** That new mail is stamped with. */
  laneTableVersion: () => number;
  /** Whether the lease lets us do something for the lane, and start something. */
  mayAct: (lane: Lane) => boolean;
  mayStart: (lane: Lane) => boolean;
  /** False once transactions are to be broken off. */
  isOpen: () => boolean;
  /** An id that no attempt of this lane's epochs had before. */
  nextAttemptId(lane: Lane): string;
}

function createLimits({ cluster, ...deps }: DeliveryDeps, scheduler: () => Core['scheduler']): Quota | undefined {
  const { config, clock } = deps;
  const now = () => ({ monotonicMs: (cluster?.monotonicMs ?? clock.nowMs)(), wallMs: clock.nowMs() });
  const names = config.delivery.limits.map(({ name }) => name);
  // There at 0 where nothing is limited: whoever looks at them need not know.
  createQuotaMeters(deps.metrics, names);
  if (names.length === 0) return undefined;
  return createQuota({ ...deps, now, incarnation: cluster?.incarnation, connect: cluster?.connectQuota }, scheduler);
}

export function createCore(deps: DeliveryDeps): Core {
  const { config, log, blobs, random, logger } = deps;
  const meters = createMeters(deps.metrics, providerNames(config.delivery.limits));
  const transports = [...deps.transports, createMailboxTransport(deps.mailbox)];
  const units = createUnits(config.delivery);
  const unitDomain = (number: number) => domainOf(units.open(number)?.recipients[0]?.address ?? '');
  const pools = poolsOf(config.delivery);
  const quota = createLimits(deps, () => scheduler);
  const scheduler = createScheduler({
    ...{ pools, random, maxIdleSites: config.delivery.maxIdleSites, domainOf: unitDomain },
    ...(quota && { gateOf: quota.gate }),
  });
  let attempts = 0;
  return {
    deps,
    meters,
    transports,
    scheduler,
    ...(quota && { quota }),
    units,
    hops: createHops(transports, {
      onFault: (error) => logger.error({ reason: reasonOf(error) }, 'delivery.resolve.failed'),
      onRoute: ({ site, limits }) => quota?.learn(site, limits),
    }),
    contents: createContents({ log, blobs, cacheOctets: config.delivery.bodyCacheOctets }),
    flights: createFlights(),
    care: createCare(deps),
    lanes: [],
    lastReplies: new Map(),
    resumedAtMs: 0,
    laneTableVersion: () => 0,
    mayAct: () => true,
    mayStart: () => true,
    isOpen: () => true,
    nextAttemptId: (lane) => `${lane.number}.${lane.epoch}.${++attempts}`,
  };
}
