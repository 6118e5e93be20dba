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
export type * from './live.ts';
export { createLaneTable, defaultLaneTable, type LaneChoice, laneOf } from './table.ts';
export { UnreadableRecord } from './unreadable.ts';
