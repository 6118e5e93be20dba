import type { SmtpReply } from '@angarium/smtp';

/** What became of a recipient (RFC 3464 §2.3.3). */
export type DsnAction = 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded';

export interface DsnRecipient {
  /** Envelope recipient as we had it. */
  readonly finalRecipient: string;
  /** ORCPT, xtext decoded, with its address type; absent or '' where none was given. */
  readonly orcpt?: string;
  readonly action: DsnAction;
  /** Enhanced status (RFC 3463 §2); if it is none, 5.0.0, 4.0.0 or 2.0.0 by the action. */
  readonly status: string;
  /** Code 0: there was none (no connection, no answer). Its text, without code and status, may be a stranger's. */
  readonly reply?: SmtpReply;
  /** Host that said it; absent or '': we did. */
  readonly remoteMta?: string;
  readonly lastAttemptMs?: number;
  /** Only for `delayed`. */
  readonly willRetryUntilMs?: number;
}

export interface DsnRequest {
  /** Queue id of this report: makes its Message-ID. */
  readonly dsnId: string;
  /** Queue id of the message that it is about. */
  readonly queueId: string;
  /** Our host name; must be a domain name (RFC 3461 §9.3). */
  readonly reportingMta: string;
  /** Address of a human; the default is postmaster at `reportingMta`. */
  readonly postmaster?: string;
  /** Reverse-path of the original; never the null one (RFC 5321 §6.1). */
  readonly to: string;
  /** ENVID, xtext decoded; absent or '' where none was given. */
  readonly envid?: string;
  readonly arrivalMs: number;
  readonly nowMs: number;
  /** 1 to 60 characters of [0-9A-Za-z]; made longer should the original contain it. */
  readonly boundary: string;
  /** At least one. */
  readonly recipients: readonly DsnRecipient[];
  readonly original: {
    readonly octets: Uint8Array;
    /** RET; '' where none was given counts as `full`. */
    readonly ret: 'full' | 'hdrs' | '';
  };
  /** A longer original is returned as its header section only (RFC 3461 §6.2). */
  readonly fullMaxOctets: number;
  /** The original was sent with SMTPUTF8. */
  readonly smtputf8: boolean;
}

export interface Dsn {
  /** The whole message, CRLF line ends, lines of at most 998 octets. */
  readonly content: Uint8Array;
  /** Its body type is 8BITMIME. */
  readonly eightBit: boolean;
  /** It must be sent with SMTPUTF8: its own header section holds a UTF-8 address. */
  readonly smtputf8: boolean;
}

const DEFAULT_STATUS: Record<DsnAction, string> = {
  failed: '5.0.0',
  delayed: '4.0.0',
  delivered: '2.0.0',
  relayed: '2.0.0',
  expanded: '2.0.0',
};

/** A well-formed status for the recipient (RFC 3464 §2.3.4). */
export function statusOf(recipient: DsnRecipient): string {
  return /^[245]\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/.test(recipient.status) ? recipient.status : DEFAULT_STATUS[recipient.action];
}

/** The reply as the host wrote it, one line each: `550-5.1.1 no such`, `550 5.1.1 user`. */
export function replyLines(reply: SmtpReply): string[] {
  const lines = reply.text.split(/\r\n|[\r\n]/);
  if (reply.code === 0) return lines;
  const enhanced = reply.enhanced ? `${reply.enhanced} ` : '';
  return lines.map((line, index) => `${reply.code}${index < lines.length - 1 ? '-' : ' '}${enhanced}${line}`);
}
