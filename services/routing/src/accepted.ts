import type { LogRecord } from '@angarium/log';
import { type Accepted, decodeRecord } from '@angarium/records';

export const DEAD_REASONS = [
  'corrupt',
  'unknown_kind',
  'not_accepted',
  'no_envelope',
  'no_content',
  'no_recipients',
  'unroutable',
] as const;
export type DeadReason = (typeof DEAD_REASONS)[number];

/** `skip`: a kind of a newer release that older ones may pass over. */
export type Reading =
  | { readonly is: 'message'; readonly accepted: Accepted; readonly queueId: string }
  | { readonly is: 'dead'; readonly reason: DeadReason; readonly queueId: string; readonly detail: string }
  | { readonly is: 'skip' };

function faultOf({ envelope, content, recipients }: Accepted): DeadReason | undefined {
  if (!envelope?.queueId) return 'no_envelope';
  if (content?.place === undefined) return 'no_content';
  return recipients.length === 0 ? 'no_recipients' : undefined;
}

/** What a record of `mail.in` asks for, or why nothing can be done with it. */
export function readAccepted({ value }: LogRecord): Reading {
  const decoded = decodeRecord(value);
  if (decoded.is === 'corrupt') return { is: 'dead', reason: 'corrupt', queueId: '', detail: decoded.reason };
  if (decoded.is === 'unknown') return decoded.critical ? { is: 'dead', reason: 'unknown_kind', queueId: '', detail: '' } : { is: 'skip' };
  if (decoded.kind.$case !== 'accepted') return { is: 'dead', reason: 'not_accepted', queueId: '', detail: decoded.kind.$case };
  const accepted = decoded.kind.value;
  const queueId = accepted.envelope?.queueId ?? '';
  const reason = faultOf(accepted);
  return reason ? { is: 'dead', reason, queueId, detail: '' } : { is: 'message', accepted, queueId };
}
