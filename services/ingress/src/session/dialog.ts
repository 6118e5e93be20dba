import type { AcceptedRecipient } from '@angarium/records';
import type { MailCommand } from '@angarium/smtp';
import type { Listener } from '../deps.ts';
import type { RecipientRoom } from '../limits/recipient-room.ts';

export interface Client {
  readonly address: string;
  /** Whom limits per client count. */
  readonly key: string;
  /** The configured relay network that it lies in. */
  readonly relayNetwork: string | undefined;
}

/** From MAIL on; ended by RSET, EHLO, STARTTLS, the answer to the message and the connection's end (`endTransaction`). */
export interface Transaction {
  readonly mail: MailCommand;
  /** As sent, without angle brackets; empty is the null reverse-path. */
  readonly reversePath: string;
  readonly recipients: AcceptedRecipient[];
  /** Recipients by address, so that a second RCPT of one does not count. */
  readonly seen: Set<string>;
  /** About what the recipients take in the record. */
  recipientOctets: number;
  /** Recipients were refused: DATA without any other is 554 then. */
  hasRefused: boolean;
}

/** What a session knows of its client. STARTTLS starts a new one. */
export interface Dialog {
  readonly listener: Listener;
  readonly client: Client;
  readonly isSecure: boolean;
  /** Argument of HELO or EHLO; empty before. */
  helo: string;
  isExtended: boolean;
  /** Canonical address of the account that logged in. */
  account: string | undefined;
  transaction: Transaction | undefined;
}

export function createDialog(start: Pick<Dialog, 'listener' | 'client' | 'isSecure'>): Dialog {
  return { ...start, helo: '', isExtended: false, account: undefined, transaction: undefined };
}

/** Forgets the transaction, if there is one. */
export function endTransaction(room: RecipientRoom, dialog: Dialog): void {
  room.giveBack(dialog.transaction?.recipientOctets ?? 0);
  dialog.transaction = undefined;
}

/** AUTH is offered, and demanded, where accounts hand in their mail. */
export const wantsAuth = ({ listener }: Pick<Dialog, 'listener'>): boolean => listener !== 'mx';

/** Fairness key of the message (design §5). */
export function tenantOf({ account, client }: Dialog): string {
  return account ?? (client.relayNetwork === undefined ? 'mx' : `relay:${client.relayNetwork}`);
}
