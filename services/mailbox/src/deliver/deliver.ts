import { type BlobStore, BlobStoreFull } from '@angarium/blob';
import { formatDeliveredTo, formatReturnPath } from '@angarium/message';
import { type DeliverRecipient, type DeliverRequest, DeliverResult, type Mailbox, Refused, Unavailable } from '@angarium/rpc';
import type { Clock, Config, Logger, Tracing } from '@angarium/runtime';
import { SqlBusy, SqlError, type SqlTrouble } from '@angarium/sql';
import type { Meters } from '../meters.ts';
import { blobName, deleteBody, putBody } from '../store/bodies.ts';
import type { StoreDatabase } from '../store/schema.ts';
import { type NewBody, type NewDelivery, type NewRecipient, type Stored, storeGroup, type Verdict } from '../store/store-group.ts';
import type { AccountStates } from './accounts.ts';
import { finalContent } from './content.ts';
import { createGroupCommit, type GroupCommit } from './group-commit.ts';

export interface DeliverDeps {
  readonly config: Config['mailbox'];
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly tracing: Tracing;
  readonly meters: Meters;
  readonly database: StoreDatabase;
  readonly blobs: BlobStore;
  readonly accounts: AccountStates;
}

export interface Deliverer {
  readonly mailbox: Mailbox;
  /** Refuses what comes from now on and waits for what runs. */
  drain(): Promise<void>;
  /** Of deliveries that are not answered. */
  readonly unstoredOctets: number;
}

interface Running {
  readonly deps: DeliverDeps;
  readonly commit: GroupCommit<NewDelivery, Stored>;
  /** Octets of requests that are not answered. */
  unstoredOctets: number;
}

/** A commit's weight is counted in octets; a recipient's rows weigh about this much. */
const RECIPIENT_OCTETS = 400;
const GROUP_OCTETS = 16 * 1024 ** 2;
const QUEUE_ID = /^[0-9A-Za-z]{1,64}$/;

/** The disk's trouble or the database's, which every delivery of a group meets; or locks that another process kept for too long. */
const EVERYBODYS: ReadonlySet<SqlTrouble> = new Set(['full', 'unavailable', 'conflict']);
const isEverybodys = (reason: unknown): boolean =>
  reason instanceof SqlBusy || (reason instanceof SqlError && EVERYBODYS.has(reason.trouble));

export function createDeliverer(deps: DeliverDeps): Deliverer {
  const { deliveriesPerCommit, maxUnstoredOctets } = deps.config;
  const perDelivery = GROUP_OCTETS / deliveriesPerCommit;
  const commit = createGroupCommit<NewDelivery, Stored>({
    commit: (group) => deps.meters.timeCommit(group.length, () => storeGroup(deps.database, group, deps.clock.nowMs())),
    maxWeight: GROUP_OCTETS,
    weightOf: ({ body, recipients }) =>
      Math.max(perDelivery, recipients.length * RECIPIENT_OCTETS + (body.is === 'inline' ? body.content.length : 0)),
    isEverybodys,
  });
  const running: Running = { deps, commit, unstoredOctets: 0 };
  const unanswered = new Set<Promise<unknown>>();
  let isDraining = false;
  const deliver = async (request: DeliverRequest): Promise<DeliverResult[]> => {
    const weight = request.content.length + request.recipients.length * RECIPIENT_OCTETS;
    if (running.unstoredOctets > 0 && running.unstoredOctets + weight > maxUnstoredOctets) {
      return request.recipients.map(() => DeliverResult.UNAVAILABLE);
    }
    running.unstoredOctets += weight;
    try {
      return await deliverMessage(running, request);
    } finally {
      running.unstoredOctets -= weight;
    }
  };
  return {
    mailbox: {
      deliver: async (request) => {
        if (isDraining) throw new Unavailable('the mailbox service is stopping');
        if (!QUEUE_ID.test(request.queueId)) throw new Refused('invalid', 'a queue id is 1 to 64 letters and digits');
        const startedMs = performance.now();
        const { queueId, traceparent: parent } = request;
        const span = deps.tracing.start('mailbox deliver', { kind: 'server', parent, attributes: { 'angarium.queue_id': queueId } });
        const results = deliver(request);
        unanswered.add(results);
        try {
          return { id: request.id, results: await results };
        } finally {
          unanswered.delete(results);
          span.end();
          const octets = request.content.length;
          deps.meters.delivered(await results.catch(() => []), { octets, ms: performance.now() - startedMs });
        }
      },
    },
    get unstoredOctets() {
      return running.unstoredOctets;
    },
    drain: async () => {
      isDraining = true;
      while (unanswered.size > 0) await Promise.allSettled(unanswered);
    },
  };
}

