export { nextAttempt, type RetryPolicy } from './retry.ts';
export { createScheduler, type Gate, type Offer, type Scheduler, type SchedulerOptions, type SiteView, type Start } from './scheduler.ts';
export type { PoolOptions, Ticket, Verdict } from './site.ts';
export { NEW_UNIT, type Unit } from './unit.ts';
