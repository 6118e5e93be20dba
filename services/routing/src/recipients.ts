import { laneOf } from '@angarium/lanes';
import { type Accepted, type LaneTable, type NextHop, NextHopKind, type Recipient, Result, type Verdict } from '@angarium/records';
import { type Expansion, Placement, type Target } from '@angarium/rpc';
import { canonicalAddress, canonicalDomain, isAscii, type Mailbox, NOTIFY, splitAddress } from '@angarium/smtp';

/** Why routing itself concludes a recipient (RFC 3463 §3.2, §3.3, §3.5). */
const REFUSALS: ReadonlyMap<Placement, readonly [enhanced: string, text: string]> = new Map([
  [Placement.UNKNOWN_USER, ['5.1.1', 'no such user here']],
  [Placement.LOOP, ['5.4.6', 'aliases lead in a circle or to too many recipients']],
  [Placement.DISABLED, ['5.2.1', 'mailbox is disabled']],
]);

function verdictOf(placement: Placement): Verdict | undefined {
  const refusal = REFUSALS.get(placement);
  if (!refusal) return undefined;
  const [enhanced, text] = refusal;
  return { result: Result.BOUNCED, reply: { code: 550, enhanced, text, remoteHost: '' } };
}

function nextHopOf({ placement, name }: Target, domain: string): NextHop | undefined {
  if (placement === Placement.MAILBOX) return { kind: NextHopKind.MAILBOX, name: domain, account: name };
  if (placement === Placement.MX) return { kind: NextHopKind.MX, name, account: '' };
  if (placement === Placement.SMARTHOST) return { kind: NextHopKind.SMARTHOST, name, account: '' };
  return undefined;
}

const isRemote = ({ placement }: Target): boolean => placement === Placement.MX || placement === Placement.SMARTHOST;

/** One recipient, whatever its spelling; but local parts of other hosts may differ in case alone (RFC 5321 §2.4). */
function identityOf(target: Target, mailbox: Mailbox | undefined, domain: string): string {
  if (!isRemote(target)) return canonicalAddress(target.address);
  return mailbox?.domain === domain ? target.address : `${mailbox?.localPart ?? ''}@${domain}`;
}

/** The address that the sender wrote, for a report about one it never saw (RFC 3461 §4.2: it may be added). */
function orcptOf({ forwardPath, orcpt }: { forwardPath: string; orcpt: string }, address: string): string {
  if (orcpt !== '' || forwardPath === address) return orcpt;
  return `${isAscii(forwardPath) ? 'rfc822' : 'utf-8'};${forwardPath}`;
}

export interface Placed {
  /** By lane, in the order of their ordinals. */
  readonly lanes: ReadonlyMap<number, readonly Recipient[]>;
  readonly recipients: number;
  readonly placements: ReadonlyMap<Placement, number>;
}

interface Placing {
  readonly table: LaneTable;
  readonly queueId: string;
  readonly seen: Map<string, { notify: number }>;
  readonly lanes: Map<number, Recipient[]>;
}

/** What stands for no NOTIFY where it meets one: failures are told anyway, delays as configured (RFC 3461 §4.1). */
const UNSAID = NOTIFY.FAILURE | NOTIFY.DELAY;

/** Two wishes about one recipient: whoever wants to be told is; silence only where both asked for it. */
function mergeNotify(one: number, other: number): number {
  if (one === other || other === NOTIFY.NEVER) return one;
  return one === NOTIFY.NEVER ? other : (one || UNSAID) | (other || UNSAID);
}

/** Gives the recipient to its lane, unless an earlier one is the same, which then speaks for both; says whether it did. */
function place({ table, queueId, seen, lanes }: Placing, target: Target, recipient: Omit<Recipient, 'nextHop'>): boolean {
  const mailbox = splitAddress(target.address);
  const domain = canonicalDomain(mailbox?.domain ?? '');
  const identity = identityOf(target, mailbox, domain);
  const earlier = seen.get(identity);
  if (earlier !== undefined) {
    earlier.notify = mergeNotify(earlier.notify, recipient.notify);
    return false;
  }
  const lane = laneOf(table, { domain, queueId, local: !isRemote(target) });
  const placed: Recipient = { ...recipient, nextHop: recipient.verdict ? undefined : nextHopOf(target, domain) };
  seen.set(identity, placed);
  const inLane = lanes.get(lane);
  if (inLane) inLane.push(placed);
  else lanes.set(lane, [placed]);
  return true;
}

