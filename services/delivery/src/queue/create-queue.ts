import type { LiveMessage, LiveRecipient } from '@angarium/lanes';
import { AdminAction } from '@angarium/records';
import { type Filter, type Queue, Refused } from '@angarium/rpc';
import { canonicalDomain } from '@angarium/smtp';
import type { Control } from '../control/control.ts';
import type { Core } from '../core.ts';
import { messageKey } from '../flights.ts';
import type { Lane } from '../lane/lane.ts';
import type { Ownership } from '../ownership/ownership.ts';
import { admit } from '../waiting.ts';
import { answered } from './answered.ts';
import { createLimitOrders } from './limit-orders.ts';
import { listPage } from './listing.ts';
import { select } from './selection.ts';
import { summarize } from './summary.ts';
import { toQueuedRecipient } from './view.ts';

const MAX_ADDRESSES = 1000;

/** @throws Refused for what is no scope */
function parseScope(text: string): string {
  if (text === 'all') return text;
  const [, kind, name] = /^(domain|site|tenant):(.+)$/.exec(text) ?? [];
  if (kind === undefined || name === undefined)
    throw new Refused('invalid', `${text} is no scope: domain:<name>, site:<name>, tenant:<name> or all`);
  return kind === 'domain' ? `domain:${canonicalDomain(name)}` : text;
}

/** What was matched is due now, and the sites that it waits for are tried at once. */
function flush(core: Core, filter: Filter | undefined): number {
  const nowMs = core.deps.clock.nowMs();
  const found = [...select(core, filter)];
  const setAside = found.filter(({ recipient }) => core.care.isSetAside(recipient.message));
  for (const { recipient } of setAside) core.care.release(recipient.message);
  for (const { lane, recipient } of setAside) admit(core, lane, [recipient]);
  const selected = found
    // What may still be answered is not sent again by an order.
    .filter(({ recipient }) => recipient.heldUntilMs <= nowMs)
    .map(({ locate }) => locate())
    .filter(({ unit, standing }) => unit !== undefined && standing.state !== 'suspended');
  const sites = new Set<string>();
  for (const { unit } of selected) {
    if (unit === undefined) continue;
    const site = core.scheduler.find(unit)?.site.key;
    if (site !== undefined) sites.add(site);
    core.scheduler.flush(unit, nowMs);
  }
  for (const site of sites) core.scheduler.openSite(site, nowMs);
  return selected.length;
}

function orderOf(message: LiveMessage, recipients: readonly LiveRecipient[]): readonly (readonly string[])[] {
  const waiting = [...message.recipients.values()].filter(({ state }) => state === 'waiting').length;
  if (recipients.length === waiting) return [[]];
  const chunks: string[][] = [];
  for (let at = 0; at < recipients.length; at += MAX_ADDRESSES)
    chunks.push(recipients.slice(at, at + MAX_ADDRESSES).map(({ address }) => address));
  return chunks;
}

/** Resolves when the lanes show that what was matched is gone. */
async function remove(core: Core, filter: Filter | undefined): Promise<number> {
  const selected = [...select(core, filter)].filter(({ lane, recipient }) => lane.state === 'live' && recipient.state === 'waiting');
  const orders: Promise<void>[] = [];
  const write = async (lane: Lane, queueId: string, addresses: readonly string[]) => {
    const requestId = `delete.${core.nextAttemptId(lane)}`;
    const admin = { requestId, action: AdminAction.DELETE, queueId, addresses: [...addresses] };
    await lane.readTo(await lane.append({ $case: 'admin', value: admin }));
  };
  for (const some of Map.groupBy(selected, ({ recipient }) => messageKey(recipient.message)).values()) {
    const lane = some[0]?.lane;
    const message = some[0]?.recipient.message;
    if (lane === undefined || message === undefined) continue;
    const recipients = some.map(({ recipient }) => recipient);
    for (const addresses of orderOf(message, recipients)) orders.push(write(lane, message.queueId, addresses));
    core.deps.logger.info({ queueId: message.queueId, recipients: recipients.length }, 'delivery.message.delete_ordered');
  }
  await answered(Promise.all(orders));
  return selected.length;
}

export interface QueueParts {
  readonly control: Control;
  readonly ownership: Ownership;
  /** What was ordered may let something start. */
  readonly pump: () => void;
}

/** The queue, asked and told: what waits in the lanes of this process. */
export function createQueue(core: Core, { control, ownership, pump }: QueueParts): Queue {
  const setSuspended = async (scope: string, suspended: boolean, reason: string) => {
    const value = { scope, suspended, reason, atMs: core.deps.clock.nowMs() };
    await answered(control.append({ $case: 'suspension', value }));
  };
  return {
    ...createLimitOrders(core, control),
    list: async (request) => ({ ...listPage(core, request), recoveringLanes: ownership.recovering() }),
    async show({ queueId }) {
      if (queueId === '') throw new Refused('invalid', 'a queue id is wanted');
      const found = [...select(core, { queueId, domain: '', site: '', tenant: '', state: '', olderThanMs: 0 })];
      const recipients = found.map(({ lane, recipient, locate }) =>
        toQueuedRecipient(core, lane, { recipient, standing: locate().standing }),
      );
      const messageId = found[0]?.recipient.message.envelope.messageId ?? '';
      return { recipients, messageId, found: found.length > 0, recoveringLanes: ownership.recovering() };
    },
    summary: async () => ({ ...summarize(core), recoveringLanes: ownership.recovering() }),
    lanes: () => answered(ownership.report()),
    async flush({ filter }) {
      const recipients = flush(core, filter);
      pump();
      return { recipients };
    },
    delete: async ({ filter }) => ({ recipients: await remove(core, filter) }),
    suspend: async ({ scope, reason }) => setSuspended(parseScope(scope), true, reason),
    async resume({ scope }) {
      const parsed = parseScope(scope);
      const wasSuspended = control.fold.suspensions.has(parsed);
      if (wasSuspended) await setSuspended(parsed, false, '');
      return { wasSuspended };
    },
    suspensions: async () => ({
      suspensions: [...control.fold.suspensions.values()].map(({ scope, reason, atMs }) => ({ scope, reason, sinceMs: atMs })),
    }),
  };
}
