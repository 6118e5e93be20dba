import { allot } from './allotment.ts';
import type { GrantAnswer, GrantRequest, Held, Surrender } from './grant.ts';
import { chill, createLedger, enter, expire, freeFor, type Ledger, note } from './ledger.ts';
import { elapsedMs, granterOf, type Instant, type Limit, type LimitOf, type QuotaTerms, quotaTerms, type Units } from './limit.ts';

/** Ask that worker for its `Held` of the key; then `collected`, or nothing. */
export interface CollectAction {
  readonly do: 'collect';
  readonly key: string;
  readonly from: string;
}

/** What this worker knows of the others. */
export interface Company {
  /** Incarnations of the live workers, and of those among them that do not leave. */
  readonly live: readonly string[];
  readonly candidates: readonly string[];
  /** The own lease is valid: others cannot have declared this worker dead. */
  readonly isLeased: boolean;
}

/** One worker's side as the granter of the keys that fall to it. What it has granted of a limit never exceeds it. */
export interface Granter {
  /** Every 100 ms. */
  tick(company: Company, now: Instant): readonly CollectAction[];
  asked(request: GrantRequest, now: Instant): GrantAnswer;
  collected(held: Held, now: Instant): void;
  /** Another worker collects the key: what this one has granted of it. Then it grants no more. */
  surrender(key: string, to: string, now: Instant): Surrender;
}

export interface GranterOptions {
  readonly incarnation: string;
  readonly limitOf: LimitOf;
  readonly terms?: Partial<QuotaTerms>;
}

/** A key that this worker grants, will, or did. */
interface Office {
  readonly key: string;
  readonly ledger: Ledger;
  /** `collecting`: what is held is kept, nothing new is granted. `former`: another one's, by what is known here. */
  phase: 'collecting' | 'granting' | 'former';
  sinceMs: number;
  /** While collecting: who was asked when, and who has answered. */
  readonly askedMs: Map<string, number>;
  readonly answered: Set<string>;
  /** The predecessor has told all. */
  isComplete: boolean;
  /** Who got the ledger. */
  heir: string | undefined;
}

interface State {
  readonly incarnation: string;
  readonly limitOf: LimitOf;
  readonly terms: QuotaTerms;
  readonly offices: Map<string, Office>;
  company: Company;
  leasedAt: Instant | undefined;
}

const COLLECT_AGAIN_MS = 1_000;

const isMine = ({ company, incarnation }: State, key: string): boolean => granterOf(key, company.candidates) === incarnation;

/** The lease was looked at a moment ago. */
const mayGrant = ({ leasedAt, terms }: State, now: Instant): boolean =>
  leasedAt !== undefined && elapsedMs(leasedAt, now) <= terms.unseenMs;

function openOffice({ terms, offices }: State, key: string, nowMs: number): Office {
  const office: Office = {
    key,
    ledger: createLedger(terms),
    phase: 'collecting',
    sinceMs: nowMs,
    askedMs: new Map(),
    answered: new Set(),
    isComplete: false,
    heir: undefined,
  };
  offices.set(key, office);
  return office;
}

/** A key that fell to another one is remembered as long as its grants may last; one that came back is collected anew. */
function follow(state: State, office: Office, nowMs: number): void {
  const { key, phase, sinceMs, heir } = office;
  if (isMine(state, key)) {
    if (phase !== 'former') return;
    // With nobody in between, what was granted here is all there is.
    Object.assign(office, { phase: 'collecting', sinceMs: nowMs, isComplete: heir === undefined, heir: undefined });
    office.askedMs.clear();
    office.answered.clear();
  } else if (phase === 'granting') Object.assign(office, { phase: 'former', sinceMs: nowMs });
  else if (phase === 'collecting' || nowMs - sinceMs >= state.terms.grantMs) state.offices.delete(key);
}

/** Granting begins when all have told what they hold, the predecessor too; or when nothing of it can be left. */
function collect({ company, terms }: State, office: Office, { limit, nowMs }: { limit: Limit; nowMs: number }): readonly CollectAction[] {
  const missing = company.live.filter((worker) => !office.answered.has(worker));
  // What was told long ago is outdated where others collected, too.
  const isComplete = office.isComplete && missing.length === 0 && nowMs - office.sinceMs < terms.grantMs / 2;
  const isOver = nowMs - office.sinceMs >= terms.grantMs + terms.leaseMs;
  if (isOver || isComplete) {
    office.phase = 'granting';
    chill(office.ledger, limit, nowMs);
    return [];
  }
  const due = missing.filter((worker) => nowMs - (office.askedMs.get(worker) ?? Number.NEGATIVE_INFINITY) >= COLLECT_AGAIN_MS);
  for (const worker of due) office.askedMs.set(worker, nowMs);
  return due.map((from) => ({ do: 'collect', key: office.key, from }));
}

