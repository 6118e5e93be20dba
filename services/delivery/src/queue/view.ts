import type { LiveMessage, LiveRecipient } from '@angarium/lanes';
import type { QueuedRecipient } from '@angarium/rpc';
import type { Gate } from '@angarium/scheduler';
import type { Core } from '../core.ts';
import type { Lane } from '../lane/lane.ts';
import { expiresAtMs } from '../notify/rules.ts';
import { RESOLVE_SITE } from '../sites.ts';

export const STATES = ['ready', 'deferred', 'suspended', 'active', 'notifying'] as const;
export type StateName = (typeof STATES)[number];

/** Where a recipient stands: at which gate, until when, and why. */
export interface Standing {
  readonly state: StateName;
  readonly gate: 'due' | 'site' | 'limit' | 'quota' | 'suspended' | 'resolve' | 'blob' | 'notify' | 'active' | 'none';
  readonly untilMs: number;
  readonly why: string;
  /** Key of its site; empty: not known. */
  readonly site: string;
}

/** The waiting units of one message, by the address of their recipients. */
export function unitsByAddress({ units }: Core, message: LiveMessage): ReadonlyMap<string, number> {
  const byAddress = new Map<string, number>();
  for (const number of units.of(message)) for (const { address } of units.open(number)?.recipients ?? []) byAddress.set(address, number);
  return byAddress;
}

function atGate(core: Core, unit: number, { gate, untilMs, scope }: Gate): Omit<Standing, 'site'> {
  const site = core.scheduler.find(unit)?.site;
  const note = core.units.note(unit);
  const isLookedUp = site !== undefined && site.key !== RESOLVE_SITE;
  if (gate === 'suspended') return { state: 'suspended', gate, untilMs, why: `${scope} is suspended` };
  if (gate === 'due') {
    if (note !== '') return { state: 'deferred', gate: isLookedUp ? 'blob' : 'resolve', untilMs, why: `trouble of our own: ${note}` };
    return { state: 'deferred', gate, untilMs, why: 'the next attempt is not due' };
  }
  if (!isLookedUp) return { state: 'ready', gate: 'resolve', untilMs, why: 'its next hop is being looked up' };
  if (gate === 'site') {
    const last = core.lastReplies.get(site.key) ?? 'no host answers';
    return { state: 'deferred', gate, untilMs, why: `${site.title} is ${site.state}, one probe goes out when its clock says so: ${last}` };
  }
  if (gate === 'quota') return { state: 'ready', gate, untilMs, why: 'a limit is used up', ...core.quota?.standing(site.key) };
  if (gate === 'limit') return { state: 'ready', gate, untilMs, why: 'as many deliveries as allowed are under way' };
  return { state: 'ready', gate, untilMs, why: 'it is next, or its tenant waits for its turn' };
}

export function standingOf(core: Core, lane: Lane, recipient: LiveRecipient, unit: number | undefined): Standing {
  if (recipient.state === 'notifying')
    return { state: 'notifying', gate: 'notify', untilMs: 0, why: 'concluded; its notification is not durable yet', site: '' };
  const flight = core.flights.get(recipient);
  if (flight !== undefined) {
    const why = flight.dotted ? 'sent, the reply is awaited' : flight.active ? 'an attempt is under way' : 'its outcome is being written';
    return { state: 'active', gate: 'active', untilMs: 0, why, site: flight.site };
  }
  if (core.care.isSetAside(recipient.message))
    return {
      state: 'suspended',
      gate: 'none',
      untilMs: 0,
      why: 'set aside: its attempts ended several processes; flush or delete it',
      site: '',
    };
  if (unit === undefined || lane.state !== 'live')
    return { state: 'ready', gate: 'none', untilMs: 0, why: `lane ${lane.number} is ${lane.state} ${lane.trouble}`.trim(), site: '' };
  const nowMs = core.deps.clock.nowMs();
  const key = core.scheduler.find(unit)?.site.key ?? RESOLVE_SITE;
  const site = key === RESOLVE_SITE ? '' : key;
  if (recipient.heldUntilMs > nowMs)
    return {
      state: 'deferred',
      gate: 'due',
      untilMs: recipient.heldUntilMs,
      why: 'a transaction before the restart may still be answered',
      site,
    };
  return { ...atGate(core, unit, core.scheduler.gate(unit, nowMs)), site };
}

function lastReplyOf({ lastOutcome }: LiveRecipient): string {
  const reply = lastOutcome?.reply;
  if (reply === undefined) return '';
  const host = reply.remoteHost === '' ? '' : ` (${reply.remoteHost})`;
  return `${reply.code === 0 ? '' : `${reply.code} `}${reply.enhanced} ${reply.text}${host}`.trim();
}

export function toQueuedRecipient(core: Core, lane: Lane, o: { recipient: LiveRecipient; standing: Standing }): QueuedRecipient {
  const { recipient, standing } = o;
  const { message } = recipient;
  const { reversePath, tenant, acceptedAtMs } = message.envelope;
  return {
    queueId: message.queueId,
    reversePath,
    address: recipient.address,
    state: standing.state,
    site: standing.site,
    tenant,
    octets: message.contentOctets,
    attempts: recipient.attempts,
    acceptedAtMs,
    dueAtMs: Math.max(recipient.dueAtMs, standing.untilMs),
    expiresAtMs: expiresAtMs(recipient, core.deps.config.delivery),
    gate: standing.gate,
    gateUntilMs: standing.untilMs,
    lastReply: lastReplyOf(recipient),
    lane: lane.number,
    explanation: standing.why,
  };
}
