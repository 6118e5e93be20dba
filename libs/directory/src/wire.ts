import type { CheckResult as Check, TransportKind as Kind, Placement as Place, TransportTls as Tls } from '@angarium/rpc';

/*
 * Values of the contract's enums. This room does not load gRPC to read four tables of numbers; the types keep them equal.
 */

export const CheckResult = { LOCAL: 1, UNKNOWN_USER: 2, REMOTE: 3, DISABLED: 4 } as const satisfies Partial<typeof Check>;
export const Placement = {
  MAILBOX: 1,
  MX: 2,
  SMARTHOST: 3,
  UNKNOWN_USER: 4,
  LOOP: 5,
  DISABLED: 6,
} as const satisfies Partial<typeof Place>;
export const TransportKind = { MAILBOX: 1, MX: 2, SMARTHOST: 3 } as const satisfies Partial<typeof Kind>;
export const TransportTls = { OPPORTUNISTIC: 1, REQUIRED: 2, IMPLICIT: 3, NEVER: 4 } as const satisfies Partial<typeof Tls>;
