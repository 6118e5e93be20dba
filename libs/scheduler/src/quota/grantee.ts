import type { GrantAnswer, GrantRequest, Held } from './grant.ts';
import * as holdings from './holding.ts';
import { AT_ONCE, createHolding, type Demand, type Holding } from './holding.ts';
import { type Instant, isNothing, type LimitOf, NOTHING, type QuotaTerms, quotaTerms, type Units, windowMs } from './limit.ts';

export type GranteeAction =
  /** Send to `granterOf(key, candidates)`; then `answered`, or `failed` after a second. */
  | { readonly do: 'ask'; readonly request: GrantRequest }
  /** The grant has ended: close all connections of the key but those whose final dot was sent. */
  | { readonly do: 'expire'; readonly key: string };

/** One worker's side of the limits. Keys without a limit may do everything and ask nobody. */
export interface Grantee {
  /** What is ready; told again when it changes. */
  demand(key: string, demand: Demand): void;
  /** Whether one more connection may be opened now. Then `opened`, before the first packet. */
  mayOpen(key: string, now: Instant): boolean;
  opened(key: string): void;
  /** The connection is closed: the receiver has closed it too, or it was cut off at the end of the grant. */
  closed(key: string): void;
  /** How many connections may be open: idle ones above that are closed at once, others after their transaction. */
  mayKeep(key: string, now: Instant): number;
  /** Transactions that may begin now. */
  sendsNow(key: string, now: Instant): number;
  /** Milliseconds until a transaction may begin; 0: now, infinite: not known. Then `sent`, before MAIL. */
  sendsInMs(key: string, now: Instant): number;
  sent(key: string): void;
  /** MAIL was answered, or its connection is gone: once for each `sent`. */
  counted(key: string, now: Instant): void;
  /** The limit has other values: the granter is asked at once, and some times more, since it may learn of them later. */
  hurry(key: string, now: Instant): void;
  /** Every 100 ms. */
  tick(now: Instant): readonly GranteeAction[];
  answered(answer: GrantAnswer, request: GrantRequest, now: Instant): void;
  failed(request: GrantRequest, now: Instant): void;
  /** What was granted to it and has not ended; connections that are open. For those who look at it. */
  view(key: string, now: Instant): { readonly granted: Units; readonly open: number };
  /** A new granter collects: what is held. Answers that are under way count no more. */
  held(key: string, now: Instant): Omit<Held, 'surrender'>;
}

export interface GranteeOptions {
  readonly incarnation: string;
  readonly limitOf: LimitOf;
  readonly terms?: Partial<QuotaTerms>;
}

/** Within it all workers know a change of a limit. */
const HURRY_MS = 1500;

interface State {
  readonly incarnation: string;
  readonly limitOf: LimitOf;
  readonly terms: QuotaTerms;
  readonly holdings: Map<string, Holding>;
  sequence: number;
}

function holdingOf({ holdings: known, terms }: State, key: string): Holding {
  const holding = known.get(key) ?? createHolding(key, terms.marginMs);
  known.set(key, holding);
  return holding;
}

function ask(state: State, holding: Holding, now: Instant): GranteeAction {
  const limit = state.limitOf(holding.key);
  const keeps = holdings.kept(holding, limit, { now, terms: state.terms });
  const { ready, oldestMs } = holding.demand;
  state.sequence++;
  const request: GrantRequest = {
    key: holding.key,
    from: state.incarnation,
    sequence: state.sequence,
    keeps,
    open: holdings.openUnits(holding, limit),
    wants: { connections: ready, messages: ready },
    oldestMs,
    served: holding.returning,
  };
  holding.units = keeps;
  if (holding.open === 0) holding.returning = false;
  holding.asking = { sequence: state.sequence, askedAt: now };
  return { do: 'ask', request };
}

function tickHolding(state: State, holding: Holding, now: Instant): readonly GranteeAction[] {
  const moment = { now, terms: state.terms };
  const actions: GranteeAction[] = [];
  if (!isNothing(holding.units) && holdings.hasExpired(holding, moment)) {
    Object.assign(holding, { units: NOTHING, askAtMs: AT_ONCE });
    if (holding.open > 0) actions.push({ do: 'expire', key: holding.key });
  }
  if (holdings.hadTurn(holding, moment)) holding.returning = true;
  if (holdings.hasSurplus(holding)) holding.askAtMs = AT_ONCE;
  if (holding.asking !== undefined) return actions;
  const isConcerned = holding.demand.ready > 0 || holding.open > 0 || !isNothing(holding.units);
  if (isConcerned && now.monotonicMs >= holding.askAtMs) actions.push(ask(state, holding, now));
  if (!isConcerned && state.limitOf(holding.key) === undefined) state.holdings.delete(holding.key);
  return actions;
}

