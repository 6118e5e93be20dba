import { laneOf } from '@angarium/lanes';
import { type Accepted, type LaneTable, type NextHop, NextHopKind, type Recipient, Result, type Verdict } from '@angarium/records';
import { type Expansion, Placement, type Target } from '@angarium/rpc';
import { canonicalAddress, canonicalDomain, isAscii, splitAddress } from '@angarium/smtp';

/** Why routing itself concludes a recipient (RFC 3463 §3.2, §3.3, §3.5). */
const REFUSALS: ReadonlyMap<Placement, readonly [enhanced: string, text: string]> = new Map([
  [Placement.UNKNOWN_USER, ['5.1.1', 'no such user here']],
  [Placement.LOOP, ['5.4.6', 'aliases lead in a circle or to too many recipients']],
  [Placement.DISABLED, ['5.2.1', 'mailbox is disabled']],
]);

export function verdictOf(placement: Placement): Verdict | undefined {
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
function identityOf(target: Target, domain: string): string {
  if (!isRemote(target)) return canonicalAddress(target.address);
  return `${splitAddress(target.address)?.localPart ?? ''}@${domain}`;
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

/** Recipients of a message by lane, each once: of two ordinals that lead to one recipient the first has it. */
export function placeRecipients(
  { envelope, recipients }: Accepted,
  expansionOf: (forwardPath: string) => Expansion,
  table: LaneTable,
): Placed {
  const queueId = envelope?.queueId ?? '';
  const seen = new Set<string>();
  const lanes = new Map<number, Recipient[]>();
  const placements = new Map<Placement, number>();
  recipients.forEach((accepted, ordinal) => {
    for (const target of expansionOf(accepted.forwardPath).targets) {
      const domain = canonicalDomain(splitAddress(target.address)?.domain ?? '');
      const identity = identityOf(target, domain);
      if (seen.has(identity)) continue;
      seen.add(identity);
      placements.set(target.placement, (placements.get(target.placement) ?? 0) + 1);
      const lane = laneOf(table, { domain, queueId, local: !isRemote(target) });
      const recipient: Recipient = {
        address: target.address,
        ordinal,
        notify: accepted.notify,
        orcpt: orcptOf(accepted, target.address),
        nextHop: nextHopOf(target, domain),
        verdict: verdictOf(target.placement),
      };
      const inLane = lanes.get(lane);
      if (inLane) inLane.push(recipient);
      else lanes.set(lane, [recipient]);
    }
  });
  return { lanes, recipients: seen.size, placements };
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
