import type { Quota } from '@angarium/rpc';
import type { Clock, Config, Logger, Metrics } from '@angarium/runtime';
import { createGrantee, createGranter, type Instant, type QuotaTerms, quotaTerms, type Scheduler, type Ticket } from '@angarium/scheduler';
import type { ConnectPeer } from '../peers.ts';
import { createLimits } from './limits.ts';
import { createQuotaMeters } from './meters.ts';
import type { Room } from './room.ts';

export interface QuotaDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly now: () => Instant;
  /** Of this process; undefined: there are no other workers. */
  readonly incarnation: string | undefined;
  readonly connect: ConnectPeer<Quota> | undefined;
}

export type SiteScheduler = Pick<Scheduler, 'site' | 'reopen' | 'oldestReadyMs'>;

/** Name of a worker that there are no others beside. */
export const ALONE_WORKER = 'alone';
/** Alone, the lock on the log proves that whoever granted before is gone, and its connections with it: nothing is waited for. */
const termsOf = ({ config, incarnation }: QuotaDeps): Partial<QuotaTerms> => {
  const grantMs = config.delivery.limitGrantMs;
  return { grantMs, renewMs: Math.min(quotaTerms.renewMs, grantMs / 4), ...(incarnation === undefined && { leaseMs: -grantMs }) };
};

interface Start {
  readonly rooms: readonly Room[];
  hasSent: boolean;
}

/** What the parts of the driver share. */
export function createQuotaState(deps: QuotaDeps, scheduler: () => SiteScheduler) {
  const { config, incarnation = ALONE_WORKER } = deps;
  const { limitOf, order } = createLimits(config.delivery.limits);
  const terms = termsOf(deps);
  return {
    deps,
    scheduler,
    limitOf,
    order,
    incarnation,
    grantee: createGrantee({ incarnation, limitOf, terms }),
    granter: createGranter({ incarnation, limitOf, terms }),
    meters: createQuotaMeters(
      deps.metrics,
      config.delivery.limits.map(({ name }) => name),
    ),
    rooms: new Map<string, Room>(),
    /** What limits the sites that something does. */
    sites: new Map<string, readonly Room[]>(),
    starts: new WeakMap<Ticket, Start>(),
  };
}

export type QuotaState = ReturnType<typeof createQuotaState>;