function answered(state: State, { answer, request, now }: { answer: GrantAnswer; request: GrantRequest; now: Instant }): void {
  const holding = state.holdings.get(request.key);
  if (holding?.asking?.sequence !== request.sequence) return;
  const { askedAt } = holding.asking;
  holding.asking = undefined;
  if (answer !== 'elsewhere') holdings.take(holding, answer, { askedAt, now });
  const pauseMs = holdings.pauseMs(holding, state.limitOf(holding.key), { now, terms: state.terms });
  const isHurried = answer === 'elsewhere' || now.monotonicMs < holding.hurriedUntilMs;
  holding.askAtMs = now.monotonicMs + (isHurried ? Math.min(state.terms.askMs, pauseMs) : pauseMs);
}

function held(state: State, key: string, now: Instant): Omit<Held, 'surrender'> {
  const holding = state.holdings.get(key);
  const known = { key, from: state.incarnation, sequence: state.sequence };
  if (holding === undefined) return { ...known, units: NOTHING };
  holding.asking = undefined;
  const units = holdings.granted(holding, { now, terms: state.terms });
  const open = holdings.openUnits(holding, state.limitOf(key));
  return { ...known, units: { ...units, connections: Math.max(units.connections, open) } };
}

export function createGrantee({ incarnation, limitOf, terms }: GranteeOptions): Grantee {
  const state: State = { incarnation, limitOf, terms: { ...quotaTerms, ...terms }, holdings: new Map(), sequence: 0 };
  const allowed = (key: string, now: Instant) => {
    const limit = limitOf(key);
    return limit && holdings.allowed(holdingOf(state, key), limit, { now, terms: state.terms });
  };
  return {
    demand(key, demand) {
      if (limitOf(key) === undefined) return;
      const holding = holdingOf(state, key);
      if (holding.demand.ready === 0 && demand.ready > 0) holding.askAtMs = AT_ONCE;
      holding.demand = demand;
    },
    mayOpen(key, now) {
      const units = allowed(key, now);
      return units === undefined || (holdingOf(state, key).open < units.connections && units.messages > 0);
    },
    opened: (key) => void holdingOf(state, key).open++,
    closed: (key) => void holdingOf(state, key).open--,
    mayKeep: (key, now) => allowed(key, now)?.connections ?? Number.POSITIVE_INFINITY,
    sendsNow(key, now) {
      const units = allowed(key, now);
      return units === undefined
        ? Number.POSITIVE_INFINITY
        : holdingOf(state, key).window.freeNow(units.messages, windowMs(limitOf(key)), now.monotonicMs);
    },
    sendsInMs(key, now) {
      const units = allowed(key, now);
      return units === undefined ? 0 : holdingOf(state, key).window.freeInMs(units.messages, windowMs(limitOf(key)), now.monotonicMs);
    },
    sent(key) {
      if (limitOf(key) === undefined) return;
      const holding = holdingOf(state, key);
      holding.turnMessages++;
      holding.window.begin();
    },
    counted(key, now) {
      if (limitOf(key) === undefined) return;
      holdingOf(state, key).window.counted(windowMs(limitOf(key)), now.monotonicMs);
    },
    hurry(key, now) {
      const holding = state.holdings.get(key);
      if (holding !== undefined) Object.assign(holding, { askAtMs: AT_ONCE, hurriedUntilMs: now.monotonicMs + HURRY_MS });
    },
    tick: (now) => [...state.holdings.values()].flatMap((holding) => tickHolding(state, holding, now)),
    answered: (answer, request, now) => answered(state, { answer, request, now }),
    failed: (request, now) => answered(state, { answer: 'elsewhere', request, now }),
    view(key, now) {
      const holding = state.holdings.get(key);
      if (holding === undefined) return { granted: NOTHING, open: 0 };
      return { granted: holdings.granted(holding, { now, terms: state.terms }), open: holding.open };
    },
    held: (key, now) => held(state, key, now),
  };
}
