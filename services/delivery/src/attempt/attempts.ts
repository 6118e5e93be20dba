import type { LiveMessage, LiveRecipient } from '@angarium/lanes';
import { BodyType, Ret } from '@angarium/records';
import type { Span } from '@angarium/runtime';
import type { Ticket, Verdict } from '@angarium/scheduler';
import type { Core, Flight } from '../core.ts';
import type { Route } from '../hops.ts';
import type { Lane } from '../lane/lane.ts';
import { type Fault, replyClass } from '../meters.ts';
import { crash, reasonOf } from '../pause.ts';
import { MAILBOX_SITE } from '../transport/mailbox.ts';
import type { AttemptResult, Job, RemoteReply } from '../transport/port.ts';
import { type Concluded, concludeAttempt } from './conclude.ts';
import { momentOf, record } from './record.ts';

/** Recipients of one message on their way to one site. */
export interface Attempt {
  readonly lane: Lane;
  readonly message: LiveMessage;
  readonly recipients: readonly LiveRecipient[];
  readonly route: Route;
  readonly ticket: Ticket;
  readonly flight: Flight;
}

/** What is left to be scheduled anew, and what the site is to be told. */
export interface Ended {
  readonly verdict: Verdict;
  /** An attempt was made and counts. */
  readonly spent: boolean;
  readonly reply: RemoteReply | undefined;
  /** Put off by trouble of our own. */
  readonly unspent: readonly LiveRecipient[];
  readonly note: string;
  /** Put off until there is room below the limits of the site. */
  readonly noRoom?: boolean;
  /** Resolves when a copy of what was sent is no longer possible: nothing else goes over its connection before. */
  readonly sealed: Promise<void>;
}

const RET: Readonly<Partial<Record<Ret, Job['ret']>>> = { [Ret.FULL]: 'full', [Ret.HDRS]: 'hdrs' };

/** As its lane knows it now. */
export const isWaiting = ({ message, address }: LiveRecipient): boolean =>
  message.home.get(message.queueId)?.recipients.get(address)?.state === 'waiting';

function createJob(
  core: Core,
  { lane, message, recipients, route, ticket, flight }: Attempt,
  what: Pick<Job, 'content' | 'traceparent'>,
): Job {
  const { envelope } = message;
  const allowance = core.quota?.allowance(ticket, route.plan.limits);
  return {
    ...(allowance && { allowance }),
    plan: route.plan,
    queueId: message.queueId,
    reversePath: envelope.reversePath,
    envid: envelope.envid,
    ret: RET[envelope.ret] ?? '',
    eightBit: envelope.bodyType === BodyType.EIGHT_BIT_MIME,
    smtputf8: envelope.smtputf8,
    headerUtf8: envelope.headerUtf8,
    acceptedAtMs: envelope.acceptedAtMs,
    ...what,
    recipients: recipients.map(({ address, notify, orcpt, nextHop }) => ({ address, notify, orcpt, account: nextHop?.account ?? '' })),
    mayFinish: () => core.isOpen() && core.mayAct(lane) && recipients.every(isWaiting),
    onDot: () => {
      flight.dotted = true;
      flight.sent = true;
    },
  };
}

function failure(core: Core, { lane, message }: Attempt, fault: Fault, error: unknown): Ended {
  const reason = reasonOf(error);
  core.meters.ownFaults.inc({ fault });
  core.deps.logger.error({ queueId: message.queueId, lane: lane.number, fault, reason }, 'delivery.attempt.put_off');
  return { verdict: 'unknown', spent: false, reply: undefined, unspent: [], note: reason, sealed: Promise.resolve() };
}

/** Trouble of our own says nothing about a site, but that a service of ours is down. */
const verdictOf = ({ site, spent }: AttemptResult): Verdict => (spent || site !== 'reached' ? site : 'unknown');

/** Who waits without an end must not wait without a word; what we broke off ourselves when stopping is no trouble. */
function tellUnspent(core: Core, { lane, message, ticket }: Attempt, unspent: Concluded['unspent']): void {
  const [first] = unspent;
  if (first === undefined || !core.isOpen() || !core.mayAct(lane)) return;
  core.meters.ownFaults.inc({ fault: 'transport' });
  const { queueId } = message;
  const { enhanced, text } = first.reply;
  const about = { queueId, lane: lane.number, site: ticket.site.title, recipients: unspent.length, reason: `${enhanced} ${text}` };
  core.deps.logger.warn({ ...about, fault: 'transport' }, 'delivery.attempt.put_off');
}

