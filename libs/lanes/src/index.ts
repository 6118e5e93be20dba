export {
  type Accounting,
  type AccountingCheckpoint,
  type AccountingOrigin,
  type AccountingReport,
  createAccounting,
  type InPosition,
} from './accounting.ts';
export type { AccountingTotals } from './accounting-partition.ts';
export { type ControlFold, createControlFold } from './control.ts';
export { createLaneFold, type LaneFold, type LaneFoldOptions, type Notification } from './fold.ts';
export { hashText } from './hash.ts';
export type { Inheritance, LeaseAction, LossReason } from './lease/action.ts';
export { createLeaseFold, type LeaseFold } from './lease/fold.ts';
export type { Lease, LeaseEvent, LeaseRecord, Member } from './lease/lease.ts';
export { createLeaseMember, type LaneLife, type LeaseMember, type Reign } from './lease/member.ts';
export type { LeaseMemberOptions } from './lease/state.ts';
export { elapsedMs, type Instant, type LeaseTerms, leaseTerms } from './lease/terms.ts';
export type * from './live.ts';
export { createLaneTable, defaultLaneTable, type LaneChoice, laneOf } from './table.ts';
export { UnreadableRecord } from './unreadable.ts';
