import type { Duplex } from 'node:stream';
import type { Chance } from './chance.ts';
import type { Answer, Letter } from './mail-count.ts';

/** What a client knows of its letter in the end. */
export interface Sent {
  readonly answer: Answer;
  /** Recipients that were accepted. */
  readonly recipients: readonly string[];
}

const NOTIFY = ['NEVER', 'SUCCESS', 'FAILURE', 'DELAY'] as const;

function notifyOf(notify: number): string {
  const words = NOTIFY.filter((_, bit) => (notify & (1 << bit)) !== 0);
  return words.length === 0 ? '' : ` NOTIFY=${words.join(',')}`;
}

/** With lines that need dot-stuffing, undone. */
export function contentOf({ id, isLarge }: Letter): string {
  const body = isLarge ? 'line\r\n.dotted\r\n'.repeat(100) : '.x\r\n';
  return `Message-ID: <${id}>\r\nSubject: ${id}\r\n\r\n${body}`;
}

/** Codes of replies as they come; undefined once the server has closed. */
function createReplies(wire: Duplex): () => Promise<number | undefined> {
  const codes: number[] = [];
  let waiting: ((code: number | undefined) => void) | undefined;
  let [input, isOver] = ['', false];
  const give = () => {
    if (waiting === undefined || (codes.length === 0 && !isOver)) return;
    const resolve = waiting;
    waiting = undefined;
    resolve(codes.shift());
  };
  wire.on('data', (chunk: Buffer) => {
    input += chunk.toString('latin1');
    const lines = input.split('\r\n');
    input = lines.pop() ?? '';
    codes.push(...lines.filter((line) => line[3] !== '-').map((line) => Number(line.slice(0, 3))));
    give();
  });
  for (const event of ['end', 'close', 'error'] as const)
    wire.on(event, () => {
      isOver = true;
      give();
    });
  return () =>
    new Promise((resolve) => {
      waiting = resolve;
      give();
    });
}

/** Sends octets in one piece or in some. */
function say(wire: Duplex, octets: string, chance: Chance): void {
  const cut = chance.hits(0.3) ? chance.between(0, octets.length) : 0;
  for (const piece of [octets.slice(0, cut), octets.slice(cut)])
    if (piece !== '' && wire.writable) wire.write(Buffer.from(piece, 'latin1'));
}

const isGood = (code: number | undefined): boolean => code !== undefined && code >= 200 && code < 400;
const NONE: Sent = { answer: 'refused', recipients: [] };

/** MAIL, RCPTs and DATA; the recipients that were accepted, or undefined where the server does not want the content. */
async function sendEnvelope(talk: Talk): Promise<readonly string[] | undefined> {
  const { wire, letter, next, chance } = talk;
  const size = chance.hits(0.5) ? ` SIZE=${contentOf(letter).length}` : '';
  const lines = [
    `MAIL FROM:<${letter.sender}>${size}`,
    ...letter.recipients.map((path) => `RCPT TO:<${path}>${notifyOf(letter.notify)}`),
    'DATA',
  ].map((line) => `${line}\r\n`);
  const isPipelined = chance.hits(0.5);
  if (isPipelined) say(wire, lines.join(''), chance);
  const codes: (number | undefined)[] = [];
  for (const line of lines) {
    if (!isPipelined) say(wire, line, chance);
    codes.push(await next());
  }
  const accepted = letter.recipients.filter((_, at) => isGood(codes[at + 1]));
  return codes.at(-1) === 354 ? accepted : undefined;
}

interface Talk {
  readonly wire: Duplex;
  readonly letter: Letter;
  readonly chance: Chance;
  readonly next: () => Promise<number | undefined>;
}

/** Holds the dialog of one letter, as a client that may have enough of it at any point. Resolves when it is over. */
export async function sendLetter(wire: Duplex, letter: Letter, chance: Chance): Promise<Sent> {
  const talk = { wire, letter, chance, next: createReplies(wire) };
  const leave = chance.hits(0.08) ? chance.pick(['early', 'inCommand', 'inContent', 'silent'] as const) : 'never';
  const isAt = (point: typeof leave) => leave === point && wire.destroy() !== undefined;
  if (!isGood(await talk.next()) || isAt('early')) return NONE;
  say(wire, 'EHLO client.test\r\n', chance);
  if (!isGood(await talk.next())) return NONE;
  if (leave === 'inCommand') say(wire, 'MAIL FROM:<some', chance);
  if (isAt('inCommand')) return NONE;
  const recipients = await sendEnvelope(talk);
  const content = contentOf(letter).replace(/^\./gm, '..');
  if (recipients === undefined) {
    wire.end();
    return NONE;
  }
  if (leave === 'inContent' || leave === 'silent') say(wire, content.slice(0, content.length / 2), chance);
  if (isAt('inContent')) return NONE;
  // The server has enough of it first.
  if (leave === 'silent') {
    await talk.next();
    return NONE;
  }
  say(wire, `${content}.\r\n`, chance);
  const code = await talk.next();
  if (wire.writable) wire.end('QUIT\r\n');
  if (code === undefined) return { answer: 'inDoubt', recipients };
  return { answer: isGood(code) ? 'kept' : 'refused', recipients };
}
