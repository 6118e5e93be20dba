import type { Grant } from './grant.ts';
import { elapsedMs, type Instant, isNothing, type Limit, NOTHING, type QuotaTerms, type Units, unitsOf } from './limit.ts';
import { createSendWindow, type SendWindow } from './window.ts';

/** Mail that is ready for a key. */
export interface Demand {
  readonly ready: number;
  /** Age of the oldest. */
  readonly oldestMs: number;
}

/** What one worker has of a limit. */
export interface Holding {
  readonly key: string;
  demand: Demand;
  /** Of the grant; lowered by what was offered back. */
  units: Units;
  /** What it should come down to. */
  target: Units;
  contended: boolean;
  /** The moment before the grant was asked for. */
  grantedAt: Instant;
  /** Connections, whoever allowed them. */
  open: number;
  readonly window: SendWindow;
  turnStartedMs: number;
  turnMessages: number;
  /** The turn is over: everything is given back. */
  returning: boolean;
  asking: { readonly sequence: number; readonly askedAt: Instant } | undefined;
  askAtMs: number;
  /** Until then it asks often: the limit has changed. */
  hurriedUntilMs: number;
}

export const AT_ONCE = Number.NEGATIVE_INFINITY;

export const createHolding = (key: string, marginMs: number): Holding => ({
  key,
  demand: { ready: 0, oldestMs: 0 },
  units: NOTHING,
  target: NOTHING,
  contended: false,
  grantedAt: { monotonicMs: 0, wallMs: 0 },
  open: 0,
  window: createSendWindow(marginMs),
  turnStartedMs: 0,
  turnMessages: 0,
  returning: false,
  asking: undefined,
  askAtMs: AT_ONCE,
  hurriedUntilMs: AT_ONCE,
});

interface Moment {
  readonly now: Instant;
  readonly terms: QuotaTerms;
}

export const hasExpired = ({ grantedAt }: Holding, { now, terms }: Moment): boolean => elapsedMs(grantedAt, now) >= terms.grantMs;

export const granted = (holding: Holding, moment: Moment): Units => (hasExpired(holding, moment) ? NOTHING : holding.units);

const least = (one: Units, other: Units): Units => ({
  connections: Math.min(one.connections, other.connections),
  messages: Math.min(one.messages, other.messages),
});

/** Units that may be in use from now on: of a limit that was lowered no more than it has now. */
function usable(holding: Holding, limit: Limit | undefined, moment: Moment): Units {
  const units = holding.returning ? NOTHING : granted(holding, moment);
  return least(least(units, holding.target), limit === undefined ? units : unitsOf(limit));
}

/** The same, without end where there is no limit. */
export function allowed(holding: Holding, limit: Limit, moment: Moment): Units {
  const { connections, messages } = usable(holding, limit, moment);
  const unlimited = connections > 0 || messages > 0 ? Number.POSITIVE_INFINITY : 0;
  return {
    connections: limit.connections === undefined ? unlimited : connections,
    messages: limit.messages === undefined ? unlimited : messages,
  };
}

/** Connections count only where they are limited. */
export const openUnits = ({ open }: Holding, limit: Limit | undefined): number => (limit?.connections === undefined ? 0 : open);

/** What it keeps of its grant when it asks: what it needs, no more than it was told to come down to, but what is in use. */
export function kept(holding: Holding, limit: Limit | undefined, moment: Moment): Units {
  const isDone = holding.demand.ready === 0;
  if (isDone && holding.open === 0) return NOTHING;
  const { connections, messages } = usable(holding, limit, moment);
  const all = granted(holding, moment);
  const open = openUnits(holding, limit);
  return {
    connections: Math.min(all.connections, isDone ? open : Math.max(open, connections)),
    messages: Math.min(all.messages, Math.max(holding.window.pending, messages)),
  };
}

/** It has more than it should, or more than it needs. */
export function hasSurplus({ units, target, open, window, returning, demand }: Holding): boolean {
  if (isNothing(units)) return false;
  if (open === 0 && (returning || demand.ready === 0)) return true;
  return units.messages > Math.max(window.pending, target.messages) || units.connections > Math.max(open, target.connections);
}

/** Others wait, and it had as much as one may have in a turn. */
export const hadTurn = (holding: Holding, { now, terms }: Moment): boolean =>
  holding.contended &&
  !isNothing(holding.units) &&
  (holding.turnMessages >= terms.turnMessages || now.monotonicMs - holding.turnStartedMs >= terms.turnMs);

/** Until it asks again: soon while it can do nothing. */
export function pauseMs(holding: Holding, limit: Limit | undefined, moment: Moment): number {
  const { connections, messages } = limit === undefined ? NOTHING : allowed(holding, limit, moment);
  const isIdle = connections === 0 || messages === 0;
  return holding.demand.ready > 0 && isIdle ? moment.terms.askMs : moment.terms.renewMs;
}

/** Notes a grant. A turn begins with the first units. */
export function take(holding: Holding, grant: Grant, { askedAt, now }: { askedAt: Instant; now: Instant }): void {
  if (isNothing(holding.units) && !isNothing(grant.units)) Object.assign(holding, { turnStartedMs: now.monotonicMs, turnMessages: 0 });
  Object.assign(holding, { units: grant.units, target: grant.target, contended: grant.contended, grantedAt: askedAt });
}
