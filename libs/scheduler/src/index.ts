export type { Census } from './census.ts';
export { reach } from './columns.ts';

export type { Grant, GrantAnswer, GrantRequest, Held, LedgerLine, Surrender } from './quota/grant.ts';
export { createGrantee, type Grantee, type GranteeAction, type GranteeOptions } from './quota/grantee.ts';
export { type CollectAction, type Company, createGranter, type Granter, type GranterOptions } from './quota/granter.ts';
export type { Demand } from './quota/holding.ts';
export { granterOf, type Limit, type LimitOf, type QuotaTerms, quotaTerms, type Units } from './quota/limit.ts';

export { nextAttempt, type RetryPolicy } from './retry.ts';
export {
  createScheduler,
  type Gate,
  type Offer,
  type Scheduler,
  type SchedulerOptions,
  type SiteView,
  type Start,
  type Whereabouts,
} from './scheduler.ts';
export type { PoolOptions, Ticket, Verdict } from './site.ts';
