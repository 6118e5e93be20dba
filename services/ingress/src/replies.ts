import { type SmtpReply, smtpReply } from '@angarium/smtp';

/** Classes of refusals, as the metric counts them. */
export const REFUSAL_REASONS = [
  'syntax',
  'sequence',
  'lineEnd',
  'unknownUser',
  'disabledUser',
  'relay',
  'notOwned',
  'smtputf8',
  'size',
  'recipients',
  'loop',
  'rate',
  'authRequired',
  'authFailed',
  'directory',
  'log',
  'full',
  'overload',
  'timeout',
  'errors',
  'stopping',
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

export interface Refusal extends SmtpReply {
  readonly reason: RefusalReason;
}

const refuse = (reason: RefusalReason, code: number, status: readonly [number, number], text: string): Refusal => ({
  ...smtpReply(code, status, text),
  reason,
});

/** Every refusal that ingress decides itself. The grammar's own (501, 553, 555) come from @angarium/smtp. */
export const REFUSALS = {
  badLineEnd: refuse('lineEnd', 500, [5, 2], 'Only CRLF ends a line'),
  lineTooLong: refuse('syntax', 500, [5, 2], 'Line too long'),
  authLineTooLong: refuse('syntax', 500, [5, 6], 'Authentication exchange line is too long'),
  badOctets: refuse('syntax', 500, [5, 2], 'Control octets or invalid UTF-8 in command'),
  badBase64: refuse('syntax', 501, [5, 2], 'Not base64'),
  unknownCommand: refuse('syntax', 500, [5, 2], 'Command not known'),
  notImplemented: refuse('syntax', 502, [5, 1], 'Command not implemented'),
  noParameters: refuse('syntax', 501, [5, 4], 'Command takes no parameters'),
  needsParameter: refuse('syntax', 501, [5, 4], 'Parameter missing'),
  helloFirst: refuse('sequence', 503, [5, 1], 'Send HELO or EHLO first'),
  nestedMail: refuse('sequence', 503, [5, 1], 'MAIL was given already'),
  mailFirst: refuse('sequence', 503, [5, 1], 'Send MAIL first'),
  rcptFirst: refuse('sequence', 503, [5, 1], 'Send RCPT first'),
  noRecipients: refuse('sequence', 554, [5, 1], 'No valid recipients'),
  authInTransaction: refuse('sequence', 503, [5, 1], 'Not during a mail transaction'),
  authRequired: refuse('authRequired', 530, [7, 0], 'Authentication required'),
  tlsRequired: refuse('authRequired', 538, [7, 11], 'Encryption required: send STARTTLS first'),
  authFailed: refuse('authFailed', 535, [7, 8], 'Authentication credentials invalid'),
  authUnavailable: refuse('directory', 454, [7, 0], 'Temporary authentication failure'),
  authLocked: refuse('authFailed', 454, [7, 0], 'Too many failed logins, try again later'),
  authGivenUp: refuse('authFailed', 421, [7, 0], 'Too many failed logins'),
  unknownUser: refuse('unknownUser', 550, [1, 1], 'No such user here'),
  disabledUser: refuse('disabledUser', 550, [2, 1], 'Mailbox disabled'),
  relayDenied: refuse('relay', 550, [7, 1], 'Relaying denied'),
  senderNotOwned: refuse('notOwned', 550, [7, 1], 'Sender address does not belong to the account'),
  fromNotOwned: refuse('notOwned', 550, [7, 1], 'Address in From does not belong to the account'),
  headerSenderNotOwned: refuse('notOwned', 550, [7, 1], 'Address in Sender does not belong to the account'),
  directoryDown: refuse('directory', 451, [3, 0], 'Address cannot be checked now, try again later'),
  tooManyRecipients: refuse('recipients', 452, [5, 3], 'Too many recipients'),
  tooManyMessages: refuse('rate', 451, [7, 1], 'Hourly limit of messages reached, try again later'),
  tooManyRecipientsPerHour: refuse('rate', 451, [7, 1], 'Hourly limit of recipients reached, try again later'),
  tooLarge: refuse('size', 552, [3, 4], 'Message exceeds the maximum size'),
  headerTooLarge: refuse('size', 552, [3, 4], 'Header section too large'),
  bareLineEnd: refuse('lineEnd', 554, [6, 0], 'Message holds a CR or LF that is not CRLF'),
  loop: refuse('loop', 554, [4, 6], 'Too many Received fields: mail loop'),
  noRoom: refuse('full', 452, [3, 1], 'Insufficient system storage, try again later'),
  notStored: refuse('log', 451, [3, 0], 'Message not taken, try again later'),
  failure: refuse('log', 451, [3, 0], 'Local error, try again later'),
  overloaded: refuse('overload', 421, [3, 2], 'Too busy, try again later'),
  tooManyErrors: refuse('errors', 421, [7, 0], 'Too many errors'),
  timedOut: refuse('timeout', 421, [4, 2], 'Timeout'),
  sessionTooLong: refuse('timeout', 421, [4, 2], 'Session lasted too long'),
  stopping: refuse('stopping', 421, [3, 2], 'Service is stopping, try again later'),
} as const satisfies Record<string, Refusal>;

const REASON_BY_CODE: Readonly<Record<number, RefusalReason>> = {
  503: 'sequence',
  530: 'authRequired',
  535: 'authFailed',
  553: 'smtputf8',
};

/** Class of any refusal; those without a reason of their own are the grammar's and the SASL exchange's. */
export function reasonOf(reply: SmtpReply): RefusalReason {
  return 'reason' in reply ? (reply as Refusal).reason : (REASON_BY_CODE[reply.code] ?? 'syntax');
}
