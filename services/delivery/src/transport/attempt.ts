import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import type { MxHost } from '@angarium/dns';
import type { Clock, Config } from '@angarium/runtime';
import type { Slot } from '../quota/allowance.ts';
import { type Connected, connectAny, isOwnFault } from './connect.ts';
import type { Connections } from './connections.ts';
import { type Contents, createContents } from './contents.ts';
import { failureReply, ownReply } from './outcome.ts';
import { orderHosts, type SmtpPlan } from './plan.ts';
import type { AttemptResult, Job } from './port.ts';
import { prepare } from './prepare.ts';
import { type OpenFailure, type SessionTimeouts, SmtpSession } from './smtp/session.ts';
import { type Transaction, type TransactionResult, transact } from './smtp/transaction.ts';
import { Tally } from './tally.ts';

export interface AttemptDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: () => number;
  readonly connections: Connections;
  readonly secureContexts: { readonly verified: SecureContext; readonly unverified: SecureContext };
  readonly timeouts: SessionTimeouts;
  /** Each session that was tried. */
  readonly onSession: (session: SmtpSession, failure: OpenFailure | undefined) => void;
  /** A kept session was taken. */
  readonly onReuse: () => void;
}

interface Attempt {
  readonly job: Job<SmtpPlan>;
  readonly tally: Tally;
  readonly contents: Contents;
  readonly deps: AttemptDeps;
  sessionsLeft: number;
  noRoom: boolean;
}

const NO_ROOM = ownReply('4.4.5', 'the limit of its hosts leaves no room at the moment');

const keyOf = (plan: SmtpPlan, host: MxHost): string => `${plan.site}|${host.name}`;

function stopWithoutRoom(attempt: Attempt): void {
  attempt.noRoom = true;
  attempt.tally.stop(NO_ROOM);
}

type Reached = Connected & { readonly slot: Slot | undefined };

/** A connection that we have dropped may take so long until its host has seen that. */
const SEEN_CLOSED_MS = 1000;

/** Frees the room of a connection once its host has closed it. */
function freeWhenClosed(socket: Socket, slot: Slot, clock: Clock): void {
  let hasHostEnded = false;
  socket.once('end', () => {
    hasHostEnded = true;
  });
  socket.once('close', () => {
    if (hasHostEnded) slot.free();
    else clock.after(SEEN_CLOSED_MS, slot.free);
  });
}

/** Connect: the first of these addresses that answers, one at a time where connections are limited. What failed is in the tally. */
async function connectTo(attempt: Attempt, host: MxHost, addresses: readonly string[]): Promise<Reached> {
  const { deps, tally, job } = attempt;
  const { port } = job.plan;
  const { connectTimeoutMs: timeoutMs, connectStaggerMs } = deps.config.delivery;
  const slot = await job.allowance?.connection();
  if (job.allowance !== undefined && slot === undefined) {
    stopWithoutRoom(attempt);
    return { connection: undefined, failures: [], slot };
  }
  attempt.sessionsLeft--;
  const staggerMs = slot === undefined ? connectStaggerMs : Number.POSITIVE_INFINITY;
  const connected = { ...(await connectAny(addresses, { port, timeoutMs, staggerMs, clock: deps.clock })), slot };
  if (slot !== undefined)
    if (connected.connection) freeWhenClosed(connected.connection.socket, slot, deps.clock);
    else deps.clock.after(SEEN_CLOSED_MS, slot.free);
  for (const failure of connected.failures) {
    const text = `${host.name} [${failure.address}]:${port} cannot be connected to: ${failure.code}`;
    tally.hostFailed({ reply: ownReply('4.4.1', text), ownFault: isOwnFault(failure) });
  }
  if (!deps.connections.closed) return connected;
  // It came about while we were closing, or we had closed before.
  connected.connection?.socket.destroy();
  tally.stop(ownReply('4.3.2', 'we are shutting down'));
  return { ...connected, connection: undefined };
}

/**
 * Connect and secure at one of these addresses. A TLS handshake that fails is followed by a connection in clear where the
 * policy is opportunistic. Undefined: failed, and what failed is in the tally.
 */
async function secure(attempt: Attempt, host: MxHost, { connection, slot }: Reached): Promise<SmtpSession | undefined> {
  const { deps, tally } = attempt;
  const { login, tls } = attempt.job.plan;
  if (!connection) return undefined;
  let session = createSession(attempt, host, { ...connection, tls, slot });
  let failure = await session.open(login);
  deps.onSession(session, failure);
  if (failure?.kind === 'tls' && tls === 'opportunistic' && attempt.sessionsLeft > 0) {
    session.drop();
    const again = await connectTo(attempt, host, [connection.address]);
    if (!again.connection) return undefined;
    session = createSession(attempt, host, { ...again.connection, tls: 'clear', slot: again.slot });
    failure = await session.open(login);
    deps.onSession(session, failure);
  }
  if (!failure) return session;
  session.drop();
  // Asked once per message, a host would lock the account that it has refused.
  if (failure.kind === 'auth') tally.stop(ownReply('4.7.8', `${host.name}: ${failure.text}`), 'failed');
  else tally.hostFailed({ reply: failureReply(failure, host.name), ownFault: false });
  return undefined;
}