async function deliverMessage(running: Running, request: DeliverRequest): Promise<DeliverResult[]> {
  const { config, accounts, logger } = running.deps;
  if (request.content.length > config.maxMessageOctets) return request.recipients.map(() => DeliverResult.TOO_BIG);
  const returnPath = formatReturnPath(request.reversePath);
  const placed = await Promise.all(
    request.recipients.map(async (recipient): Promise<NewRecipient | DeliverResult> => {
      try {
        const state = await accounts.stateOf(recipient.account);
        return state.is === 'open' ? newRecipient(recipient, returnPath, state) : DeliverResult.NO_SUCH_ACCOUNT;
      } catch (error) {
        logger.warn({ queueId: request.queueId, account: recipient.account, reason: String(error) }, 'mailbox.directory.failed');
        return DeliverResult.UNAVAILABLE;
      }
    }),
  );
  const wanted = placed.filter((recipient) => typeof recipient !== 'number');
  if (wanted.length === 0) return placed.map((result) => (typeof result === 'number' ? result : DeliverResult.UNAVAILABLE));
  const stored = await storeMessage(running, request, wanted);
  return placed.map((recipient) => (typeof recipient === 'number' ? recipient : (stored.shift() ?? DeliverResult.UNAVAILABLE)));
}

const newRecipient = (
  { address }: DeliverRecipient,
  returnPath: string,
  { mailbox, quotaOctets }: { readonly mailbox: string; readonly quotaOctets: number },
): NewRecipient => ({
  account: mailbox,
  address,
  quotaOctets,
  header: returnPath + formatDeliveredTo(address),
});

/** Results in the order of the recipients. What went wrong is a result: delivery keeps the message and comes again. */
async function storeMessage(running: Running, { queueId, content }: DeliverRequest, recipients: NewRecipient[]): Promise<DeliverResult[]> {
  const { logger } = running.deps;
  try {
    const verdicts = await storeContent(running, { queueId, content: finalContent(content), recipients });
    recipients.forEach(({ account, address }, index) => {
      const verdict = verdicts[index];
      if (verdict?.is === 'stored') {
        logger.info({ queueId, account, address, uid: verdict.uid, octets: verdict.octets }, 'mailbox.message.stored');
      } else {
        logger.debug({ queueId, account, address, verdict: verdict?.is }, 'mailbox.message.passed');
      }
    });
    return verdicts.map(resultOf);
  } catch (error) {
    const isFull = error instanceof BlobStoreFull || (error instanceof SqlError && error.trouble === 'full');
    logger.error({ queueId, recipients: recipients.length, reason: String(error) }, 'mailbox.message.deferred');
    return recipients.map(() => (isFull ? DeliverResult.STORE_FULL : DeliverResult.UNAVAILABLE));
  }
}

function resultOf({ is }: Verdict): DeliverResult {
  switch (is) {
    case 'stored':
    case 'known':
      return DeliverResult.STORED;
    case 'overQuota':
      return DeliverResult.OVER_QUOTA;
    case 'bodyGone':
      return DeliverResult.UNAVAILABLE;
  }
}

interface Message {
  readonly queueId: string;
  readonly content: Uint8Array;
  readonly recipients: readonly NewRecipient[];
}

async function storeContent(running: Running, message: Message): Promise<readonly Verdict[]> {
  const { commit, deps } = running;
  const { queueId, content, recipients } = message;
  const store = (body: NewBody) => commit.add({ queueId, octets: content.length, body, recipients });
  if (content.length <= deps.config.inlineMaxOctets) return (await store({ is: 'inline', content })).verdicts;
  const row = await deps.database.selectFrom('bodies').select('queue_id').where('queue_id', '=', queueId).executeTakeFirst();
  if (row !== undefined) {
    const { verdicts } = await store({ is: 'known' });
    if (!verdicts.some(({ is }) => is === 'bodyGone')) return verdicts;
  }
  return storeBlobs(running, message, store);
}

/** Blobs are durable before the row that names them. Those that no row came to name are taken away. */
async function storeBlobs(
  { deps }: Running,
  { queueId, content }: Message,
  store: (body: NewBody) => Promise<Stored>,
): Promise<readonly Verdict[]> {
  const blob = blobName(queueId, deps.random);
  const { partOctets } = await putBody(deps.blobs, blob, content);
  const { verdicts, bodyTaken } = await store({ is: 'blobs', blob, partOctets });
  if (bodyTaken) return verdicts;
  try {
    await deleteBody(deps.blobs, { blob, octets: content.length, part_octets: partOctets });
  } catch (error) {
    deps.logger.warn({ queueId, blob, reason: String(error), cure: 'the sweeper deletes it' }, 'mailbox.blob.left');
  }
  return verdicts;
}
