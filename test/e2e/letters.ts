import type { Angarium } from './angarium.ts';
import { openSession, type Session } from './session.ts';

/** An account holder, for submission and POP3. */
export interface User {
  readonly address: string;
  readonly password: string;
}

export interface Letter {
  /** What stands after "MAIL FROM:". */
  readonly mail: string;
  /** What stands after each "RCPT TO:". */
  readonly rcpt: readonly string[];
  /** CRLF line ends, dot-stuffed where needed, ends with CRLF. */
  readonly content: string;
}

export interface Taken {
  readonly code: number;
  readonly text: string;
  /** Empty when it was not taken. */
  readonly queueId: string;
}

/** One transaction over an open session; the first reply that refuses ends it. */
export async function sendLetter(session: Session, { mail, rcpt, content }: Letter): Promise<Taken> {
  const steps = [`MAIL FROM:${mail}`, ...rcpt.map((path) => `RCPT TO:${path}`), 'DATA', `${content}.`];
  for (const step of steps) {
    const { code, lines } = await session.ask(step);
    if (code >= 400 || step === steps.at(-1)) {
      const text = lines.join('\n');
      return { code, text, queueId: code === 250 ? (/[0-9A-Z]{20,26}/.exec(text)?.[0] ?? '') : '' };
    }
  }
  throw new Error('a letter has steps');
}

/** A session past EHLO at the MX listener. */
export async function openMx(angarium: Angarium): Promise<Session> {
  const session = openSession(angarium.addresses.mx[0] ?? '');
  await session.reply();
  await session.ask('EHLO client.test');
  return session;
}

/** A session past login at the submission listener with TLS at once. */
export async function openSubmission(angarium: Angarium, { address, password }: User): Promise<Session> {
  const session = openSession(angarium.addresses.submissions[0] ?? '', 'tls');
  await session.reply();
  await session.ask('EHLO client.test');
  const login = Buffer.from(`\0${address}\0${password}`).toString('base64');
  const { code, lines } = await session.ask(`AUTH PLAIN ${login}`);
  if (code !== 235) throw new Error(`login of ${address}: ${code} ${lines.join()}`);
  return session;
}

/** A whole visit with one letter. @throws when it is not taken */
export async function send(session: Session, letter: Letter): Promise<string> {
  const { code, text, queueId } = await sendLetter(session, letter);
  session.end();
  if (queueId === '') throw new Error(`not taken: ${code} ${text}`);
  return queueId;
}

/** Every message of the account over POP3, oldest first, dot-stuffing undone. */
export async function readMailbox(angarium: Angarium, { address, password }: User): Promise<string[]> {
  const session = openSession(angarium.addresses.pop3s[0] ?? '', 'tls');
  const ask = async (line?: string): Promise<string> => {
    if (line !== undefined) session.send(`${line}\r\n`);
    const answer = await session.line();
    if (!answer.startsWith('+OK')) throw new Error(`${line}: ${answer}`);
    return answer;
  };
  await ask();
  await ask(`USER ${address}`);
  await ask(`PASS ${password}`);
  const count = Number((await ask('STAT')).split(' ')[1]);
  const messages: string[] = [];
  for (let number = 1; number <= count; number++) {
    await ask(`RETR ${number}`);
    const lines: string[] = [];
    for (let line = await session.line(); line !== '.'; line = await session.line()) lines.push(line.replace(/^\./, ''));
    messages.push(`${lines.join('\r\n')}\r\n`);
  }
  session.send('QUIT\r\n');
  await session.closed;
  return messages;
}
