import { type AskRequest, type AskResponse, type CollectResponse, Standing, type Units as WireUnits } from '@angarium/rpc';
import type { GrantAnswer, GrantRequest, Held, Surrender, Units } from '@angarium/scheduler';

/* The protocol of the limits as it goes over the wire: what has no limit is absent there. */

const NOTHING: Units = { connections: 0, messages: 0 };
const unlimited = Number.POSITIVE_INFINITY;

const toWireUnits = ({ connections, messages }: Units): WireUnits => ({
  ...(Number.isFinite(connections) && { connections }),
  ...(Number.isFinite(messages) && { messages }),
});

const fromWireUnits = (units: WireUnits | undefined): Units =>
  units === undefined ? NOTHING : { connections: units.connections ?? unlimited, messages: units.messages ?? unlimited };

export const toAsk = (request: GrantRequest): AskRequest => ({
  ...request,
  keeps: toWireUnits(request.keeps),
  wants: toWireUnits(request.wants),
  oldestMs: Math.round(request.oldestMs),
});

export const fromAsk = (request: AskRequest): GrantRequest => ({
  ...request,
  keeps: fromWireUnits(request.keeps),
  wants: fromWireUnits(request.wants),
});

export const toAnswer = (answer: GrantAnswer): AskResponse =>
  answer === 'elsewhere' ? {} : { grant: { ...answer, units: toWireUnits(answer.units), target: toWireUnits(answer.target) } };

export const fromAnswer = ({ grant }: AskResponse, { key }: GrantRequest): GrantAnswer =>
  grant === undefined ? 'elsewhere' : { ...grant, key, units: fromWireUnits(grant.units), target: fromWireUnits(grant.target) };

const standingOf = (surrender: Surrender): Standing =>
  surrender === 'never' ? Standing.NEVER : surrender === 'refused' ? Standing.GRANTING : Standing.FORMER;

export const toCollected = ({ from, sequence, units, surrender }: Held): CollectResponse => ({
  ...{ from, sequence, holds: toWireUnits(units), standing: standingOf(surrender) },
  ledger: typeof surrender === 'object' ? surrender.ledger.map((line) => ({ ...line, units: toWireUnits(line.units) })) : [],
});

/** What a later release may say that this one does not know is taken for the answer that makes the granter ask again. */
export function fromCollected({ from, sequence, holds, standing, ledger }: CollectResponse, key: string): Held {
  const known = { key, from, sequence, units: fromWireUnits(holds) };
  if (standing === Standing.NEVER) return { ...known, surrender: 'never' };
  if (standing !== Standing.FORMER) return { ...known, surrender: 'refused' };
  return { ...known, surrender: { ledger: ledger.map((line) => ({ ...line, units: fromWireUnits(line.units) })) } };
}
