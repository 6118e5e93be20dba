import type { GrantRequest, LedgerLine } from './grant.ts';
import { isNothing, type Limit, NOTHING, type QuotaTerms, type Units, unitsOf, windowMs } from './limit.ts';

/** What one worker was granted and wants. Times are the granter's, monotonic. */
export interface Line extends LedgerLine {
  /** What it may use, or does. */
  units: Units;
  readonly wants: Units;
  /** Age of its oldest ready mail when it asked. */
  readonly oldestMs: number;
  /** When it asked; the grant runs from the answer, which is the same instant. */
  readonly heardMs: number;
  /** When it gave back what it had so that others get their turn. */
  readonly servedMs: number;
}

interface Cooling {
  readonly messages: number;
  readonly untilMs: number;
}

/** What was granted of one limit, to whom. */
export interface Ledger {
  readonly terms: QuotaTerms;
  readonly lines: Map<string, Line>;
  /** Messages that were given back or lost, and that a window may still count. */
  cooling: Cooling[];
}

/** A granter's clock may be faster than a grantee's. */
const CLOCKS = 1.01;

export const createLedger = (terms: QuotaTerms): Ledger => ({ terms, lines: new Map(), cooling: [] });

function cool(ledger: Ledger, messages: number, { limit, fromMs }: { limit: Limit; fromMs: number }): void {
  if (messages > 0 && Number.isFinite(messages))
    ledger.cooling.push({ messages, untilMs: fromMs + windowMs(limit) + ledger.terms.marginMs });
}

/** The worker's newest request; undefined: overtaken by a later one. */
export function note(ledger: Ledger, request: GrantRequest, { limit, nowMs }: { limit: Limit; nowMs: number }): Line | undefined {
  const { from, sequence, keeps, open, wants, oldestMs, served } = request;
  const before = ledger.lines.get(from);
  if (before !== undefined && sequence <= before.sequence) return undefined;
  cool(ledger, (before?.units.messages ?? 0) - keeps.messages, { limit, fromMs: nowMs });
  const units = { ...keeps, connections: Math.max(keeps.connections, open) };
  const servedMs = served && isNothing(units) ? nowMs : (before?.servedMs ?? Number.NEGATIVE_INFINITY);
  const line = { from, sequence, units, wants, oldestMs, heardMs: nowMs, servedMs };
  ledger.lines.set(from, line);
  return line;
}

/** What a worker holds by its own account, or by the one of an earlier granter. */
export function enter({ lines }: Ledger, { from, sequence, units }: LedgerLine, nowMs: number): void {
  const before = lines.get(from);
  if (before !== undefined && before.sequence > sequence) return;
  const silent = { wants: NOTHING, oldestMs: 0, servedMs: Number.NEGATIVE_INFINITY };
  lines.set(from, { ...silent, ...before, from, sequence, units, heardMs: nowMs });
}

/** Units that no other worker has, and that no window still counts. */
export function freeFor(ledger: Ledger, worker: string, { limit, nowMs }: { limit: Limit; nowMs: number }): Units {
  ledger.cooling = ledger.cooling.filter(({ untilMs }) => untilMs > nowMs);
  let { connections, messages } = unitsOf(limit);
  for (const { messages: cooling } of ledger.cooling) messages -= cooling;
  for (const { from, units } of ledger.lines.values()) {
    if (from === worker) continue;
    connections -= units.connections;
    messages -= units.messages;
  }
  return { connections: Math.max(0, connections), messages: Math.max(0, messages) };
}

/** Whoever granted before may have let others use what is free just now. */
export function chill(ledger: Ledger, limit: Limit, nowMs: number): void {
  cool(ledger, freeFor(ledger, '', { limit, nowMs }).messages, { limit, fromMs: nowMs });
}

/** Grants that were not renewed have ended, for their holders already earlier. */
export function expire(ledger: Ledger, limit: Limit, nowMs: number): void {
  for (const { from, units, heardMs } of ledger.lines.values()) {
    const endMs = heardMs + ledger.terms.grantMs * CLOCKS;
    if (endMs > nowMs) continue;
    cool(ledger, units.messages, { limit, fromMs: endMs });
    ledger.lines.delete(from);
  }
}
