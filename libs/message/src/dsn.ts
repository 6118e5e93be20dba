import { Buffer } from 'node:buffer';
import { isAscii, printable } from '@angarium/smtp';
import { originalPart, type Part } from './dsn-original.ts';
import type { Dsn, DsnRequest } from './dsn-request.ts';
import { formatStatus } from './dsn-status.ts';
import { dsnSubject, explanation } from './dsn-text.ts';
import { type HeaderScan, scanHeader } from './header.ts';
import { atMostOctets, hasEightBit, view, withoutControls } from './octets.ts';
import { formatDate, formatMessageId } from './trace.ts';
import { quotedPrintable, run } from './transfer-encoding.ts';

/** Text goes as it is where it is ASCII or the report is UTF-8, else encoded. */
function textPart(text: string, isUtf8Report: boolean): Part {
  const isPlain = isAscii(text);
  const charset = isPlain ? 'us-ascii' : 'utf-8';
  const encoding = isPlain ? '7bit' : isUtf8Report ? '8bit' : 'quoted-printable';
  const body = encoding === 'quoted-printable' ? run(quotedPrintable(Buffer.from(text))) : text;
  return { fields: `Content-Type: text/plain; charset=${charset}\r\nContent-Transfer-Encoding: ${encoding}\r\n`, body };
}

function statusPart(o: DsnRequest, isUtf8Report: boolean): Part {
  const body = formatStatus(o, isUtf8Report);
  // What ASCII can say goes in the form that every reader knows (RFC 6533 §4.4).
  const isGlobal = isUtf8Report && !isAscii(body);
  return {
    fields: `Content-Type: message/${isGlobal ? 'global-' : ''}delivery-status\r\nContent-Transfer-Encoding: ${isGlobal ? '8bit' : '7bit'}\r\n`,
    body,
  };
}

/** A boundary that stands in none of the parts. */
function freeBoundary(wanted: string, parts: readonly Part[]): string {
  const stem = wanted.replace(/[^0-9A-Za-z]/g, '').slice(0, 60) || 'report';
  const bodies = parts.map(({ body }) => (typeof body === 'string' ? body : view(body)));
  let boundary = stem;
  for (let n = 1; bodies.some((body) => body.includes(`--${boundary}`)); n++) boundary = `${stem}.${n}`;
  return boundary;
}

/** Message-ID of the original as the DSN's In-Reply-To, where it is a plain one (RFC 3834 §3.1.6). */
function threadFields(scan: HeaderScan): string {
  const messageId = scan.value('message-id') ?? '';
  if (!/^<[!-;=?-~]{3,250}>$/.test(messageId)) return '';
  return `In-Reply-To: ${messageId}\r\nReferences: ${messageId}\r\n`;
}

function headerOf(o: DsnRequest, scan: HeaderScan, boundary: string): string {
  const host = printable(o.reportingMta, 255);
  return [
    `From: Mail Delivery System <MAILER-DAEMON@${host}>\r\n`,
    `Reply-To: <${printable(o.postmaster ?? `postmaster@${host}`, 900)}>\r\n`,
    `To: <${o.to}>\r\n`,
    `Subject: ${dsnSubject(o.recipients)}\r\n`,
    formatDate(o.nowMs),
    formatMessageId(o.dsnId, host),
    threadFields(scan),
    'Auto-Submitted: auto-replied\r\n',
    'MIME-Version: 1.0\r\n',
    `Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="${boundary}"\r\n`,
  ].join('');
}

/**
 * Builds a delivery status notification (RFC 3464 §2, RFC 6522 §3) that tells of recipients of one message, with any mix
 * of actions. It is to be sent with the null reverse-path and NOTIFY=NEVER (RFC 3461 §6.1).
 *
 * A report on a SMTPUTF8 message, or to a UTF-8 address, uses the forms of RFC 6533 §4 where it holds more than ASCII; any
 * other is 7-bit but for the body of a returned 8BITMIME message. Whatever strangers wrote into replies, addresses and
 * header fields can neither end a line nor a part. Copies the original once.
 */
export function buildDsn(request: DsnRequest): Dsn {
  const o = { ...request, to: atMostOctets(withoutControls(request.to), 900) };
  const scan = scanHeader(o.original.octets);
  const isToUtf8 = !isAscii(o.to);
  const isUtf8Report = isToUtf8 || o.smtputf8;
  const parts = [textPart(explanation(o, scan), isUtf8Report), statusPart(o, isUtf8Report), originalPart(o, scan, isUtf8Report)];
  const boundary = freeBoundary(o.boundary, parts);
  const pieces: (string | Uint8Array)[] = [headerOf(o, scan, boundary)];
  for (const { fields, body } of parts) pieces.push(`\r\n--${boundary}\r\n${fields}\r\n`, body);
  pieces.push(`\r\n--${boundary}--\r\n`);
  const content = Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece)));
  return { content, eightBit: hasEightBit(content), smtputf8: isToUtf8 };
}
