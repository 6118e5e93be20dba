import type { Line } from './ledger.ts';
import { type Limit, NOTHING, type QuotaTerms, type Units, unitsOf } from './limit.ts';
import { fairShares } from './share.ts';

/** What each worker that wants something should have in the end. */
export interface Allotment {
  /** More workers want something than can have a part: turns are kept. */
  readonly contended: boolean;
  shareOf(worker: string): Units;
}

const PATIENCE = 4;

const holds = ({ units }: Line): boolean => units.connections > 0 || units.messages > 0;

/** Who waits asks often: one that fell silent waits no more. */
const isWaiting = (line: Line, nowMs: number, { askMs }: QuotaTerms): boolean =>
  (line.wants.connections > 0 || line.wants.messages > 0) && (holds(line) || nowMs - line.heardMs < PATIENCE * askMs);

/**
 * Holders first: a turn is not broken, and of those that are too many since the limit was lowered, the same ones stay whoever asks.
 * Then the oldest mail, of those that had no turn just now.
 */
function byTurn(nowMs: number, { turnMs }: QuotaTerms): (one: Line, other: Line) => number {
  const hadTurn = ({ servedMs }: Line): boolean => nowMs - servedMs < turnMs;
  const byName = (one: Line, other: Line): number => (one.from < other.from ? -1 : 1);
  return (one, other) => {
    if (holds(one) && holds(other)) return byName(one, other);
    return (
      Number(holds(other)) - Number(holds(one)) ||
      Number(hadTurn(one)) - Number(hadTurn(other)) ||
      other.oldestMs - one.oldestMs ||
      one.servedMs - other.servedMs ||
      byName(one, other)
    );
  };
}

/** Units of what has no limit are not counted. */
const divide = (units: number, wants: readonly number[]): readonly number[] => (Number.isFinite(units) ? fairShares(units, wants) : []);

export function allot(limit: Limit, lines: Iterable<Line>, { terms, nowMs }: { terms: QuotaTerms; nowMs: number }): Allotment {
  const all = unitsOf(limit);
  const waiting = [...lines].filter((line) => isWaiting(line, nowMs, terms));
  // A worker needs a connection and a message of each window, or it can do nothing.
  const places = Math.min(all.connections, all.messages);
  const contended = waiting.length > places;
  const admitted = contended ? waiting.sort(byTurn(nowMs, terms)).slice(0, places) : waiting;
  const connections = divide(
    all.connections,
    admitted.map(({ wants }) => wants.connections),
  );
  const messages = divide(
    all.messages,
    admitted.map(({ wants }) => wants.messages),
  );
  const shares = new Map(admitted.map(({ from }, at) => [from, { connections: connections[at] ?? 0, messages: messages[at] ?? 0 }]));
  return { contended, shareOf: (worker) => shares.get(worker) ?? NOTHING };
}