/** The lane may be somebody else's by now, who tries all this again: only what was sent is a fact. */
const notOurs = ({ recipients }: Attempt): Ended => ({
  ...{ verdict: 'unknown', spent: false, reply: undefined, unspent: recipients },
  ...{ note: 'the lease of its lane was not valid', sealed: Promise.resolve() },
});

function countReplies({ meters }: Core, { plan: { provider } }: Route, { recipients, inDoubt }: AttemptResult): void {
  const first = replyClass(recipients.at(-1)?.reply.code ?? 0);
  meters.replies.inc({ class: first === 'none' ? first : `${first}xx` });
  if (provider === undefined) return;
  for (const { result } of recipients)
    meters.providerAttempts.inc({ provider, result: inDoubt && result === 'deferred' ? 'doubt' : result });
}

function settle(core: Core, attempt: Attempt, result: AttemptResult, { traceId }: Span): Ended {
  const { lane, message, recipients, flight, ticket } = attempt;
  if (!flight.sent && !core.mayAct(lane)) return notOurs(attempt);
  const { findings, unspent } = concludeAttempt(recipients, result, momentOf(core));
  const verdict = verdictOf(result);
  flight.failed = verdict === 'failed';
  const transport = ticket.site.key === MAILBOX_SITE ? 'mailbox' : 'remote';
  core.meters.attempts.inc({ transport, site: verdict });
  if (transport === 'remote' && result.noRoom !== true) countReplies(core, attempt.route, result);
  if (result.inDoubt) core.meters.inDoubt.inc();
  const ageMs = ticket.startedAtMs - message.envelope.acceptedAtMs;
  if (result.spent && recipients.every(({ attempts }) => attempts === 0)) core.meters.firstAttempt.observe(ageMs / 1000, {}, traceId);
  // Who was ended by an order meanwhile is not deferred; that somebody was delivered all the same is told.
  const recorded = findings.filter((finding) => isWaiting(finding.recipient) || finding.dueAtMs === 0);
  const written =
    recorded.length === 0
      ? Promise.resolve()
      : record(core, { lane, message, flight, findings: recorded, inDoubt: result.inDoubt, site: ticket.site.title, traceId });
  written.catch(crash);
  const noRoom = result.noRoom === true;
  if (!noRoom) tellUnspent(core, attempt, unspent);
  return {
    verdict,
    spent: result.spent,
    reply: result.recipients.at(-1)?.reply,
    unspent: unspent.map((one) => one.recipient),
    note: unspent[0]?.reply.text ?? '',
    noRoom,
    // The mailbox knows what it has stored already.
    sealed: transport === 'remote' && verdict === 'reached' ? written : Promise.resolve(),
  };
}

/** Makes one attempt. Unknown trouble puts off. */
export async function runAttempt(core: Core, attempt: Attempt): Promise<Ended> {
  const { message, recipients, ticket } = attempt;
  const attributes = {
    ...{ 'angarium.queue_id': message.queueId, 'angarium.site': ticket.site.title },
    ...{ 'angarium.recipients': recipients.length, 'angarium.attempt': (recipients[0]?.attempts ?? 0) + 1 },
  };
  const span = core.deps.tracing.start('delivery attempt', { kind: 'client', parent: message.envelope.traceparent, attributes });
  const ended = await transact(core, attempt, span);
  const reply = ended.reply === undefined ? {} : { 'angarium.reply': `${ended.reply.code} ${ended.reply.enhanced}` };
  span.end({ attributes: { 'angarium.verdict': ended.verdict, ...reply }, failed: ended.spent ? undefined : ended.note });
  return ended;
}

async function transact(core: Core, attempt: Attempt, span: Span): Promise<Ended> {
  let content: Uint8Array;
  try {
    const { lane, message } = attempt;
    // It may have been rewritten since the attempt was made ready.
    content = await core.contents.read(lane.number, message.home.get(message.queueId) ?? message);
  } catch (error) {
    return { ...failure(core, attempt, 'blob', error), unspent: attempt.recipients };
  }
  let result: AttemptResult;
  try {
    result = await attempt.route.transport.attempt(createJob(core, attempt, { content, traceparent: span.traceparent }));
  } catch (error) {
    return { ...failure(core, attempt, 'transport', error), unspent: attempt.recipients };
  } finally {
    attempt.flight.dotted = false;
  }
  return settle(core, attempt, result, span);
}
