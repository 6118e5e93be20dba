import { canonicalDomain, encodeXtext, formatNotify, formatOrcpt, isAscii, splitAddress } from '@angarium/smtp';
import type { Contents, Form } from './contents.ts';
import type { Job, JobRecipient, RemoteReply } from './port.ts';

/** What a host can be sent of a job: command lines and content, or why not. */
export interface Prepared {
  readonly mail: string;
  /** By index of the job's recipient; one is in exactly one of both. */
  readonly lines: ReadonlyMap<number, string>;
  readonly refused: ReadonlyMap<number, RemoteReply>;
  readonly data: readonly Buffer[];
}

type Extensions = ReadonlyMap<string, string>;

const refusal = (code: number, enhanced: string, text: string): RemoteReply => ({ code, enhanced, text, remoteHost: '' });

/** ASCII form of an address, its domain as A-labels; undefined where the local part has none. */
function asciiForm(address: string): string | undefined {
  if (isAscii(address)) return address;
  const mailbox = splitAddress(address);
  if (!mailbox || !isAscii(mailbox.localPart)) return undefined;
  const domain = canonicalDomain(mailbox.domain);
  return isAscii(domain) ? `${mailbox.localPart}@${domain}` : undefined;
}

function rcptLine(recipient: JobRecipient, address: string, o: { dsn: boolean; smtputf8: boolean }): string {
  const notify = o.dsn && recipient.notify !== 0 ? ` NOTIFY=${formatNotify(recipient.notify)}` : '';
  const orcpt = o.dsn && recipient.orcpt !== '' ? ` ORCPT=${formatOrcpt(recipient.orcpt, o)}` : '';
  return `RCPT TO:<${address}>${notify}${orcpt}`;
}

function mailLine(job: Job, o: { extensions: Extensions; octets: number; smtputf8: boolean; eightBit: boolean; from: string }): string {
  const { extensions } = o;
  const parameters = [
    extensions.has('SIZE') ? ` SIZE=${o.octets}` : '',
    o.eightBit ? ' BODY=8BITMIME' : '',
    o.smtputf8 ? ' SMTPUTF8' : '',
    extensions.has('DSN') && job.ret !== '' ? ` RET=${job.ret.toUpperCase()}` : '',
    extensions.has('DSN') && job.envid !== '' ? ` ENVID=${encodeXtext(job.envid)}` : '',
  ];
  return `MAIL FROM:<${o.from}>${parameters.join('')}`;
}

/** No address that was parsed holds them; one that was not must not become a command. */
const BREAKS_LINES = /\p{Cc}/u;

/** A header with raw 8-bit octets that nobody declared to be UTF-8 goes the way of the body. */
const hasUtf8Header = (job: Job): boolean => job.smtputf8 && job.headerUtf8;

const refuseAll = (indexes: readonly number[], reply: RemoteReply): Prepared => ({
  mail: '',
  lines: new Map(),
  data: [],
  refused: new Map(indexes.map((index) => [index, reply])),
});

/** The content as the host takes it, or why it does not. */
async function fittingForm(
  job: Job,
  { extensions, contents }: { extensions: Extensions; contents: Contents },
): Promise<(Form & { readonly isEightBit: boolean }) | RemoteReply> {
  if (hasUtf8Header(job) && !extensions.has('SMTPUTF8'))
    return refusal(553, '5.6.9', 'the host does not take UTF-8 in the header (SMTPUTF8)');
  const isEightBit = job.eightBit || job.headerUtf8;
  const mayStay = !isEightBit || extensions.has('8BITMIME');
  const form = mayStay ? contents.asIs() : await contents.sevenBit();
  if (!form) return refusal(554, '5.6.3', 'the host takes no 8-bit content, and this cannot be converted');
  // RFC 1870 §4: what is over the host's own limit is not worth trying.
  const maxOctets = Number(extensions.get('SIZE') || 0);
  if (maxOctets > 0 && form.octets > maxOctets)
    return refusal(552, '5.3.4', `the message has ${form.octets} octets, the host takes ${maxOctets}`);
  return { ...form, isEightBit: mayStay && isEightBit };
}

/**
 * Fits a job to what the host offers, for the recipients of the given indexes. A message is never sent in a form that the
 * host did not offer: converted where that loses nothing, else refused (RFC 6152 §3, RFC 6531 §3.5).
 */
export async function prepare(job: Job, indexes: readonly number[], o: { extensions: Extensions; contents: Contents }): Promise<Prepared> {
  const { extensions } = o;
  const offersUtf8 = extensions.has('SMTPUTF8');
  const from = offersUtf8 ? job.reversePath : asciiForm(job.reversePath);
  const form = await fittingForm(job, o);
  if (from === undefined) return refuseAll(indexes, refusal(553, '5.6.7', 'the host does not take the sender address (SMTPUTF8)'));
  if ('code' in form) return refuseAll(indexes, form);
  if (BREAKS_LINES.test(from)) return refuseAll(indexes, refusal(553, '5.1.7', 'the sender address holds control characters'));

  const refused = new Map<number, RemoteReply>();
  const addressed = new Map<number, { readonly recipient: JobRecipient; readonly address: string }>();
  for (const index of indexes) {
    const recipient = job.recipients[index];
    if (!recipient) continue;
    const address = offersUtf8 ? recipient.address : asciiForm(recipient.address);
    if (address === undefined) refused.set(index, refusal(553, '5.6.7', 'the host does not take the recipient address (SMTPUTF8)'));
    else if (BREAKS_LINES.test(address)) refused.set(index, refusal(553, '5.1.3', 'the recipient address holds control characters'));
    else addressed.set(index, { recipient, address });
  }
  const isUtf8 = !isAscii(from) || [...addressed.values()].some(({ address }) => !isAscii(address)) || hasUtf8Header(job);
  const smtputf8 = offersUtf8 && isUtf8;
  const parameters = { dsn: extensions.has('DSN'), smtputf8 };
  const lines = new Map([...addressed].map(([index, { recipient, address }]) => [index, rcptLine(recipient, address, parameters)]));
  const mail = mailLine(job, { extensions, octets: form.octets, smtputf8, eightBit: form.isEightBit, from });
  return { mail, lines, refused, data: form.data };
}
