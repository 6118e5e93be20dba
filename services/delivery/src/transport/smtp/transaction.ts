import { BLOCK_OCTETS } from './content.ts';
import type { HostReply } from './reply.ts';
import type { SessionFailure, SmtpSession } from './session.ts';

/** One MAIL with its recipients and content, as it goes over the wire. */
export interface Transaction {
  /** Whole command lines, without CRLF. */
  readonly mail: string;
  readonly recipients: readonly string[];
  /** Dot-stuffed, ending in CRLF. */
  readonly data: readonly Buffer[];
  readonly mayFinish: () => boolean;
  readonly onDot: () => void;
  /** MAIL was answered. */
  readonly onMail?: () => void;
}

/** What was answered; what is absent was not. */
export interface TransactionResult {
  mail?: HostReply;
  readonly recipients: (HostReply | undefined)[];
  /** A refusal of DATA; absent where the host said 354. */
  data?: HostReply;
  /** To the final dot, or in the midst of the message. */
  final?: HostReply;
  /** The final dot of a message with recipients has gone out. */
  dotted: boolean;
  /** `mayFinish` said no. */
  withheld: boolean;
  /** The connection is gone. */
  failure?: SessionFailure;
}

/** Message that goes out together with its final dot. */
const SMALL_OCTETS = 16_384;
const DOT = Buffer.from('.\r\n');

const ok = (reply: HostReply | undefined): boolean => reply !== undefined && reply.code >= 200 && reply.code < 300;

interface Step {
  readonly line: string;
  readonly timeoutMs: number;
  readonly take: (reply: HostReply) => void;
}

/** One transaction under way. */
interface Run {
  readonly session: SmtpSession;
  readonly transaction: Transaction;
  readonly result: TransactionResult;
  readonly settle: () => void;
  /** Between the first block of a large message and its final dot. */
  inData: boolean;
}

/** Never rejects. After it the session is `usable` for the next transaction or it is not. */
export function transact(session: SmtpSession, transaction: Transaction): Promise<TransactionResult> {
  const result: TransactionResult = { recipients: transaction.recipients.map(() => undefined), dotted: false, withheld: false };
  session.transactions++;
  return new Promise((resolve) => {
    const settle = () => {
      session.onFailure(undefined);
      resolve(result);
    };
    const run: Run = { session, transaction, result, settle, inData: false };
    session.onFailure((failure) => {
      // The host refuses the message while it is being written.
      if (run.inData && failure.kind === 'protocol' && failure.reply && failure.reply.code >= 400) result.final = failure.reply;
      result.failure = failure;
      settle();
    });
    if (session.usable) sendEnvelope(run);
  });
}

function envelopeSteps(run: Run): readonly Step[] {
  const { session, transaction, result } = run;
  const { commandMs, dataMs } = session.timeouts;
  const steps: Step[] = [];
  const add = (line: string, timeoutMs: number, take: Step['take']) => steps.push({ line, timeoutMs, take });
  if (session.dirty)
    add('RSET', commandMs, (reply) => {
      if (!ok(reply)) session.refuse('RSET was refused', reply);
    });
  add(transaction.mail, commandMs, (reply) => {
    result.mail = reply;
    transaction.onMail?.();
  });
  for (const [index, line] of transaction.recipients.entries())
    add(line, commandMs, (reply) => {
      result.recipients[index] = reply;
    });
  add('DATA', dataMs, (reply) => onDataReply(run, reply));
  return steps;
}

/** MAIL, RCPTs and DATA: in one segment where the host takes that (RFC 2920 §3.1), else one by one. */
function sendEnvelope(run: Run): void {
  const { session, result } = run;
  const steps = envelopeSteps(run);
  session.dirty = true;
  if (session.extensions.has('PIPELINING')) {
    for (const { timeoutMs, take } of steps) session.awaitReply(timeoutMs, take);
    session.say(steps.map(({ line }) => line).join('\r\n'));
    return;
  }
  const send = (index: number) => {
    const step = steps[index];
    if (!step) return;
    session.ask(step.line, step.timeoutMs, (reply) => {
      step.take(reply);
      if (!session.usable || reply.code === 421) return;
      const refused = result.mail !== undefined && !ok(result.mail);
      const beforeData = index === steps.length - 2;
      if (refused || (beforeData && !result.recipients.some(ok))) run.settle();
      else send(index + 1);
    });
  };
  send(0);
}

function onDataReply(run: Run, reply: HostReply): void {
  const { session, result } = run;
  const goesAhead = reply.code >= 300 && reply.code < 400;
  // A host that refused the sender and still wants the message might deliver an empty one.
  if (goesAhead && !ok(result.mail)) session.refuse('the host wants a message that it has refused', result.mail);
  else if (goesAhead && result.recipients.some(ok)) sendData(run);
  // Nobody to send to, and the host waits for a message: an empty one ends that (RFC 2920 §3.1).
  else if (goesAhead) session.ask('.', session.timeouts.finalMs, run.settle);
  else {
    result.data = reply;
    if (reply.code !== 421) run.settle();
  }
}

function sendData(run: Run): void {
  const { session, transaction } = run;
  const octets = transaction.data.reduce((sum, piece) => sum + piece.length, 0);
  if (octets <= SMALL_OCTETS) {
    sendDot(run, transaction.data);
    return;
  }
  const blocks = blocksOf(transaction.data);
  run.inData = true;
  const sendNext = () => {
    if (!session.usable) return;
    const { done, value } = blocks.next();
    if (done) sendDot(run, []);
    else {
      session.expect(session.timeouts.blockMs, 'the host takes no more of the message');
      session.write(value, sendNext);
    }
  };
  sendNext();
}

function* blocksOf(data: readonly Buffer[]): Generator<Buffer, undefined> {
  for (const piece of data) for (let at = 0; at < piece.length; at += BLOCK_OCTETS) yield piece.subarray(at, at + BLOCK_OCTETS);
}

/** The last question, then the dot, together with a small message. */
function sendDot(run: Run, withData: readonly Buffer[]): void {
  const { session, transaction, result } = run;
  const { unasked } = session;
  run.inData = false;
  // Taken for the reply to the dot, it would be believed.
  if (unasked) session.refuse('the host answered what it was not asked', unasked);
  else if (!transaction.mayFinish()) {
    result.withheld = true;
    session.refuse('withheld by us');
  } else {
    session.awaitReply(session.timeouts.finalMs, (reply) => {
      result.final = reply;
      session.dirty = false;
      if (reply.code !== 421) run.settle();
    });
    result.dotted = true;
    transaction.onDot();
    session.expect(session.timeouts.finalMs, 'no reply to the message in time');
    session.write(withData.length === 0 ? DOT : Buffer.concat([...withData, DOT]));
  }
}
