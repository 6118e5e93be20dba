import { Placement } from '@angarium/rpc';

/** Placements that this release knows, by their label. */
export const PLACEMENT_NAMES: ReadonlyMap<Placement, string> = new Map([
  [Placement.MAILBOX, 'mailbox'],
  [Placement.MX, 'mx'],
  [Placement.SMARTHOST, 'smarthost'],
  [Placement.UNKNOWN_USER, 'unknown_user'],
  [Placement.LOOP, 'loop'],
  [Placement.DISABLED, 'disabled'],
]);