/** A session with the first address of the host that lets us in. */
async function openSession(attempt: Attempt, host: MxHost): Promise<SmtpSession | undefined> {
  let left = host.addresses;
  if (attempt.deps.connections.closed) attempt.tally.stop(ownReply('4.3.2', 'we are shutting down'));
  while (left.length > 0 && attempt.sessionsLeft > 0 && !attempt.tally.stopped) {
    const connected = await connectTo(attempt, host, left);
    const session = await secure(attempt, host, connected);
    if (session || !connected.connection) return session;
    const used = new Set([connected.connection.address, ...connected.failures.map(({ address }) => address)]);
    left = left.filter((address) => !used.has(address));
  }
  return undefined;
}

interface SessionStart {
  readonly socket: Socket;
  readonly address: string;
  readonly tls: SmtpPlan['tls'];
  readonly slot: Slot | undefined;
}

function createSession(attempt: Attempt, host: MxHost, o: SessionStart): SmtpSession {
  const { deps, job } = attempt;
  const session = new SmtpSession({
    socket: o.socket,
    slot: o.slot,
    tls: o.tls,
    host: host.name.startsWith('[') ? o.address : host.name,
    hostname: deps.config.hostname,
    verified: job.plan.verified,
    secureContext: job.plan.verified ? deps.secureContexts.verified : deps.secureContexts.unverified,
    clearLogin: job.plan.tls === 'clear',
    timeouts: deps.timeouts,
    nowMs: () => deps.clock.nowMs(),
  });
  deps.connections.add(session);
  o.slot?.carries({ leave: () => deps.connections.leave(session), drop: () => session.drop() });
  return session;
}

/** A kept connection that the host had given up before it heard of this message. */
const wasDead = ({ mail, failure, dotted }: TransactionResult): boolean =>
  failure !== undefined && !dotted && (mail === undefined || mail.code === 421);

/** A host that does not speak SMTP, or leaves us unsure what it waits for, is not spoken to again. */
const isAstray = ({ mail, recipients, data, final }: TransactionResult): boolean =>
  (data !== undefined && data.code < 400) ||
  [mail, ...recipients, final].some((reply) => reply && (reply.code === 0 || (reply.code >= 300 && reply.code < 400)));

/** One transaction, as soon as the limits of the site let it begin. Undefined: they do not, or its connection was cut off by them. */
async function send(
  { job }: Attempt,
  session: SmtpSession,
  message: Pick<Transaction, 'mail' | 'recipients' | 'data'>,
): Promise<TransactionResult | undefined> {
  const { mayFinish, allowance } = job;
  const { slot } = session;
  if (allowance === undefined || slot === undefined) return transact(session, { ...message, mayFinish, onDot: job.onDot });
  const permit = await allowance.message();
  if (permit === undefined) return undefined;
  const onDot = () => {
    slot.isDotted = true;
    job.onDot();
  };
  const result = await transact(session, { ...message, mayFinish, onDot, onMail: permit.counted });
  permit.counted();
  slot.isDotted = false;
  return slot.isCut && !result.dotted ? undefined : result;
}

/** Transact: everything that is pending, in as many transactions as the host wants, until the host has had its say. */
async function deliverTo(attempt: Attempt, host: MxHost): Promise<void> {
  const { deps, job, tally } = attempt;
  const key = keyOf(job.plan, host);
  let onlyNew = false;
  while (tally.pending.length > 0 && !tally.stopped) {
    const kept = onlyNew ? undefined : deps.connections.take(key);
    if (kept) deps.onReuse();
    const session = kept ?? (await openSession(attempt, host));
    if (!session) return;
    const isReused = session.transactions > 0;
    const batch = tally.pending.slice(0, deps.config.delivery.maxRecipientsPerTransaction);
    const { extensions } = session;
    const { mail, lines, refused, data } = await prepare(job, batch, { extensions, contents: attempt.contents });
    tally.refuse(refused);
    if (lines.size === 0) {
      deps.connections.keep(key, session);
      continue;
    }
    const result = await send(attempt, session, { mail, recipients: [...lines.values()], data });
    if (result === undefined) {
      stopWithoutRoom(attempt);
      deps.connections.keep(key, session);
      return;
    }
    if (isAstray(result)) session.drop();
    else deps.connections.keep(key, session);
    if (isReused && wasDead(result)) {
      onlyNew = true;
      continue;
    }
    if (tally.transacted(result, [...lines.keys()], { host: host.name, relayed: !extensions.has('DSN') })) return;
    // It got somewhere: what a long list of recipients needs is not what a dead site costs.
    attempt.sessionsLeft = deps.config.delivery.sessionsPerAttempt;
  }
}

/**
 * Carries a job to the first host that takes it. Conclude: one result per recipient, whatever the world did. A host that cannot
 * be spoken to, or defers the sender, passes the recipients on to the next (RFC 5321 §5.1); a host that defers a recipient or
 * the message does not: others of the site would say the same, and grey listing would be asked of each.
 */
export async function runAttempt(job: Job<SmtpPlan>, deps: AttemptDeps): Promise<AttemptResult> {
  const tally = new Tally(job);
  const attempt: Attempt = {
    job,
    tally,
    deps,
    contents: createContents(job.content),
    sessionsLeft: deps.config.delivery.sessionsPerAttempt,
    noRoom: false,
  };
  const hosts = orderHosts(job.plan.hosts, deps.random, (host) => deps.connections.has(keyOf(job.plan, host)));
  let asked = 0;
  for (const host of hosts) {
    if (tally.pending.length === 0 || tally.stopped || attempt.sessionsLeft === 0) break;
    await deliverTo(attempt, host);
    asked++;
  }
  const result = tally.conclude({ allHostsAsked: asked === hosts.length && attempt.sessionsLeft > 0 });
  return attempt.noRoom ? { ...result, noRoom: true } : result;
}
