export {
  type Accounting,
  type AccountingCheckpoint,
  type AccountingOrigin,
  type AccountingReport,
  type AccountingTotals,
  createAccounting,
  type InPosition,
} from './accounting.ts';
export { type ControlFold, createControlFold } from './control.ts';
export { createLaneFold, type LaneFold, type LaneFoldOptions, type Notification } from './fold.ts';
export type * from './live.ts';
export { createLaneTable, defaultLaneTable, type LaneChoice, laneOf } from './table.ts';
export { UnreadableRecord } from './unreadable.ts';
