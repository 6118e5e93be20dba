import { withoutControls } from './octets.ts';

export interface ReceivedFrom {
  /** Argument of HELO or EHLO; anything at all. */
  readonly helo: string;
  /** IP address of the client. */
  readonly address: string;
  /** Its verified name, if any. */
  readonly name?: string;
}

export interface Received {
  readonly from: ReceivedFrom;
  /** Our host name. */
  readonly by: string;
  /** ESMTPSA and the like (RFC 3848, RFC 6531 §4.3). */
  readonly protocol: string;
  readonly queueId: string;
  readonly tls?: { readonly version: string; readonly cipher: string };
  /** Only for a message with one recipient: else one of them learns of another (RFC 5321 §7.2). */
  readonly forAddress?: string;
  readonly nowMs: number;
}

const DOMAIN = /^(?=.{1,255}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i;
const LITERAL = /^\[(IPv6:[0-9a-f:.]{2,45}|[0-9.]{7,15})\]$/i;
const ATOM = /[^A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.]/g;

/** Harmless inside a comment: no parentheses, backslashes, quotes or line ends are left. */
function commentText(text: string): string {
  return text.slice(0, 255).replace(/[^A-Za-z0-9.:_+@=[\]-]/g, '?');
}

function addressLiteral(address: string): string | undefined {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(mapped)) return `[${mapped}]`;
  const v6 = /^([0-9a-f:.]{2,45})(%.*)?$/i.exec(mapped)?.[1];
  return v6?.includes(':') ? `[IPv6:${v6}]` : undefined;
}

/** RFC 5321 §4.4 Extended-Domain. A greeting that is neither domain nor literal goes, made safe, into a comment. */
function fromDomain(from: ReceivedFrom): string {
  const literal = addressLiteral(from.address);
  const name = from.name !== undefined && DOMAIN.test(from.name) ? `${from.name} ` : '';
  const info = literal ? ` (${name}${literal})` : '';
  if (DOMAIN.test(from.helo) || LITERAL.test(from.helo)) return `${from.helo}${info}`;
  return `${literal ?? 'unknown'}${info} (helo=${commentText(from.helo)})`;
}

/** Mail of one second has one text, and the second before is asked for seldom. */
let latest = { second: Number.NaN, text: '' };

/** `Tue, 25 Nov 2025 02:24:00 +0000` (RFC 5322 §3.3). @throws RangeError when `ms` is no instant. */
export function formatDateTime(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (second === latest.second) return latest.text;
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) throw new RangeError(`no instant: ${ms}`);
  latest = { second, text: date.toUTCString().replace('GMT', '+0000') };
  return latest.text;
}

/** The Date field (RFC 5322 §3.6.1), with CRLF. */
export function formatDate(ms: number): string {
  return `Date: ${formatDateTime(ms)}\r\n`;
}

/** The Message-ID field (RFC 5322 §3.6.4), with CRLF: `<id@domain>`. `id` must be unique for the domain. */
export function formatMessageId(id: string, domain: string): string {
  return `Message-ID: <${id.replace(ATOM, '-')}@${domain.replace(ATOM, '-')}>\r\n`;
}

/** `<address>` with controls made harmless; addresses come from a parser that lets none through. */
const path = (address: string): string => `<${withoutControls(address)}>`;

/** The Return-Path field of final delivery (RFC 5321 §4.4), with CRLF; '' is the null reverse-path. */
export function formatReturnPath(reversePath: string): string {
  return `Return-Path: ${path(reversePath)}\r\n`;
}

/** The Delivered-To field of final delivery (RFC 9228), with CRLF. */
export function formatDeliveredTo(address: string): string {
  return `Delivered-To: ${withoutControls(address)}\r\n`;
}

/**
 * The Received field that ingress puts on top (RFC 5321 §4.4), with CRLF. Pure ASCII whatever the client said, lines of at
 * most 998 octets.
 */
export function formatReceived(o: Received): string {
  const atom = (text: string): string => text.slice(0, 255).replace(ATOM, '-');
  const tls = o.tls ? `\r\n\t(${commentText(o.tls.version)} ${commentText(o.tls.cipher)})` : '';
  // A UTF-8 address would make the whole message need SMTPUTF8 (RFC 6531 §3.7.3), so the clause is left out.
  const shown = o.forAddress !== undefined && /^[\x20-\x7e]{1,900}$/.test(o.forAddress) ? o.forAddress : undefined;
  const forClause = shown === undefined ? '' : `\r\n\tfor ${path(shown)}`;
  return `Received: from ${fromDomain(o.from)}\r\n\tby ${atom(o.by)} with ${atom(o.protocol)}${tls}\r\n\tid ${atom(o.queueId)}${forClause};\r\n\t${formatDateTime(o.nowMs)}\r\n`;
}