/** What a list's members are notified of: success is told by the list itself, once, instead of by each of them. */
function notifyOfMember(notify: number): number {
  return notify & NOTIFY.SUCCESS ? notify & ~NOTIFY.SUCCESS || NOTIFY.NEVER : notify;
}

/** The list as a recipient that is done: its report of success says "expanded" (RFC 3464 §2.3.3). */
const EXPANDED: Verdict = {
  result: Result.DELIVERED,
  reply: { code: 250, enhanced: '2.0.0', text: 'expanded into several addresses', remoteHost: '' },
};

/**
 * Recipients of a message by lane, each once: of two ordinals that lead to one recipient the first has it, and
 * their wishes to be notified are joined. Where success is
 * to be notified, an address that leads to several is one recipient more, which carries that wish; else a forged sender
 * could be sent as many reports as a list has members.
 */
export function placeRecipients(
  { envelope, recipients }: Accepted,
  expansionOf: (forwardPath: string) => Expansion,
  table: LaneTable,
): Placed {
  const placing: Placing = { table, queueId: envelope?.queueId ?? '', seen: new Map(), lanes: new Map() };
  const placements = new Map<Placement, number>();
  recipients.forEach((accepted, ordinal) => {
    const { forwardPath, orcpt, notify } = accepted;
    const { targets } = expansionOf(forwardPath);
    const isReported = targets.length > 1 && (notify & NOTIFY.SUCCESS) !== 0;
    for (const target of targets) {
      const { address, placement } = target;
      const wanted = isReported && address !== forwardPath ? notifyOfMember(notify) : notify;
      const recipient = { address, ordinal, notify: wanted, orcpt: orcptOf(accepted, address), verdict: verdictOf(placement) };
      if (place(placing, target, recipient)) placements.set(placement, (placements.get(placement) ?? 0) + 1);
    }
    const list: Target = { address: forwardPath, placement: Placement.MAILBOX, name: '' };
    if (isReported) place(placing, list, { address: forwardPath, ordinal, notify: NOTIFY.SUCCESS, orcpt, verdict: EXPANDED });
  });
  return { lanes: placing.lanes, recipients: placing.seen.size, placements };
}

const CHUNK_MAX_RECIPIENTS = 1000;
const CHUNK_MAX_OCTETS = 400 * 1024;
/** Tags, lengths, ordinal and a verdict's reply. */
const RECIPIENT_OVERHEAD_OCTETS = 128;

const octetsOf = ({ address, orcpt, nextHop }: Recipient): number =>
  RECIPIENT_OVERHEAD_OCTETS +
  Buffer.byteLength(address) +
  Buffer.byteLength(orcpt) +
  Buffer.byteLength(nextHop?.name ?? '') +
  Buffer.byteLength(nextHop?.account ?? '');

export interface Chunk {
  readonly recipients: readonly Recipient[];
  /** At least what they take in a record. */
  readonly octets: number;
}

/** Cuts at 1,000 recipients and 400 KiB. The same recipients give the same chunks: their number is part of the identity. */
export function cutChunks(recipients: readonly Recipient[]): readonly Chunk[] {
  const chunks: Chunk[] = [];
  let chunk: Recipient[] = [];
  let octets = 0;
  for (const recipient of recipients) {
    const more = octetsOf(recipient);
    if (chunk.length === CHUNK_MAX_RECIPIENTS || (chunk.length > 0 && octets + more > CHUNK_MAX_OCTETS)) {
      chunks.push({ recipients: chunk, octets });
      chunk = [];
      octets = 0;
    }
    chunk.push(recipient);
    octets += more;
  }
  if (chunk.length > 0) chunks.push({ recipients: chunk, octets });
  return chunks;
}
