import { type DsnAction, type DsnRecipient, type DsnRequest, replyLines, statusOf } from './dsn-request.ts';
import { decodeEncodedWords } from './encoded-word.ts';
import type { HeaderScan } from './header.ts';
import { atMostOctets, withoutControls, wrap } from './octets.ts';
import { formatDateTime } from './trace.ts';

interface Wording {
  readonly subject: string;
  readonly heading: string;
  readonly note: string;
}

/** Most serious first: the first action that occurs gives the subject. */
const WORDINGS: readonly (readonly [DsnAction, Wording])[] = [
  [
    'failed',
    {
      subject: 'Your message could not be delivered',
      heading: 'Your message could not be delivered to:',
      note: 'No further attempt will be made.',
    },
  ],
  [
    'delayed',
    {
      subject: 'Your message is delayed',
      heading: 'Your message has not been delivered yet to:',
      note: 'You need not send it again. We keep trying, and tell you if we have to give up.',
    },
  ],
  [
    'relayed',
    {
      subject: 'Your message was handed on',
      heading: 'Your message was handed on to the mail system of:',
      note: 'That system does not report whether it delivers, so you will hear no more unless it fails.',
    },
  ],
  [
    'expanded',
    {
      subject: 'Your message was forwarded',
      heading: 'Your message was accepted, and sent on to several recipients, for:',
      note: 'You will hear more only about those that cannot be reached.',
    },
  ],
  [
    'delivered',
    {
      subject: 'Your message was delivered',
      heading: 'Your message was delivered to:',
      note: 'This does not say that it has been read.',
    },
  ],
];

const UNREACHED = 'The mail system of the recipient could not be reached. Check the part after the @, or try again later.';
const TOO_LARGE = 'The message is too large for the recipient. Send it with smaller attachments, or share them in another way.';
const LETTERS = 'The mail system of the recipient cannot handle letters other than A to Z in addresses or subjects.';

/** What to do, by subject and detail of the status (RFC 3463 §3). */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['1.1', 'There is no such address. Check how you spelled it, or ask the recipient for the right one.'],
  ['1.2', 'There is no such domain, or it takes no mail. Check the part after the @.'],
  ['1.3', 'The address is not written in a valid way. Check it for stray characters.'],
  ['1.6', 'The recipient has moved and left no new address.'],
  ['1.10', 'The domain has declared that it takes no mail. Check the part after the @.'],
  ['2.0', 'The mailbox cannot take mail now. Reach the recipient in another way.'],
  ['2.1', 'The mailbox is switched off. Reach the recipient in another way.'],
  ['2.2', 'The mailbox is full. Reach the recipient in another way, or try again later.'],
  ['2.3', TOO_LARGE],
  ['3.4', TOO_LARGE],
  ['4.1', UNREACHED],
  ['4.2', UNREACHED],
  ['4.3', UNREACHED],
  ['4.4', UNREACHED],
  ['4.7', UNREACHED],
  ['4.6', 'The message went round in circles: a forwarding is set up wrongly. Tell the recipient.'],
  ['6.3', 'The mail system of the recipient cannot take the format of the message. Send it as plain text.'],
  ['6.7', LETTERS],
  ['6.9', LETTERS],
]);
const REFUSED =
  'The mail system of the recipient refused the message by its rules. Its words above say why; the recipient can ask for an exception.';
const UNKNOWN = 'The words above are all that is known. The people who run the mail system of the recipient can tell more.';

function advice(recipient: DsnRecipient): string | undefined {
  if (recipient.action !== 'failed') return undefined;
  const [, subject, detail] = statusOf(recipient).split('.');
  return ADVICE.get(`${subject}.${detail}`) ?? (subject === '7' ? REFUSED : UNKNOWN);
}

/** Recipients with the same fate are told of together; the text names at most this many, the report part all. */
const MAX_NAMED = 100;

function fate(recipient: DsnRecipient): string {
  const { action, reply, remoteMta, willRetryUntilMs } = recipient;
  return JSON.stringify([action, statusOf(recipient), reply?.code, reply?.enhanced, reply?.text, remoteMta, willRetryUntilMs]);
}

const indent = (text: string, width: number): string[] => wrap(text, 74 - width).map((line) => `${' '.repeat(width)}${line}`);

/** Of someone else's text in one line of the report. */
const shown = (text: string): string => atMostOctets(withoutControls(text), 400);

function addressLine(recipient: DsnRecipient): string {
  const sentTo = recipient.orcpt?.slice(recipient.orcpt.indexOf(';') + 1) ?? '';
  const isOther = sentTo !== '' && sentTo.toLowerCase() !== recipient.finalRecipient.toLowerCase();
  return `    ${shown(recipient.finalRecipient)}${isOther ? ` (you wrote to ${shown(sentTo)})` : ''}`;
}

function explain(recipient: DsnRecipient): string[] {
  const { reply, remoteMta, willRetryUntilMs } = recipient;
  const lines: string[] = [];
  if (reply && reply.text !== '') {
    lines.push(remoteMta ? `  The mail server ${shown(remoteMta)} said:` : '  The reason:');
    for (const line of replyLines(reply)) lines.push(...indent(withoutControls(line), 4));
  }
  const todo = advice(recipient);
  if (todo) lines.push('', ...indent(todo, 2));
  if (willRetryUntilMs !== undefined && recipient.action === 'delayed') lines.push(`  We try until ${formatDateTime(willRetryUntilMs)}.`);
  return lines.length === 0 ? [] : ['', ...lines];
}

function section(action: DsnAction, wording: Wording, recipients: readonly DsnRecipient[]): string[] {
  const groups = Map.groupBy(
    recipients.filter((recipient) => recipient.action === action),
    fate,
  );
  if (groups.size === 0) return [];
  const lines = [wording.heading];
  let named = 0;
  for (const [, group] of groups) {
    const told = group.slice(0, Math.max(0, MAX_NAMED - named));
    named += told.length;
    const [first] = told;
    if (first) lines.push('', ...told.map(addressLine), ...explain(first));
  }
  const total = recipients.filter((recipient) => recipient.action === action).length;
  if (total > named) lines.push('', `    and ${total - named} more, listed in the report below`);
  return [...lines, '', ...wrap(wording.note, 74), ''];
}

/** Subject of the original as its reader saw it, in one line; '' where there is none. */
function originalSubject(scan: HeaderScan): string {
  const subject = scan.value('subject') ?? '';
  return withoutControls(decodeEncodedWords(subject) ?? subject).slice(0, 200);
}

export function dsnSubject(recipients: readonly DsnRecipient[]): string {
  return WORDINGS.find(([action]) => recipients.some((recipient) => recipient.action === action))?.[1].subject ?? 'About your message';
}

/** The part for humans (RFC 6522 §3): what happened, to whom, the words of the remote host, what to do. CRLF line ends. */
export function explanation(o: DsnRequest, scan: HeaderScan): string {
  const subject = originalSubject(scan);
  const postmaster = o.postmaster ?? `postmaster@${o.reportingMta}`;
  const lines = [
    `This is the mail system at ${shown(o.reportingMta)}.`,
    '',
    ...WORDINGS.flatMap(([action, wording]) => section(action, wording, o.recipients)),
    'Your message:',
    '',
    ...(subject === '' ? [] : indent(`Subject: ${subject}`, 4)),
    `    Accepted: ${formatDateTime(o.arrivalMs)}`,
    `    Queue id: ${shown(o.queueId)}`,
    '',
    ...wrap(`This report was written by a program. If it does not help you, write to ${shown(postmaster)} and give the queue id.`, 74),
    '',
  ];
  return lines.join('\r\n');
}
