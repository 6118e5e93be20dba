import type { Sent } from './client.ts';
import type { Witness } from './witness.ts';
import { expand } from './world.ts';

/** What the client was told of its letter. `refused`: anything but 250, or it never sent the final dot; `inDoubt`: it did, and was told nothing. */
export type Answer = 'kept' | 'refused' | 'inDoubt';

export interface Letter {
  /** In its Message-ID field: all that its sender knows it by. */
  readonly id: string;
  /** Empty is the null reverse-path. */
  readonly sender: string;
  readonly notify: number;
  readonly recipients: readonly string[];
  readonly isLarge: boolean;
}

const NEVER = 1;
const SUCCESS = 2;
const FAILURE = 4;

const wantsFailure = ({ sender, notify }: Letter) => sender !== '' && (notify & NEVER) === 0 && (notify === 0 || (notify & FAILURE) !== 0);

/** Whether a status report of this action names the recipient (RFC 3464 §2.3). */
function isReported(reports: readonly string[], address: string, action: string): boolean {
  return reports.some((report) =>
    report
      .toLowerCase()
      .split('\r\n\r\n')
      .some((group) => group.includes(`final-recipient: rfc822;${address}\r\n`) && group.includes(`action: ${action}`)),
  );
}

/** Members of a list are reported by the list. */
const wantsSuccess = ({ sender, notify, recipients }: Letter, address: string) =>
  sender.endsWith('@here.test') && (notify & SUCCESS) !== 0 && recipients.includes(address) && !recipients.includes('list@here.test');

/** A taken one may have been recorded as failed where the reply was lost; an order to delete silences. */
function isToldOfSuccess(witness: Witness, { queueId, sender }: Accepted, address: string): boolean {
  const reports = witness.reports(sender);
  const isExplained = witness.allowed(queueId, address) > 1 || witness.isDeleted(queueId, address);
  return isExplained || isReported(reports, address, 'delivered') || isReported(reports, address, 'relayed');
}

/** A letter in the queue; its recipients are those that were accepted. */
interface Accepted extends Letter {
  readonly queueId: string;
}

const recipientsOf = ({ recipients }: Letter) => new Set(recipients.flatMap(expand));

function countRecipient(witness: Witness, letter: Accepted, address: string): string | undefined {
  const { queueId, sender } = letter;
  const taken = witness.taken(queueId, address);
  const allowed = witness.allowed(queueId, address);
  const who = `${queueId} for ${address}`;
  const failed = isReported(witness.reports(sender), address, 'failed');
  if (taken > allowed) return `${who} was taken ${taken} times, and only ${allowed} are explained`;
  if (taken > 0 && failed && allowed === 1) return `${who} was taken and reported as failed`;
  if (taken > 0 && wantsSuccess(letter, address) && !isToldOfSuccess(witness, letter, address))
    return `${who} was taken and its sender not told`;
  if (taken > 0) return undefined;
  if (witness.isDeleted(queueId, address)) return undefined;
  if (!witness.isConcluded(queueId, address)) return `${who} was lost`;
  // A sender elsewhere may be out of reach itself.
  if (wantsFailure(letter) && sender.endsWith('@here.test') && !failed) return `${who} failed and its sender was not told`;
  if (!wantsFailure(letter) && failed) return `${who} failed and its sender was told against its will`;
  return undefined;
}

/**
 * The mail count: every recipient of every letter that was answered with 250 was taken somewhere, or failed and its sender
 * was told as asked; nobody got it more often than lost replies and deaths explain; what was refused went nowhere.
 */
export function countMail(witness: Witness, letters: ReadonlyMap<Letter, Sent>): readonly string[] {
  const faults: string[] = [];
  const known = new Set([...letters.keys()].map(({ id }) => witness.queueIdOf(id)));
  for (const queueId of witness.letters) if (!known.has(queueId)) faults.push(`${queueId} was taken and is unknown`);
  for (const [letter, { answer, recipients }] of letters) {
    const queueId = witness.queueIdOf(letter.id);
    if (queueId === undefined) {
      if (answer === 'kept') faults.push(`${letter.id} was answered with 250 and lost at once`);
      continue;
    }
    if (answer === 'refused' && witness.queueIds.has(queueId) && !witness.isDoubtful(queueId))
      faults.push(`${queueId} was refused and delivered`);
    if (answer !== 'kept') continue;
    const accepted = { ...letter, queueId, recipients };
    for (const address of recipientsOf(accepted)) {
      const fault = countRecipient(witness, accepted, address);
      if (fault !== undefined) faults.push(fault);
    }
  }
  return faults;
}