function tick(state: State, company: Company, now: Instant): readonly CollectAction[] {
  state.company = company;
  // While nobody looked, others may have taken keys over and given them back.
  if (!company.isLeased || (state.leasedAt !== undefined && !mayGrant(state, now))) state.offices.clear();
  state.leasedAt = company.isLeased ? now : undefined;
  return [...state.offices.values()].flatMap((office) => {
    const limit = state.limitOf(office.key);
    if (limit === undefined) state.offices.delete(office.key);
    else expire(office.ledger, limit, now.monotonicMs);
    follow(state, office, now.monotonicMs);
    const isCollecting = state.offices.has(office.key) && office.phase === 'collecting';
    return isCollecting && limit !== undefined ? collect(state, office, { limit, nowMs: now.monotonicMs }) : [];
  });
}

const grow = (keeps: Units, share: Units, free: Units): Units => ({
  connections: Math.max(keeps.connections, Math.min(share.connections, free.connections)),
  messages: Math.max(keeps.messages, Math.min(share.messages, free.messages)),
});

function asked(state: State, request: GrantRequest, now: Instant): GrantAnswer {
  const { key, from, sequence, keeps, open } = request;
  const limit = state.limitOf(key);
  if (limit === undefined || !mayGrant(state, now) || !isMine(state, key)) return 'elsewhere';
  const at = { limit, nowMs: now.monotonicMs };
  const office = state.offices.get(key) ?? openOffice(state, key, at.nowMs);
  if (office.phase === 'former') return 'elsewhere';
  expire(office.ledger, limit, at.nowMs);
  const line = note(office.ledger, request, at);
  if (line === undefined) return 'elsewhere';
  if (office.phase === 'collecting') return { key, sequence, units: keeps, target: keeps, contended: false };
  const { contended, shareOf } = allot(limit, office.ledger.lines.values(), { terms: state.terms, nowMs: at.nowMs });
  const target = shareOf(from);
  const units = grow(keeps, target, freeFor(office.ledger, from, at));
  line.units = { ...units, connections: Math.max(units.connections, open) };
  return { key, sequence, units, target, contended };
}

function surrender(state: State, { key, to, now }: { key: string; to: string; now: Instant }): Surrender {
  const office = state.offices.get(key);
  if (office === undefined || office.phase === 'collecting') return 'never';
  if (isMine(state, key)) return mayGrant(state, now) ? 'refused' : 'never';
  follow(state, office, now.monotonicMs);
  const isFresh = now.monotonicMs - office.sinceMs < state.terms.grantMs;
  if (!isFresh || (office.heir !== undefined && office.heir !== to)) return 'never';
  office.heir = to;
  return { ledger: [...office.ledger.lines.values()].map(({ from, sequence, units }) => ({ from, sequence, units })) };
}

function collected({ offices }: State, held: Held, now: Instant): void {
  const office = offices.get(held.key);
  if (office?.phase !== 'collecting' || held.surrender === 'refused') return;
  if (typeof held.surrender === 'object') {
    office.isComplete = true;
    // Who has answered may have asked the predecessor once more since.
    for (const line of held.surrender.ledger) enter(office.ledger, line, now.monotonicMs);
  }
  office.answered.add(held.from);
  enter(office.ledger, held, now.monotonicMs);
}

export function createGranter({ incarnation, limitOf, terms }: GranterOptions): Granter {
  const company: Company = { live: [], candidates: [], isLeased: false };
  const state: State = { incarnation, limitOf, terms: { ...quotaTerms, ...terms }, offices: new Map(), company, leasedAt: undefined };
  return {
    tick: (known, now) => tick(state, known, now),
    asked: (request, now) => asked(state, request, now),
    collected: (held, now) => collected(state, held, now),
    surrender: (key, to, now) => surrender(state, { key, to, now }),
  };
}
