import assert from 'node:assert/strict';
import type { Angarium } from './angarium.ts';
import { openMx, sendLetter } from './letters.ts';
import type { Session } from './session.ts';

/** A peer that says neither a reply nor goodbye for so long is stuck. */
const STUCK_MS = 15_000;

/** Every line that is said, until the other side closes. A line of any reply is short and printable. */
export async function hearOut(session: Session): Promise<string[]> {
  let isStuck = false;
  const late = setTimeout(() => {
    isStuck = true;
    session.end();
  }, STUCK_MS);
  const lines: string[] = [];
  try {
    for (;;) lines.push(await session.line());
  } catch {
    // Closed.
  }
  clearTimeout(late);
  assert.ok(!isStuck, `neither answered nor closed: ${lines.slice(-3).join()}`);
  for (const line of lines) assert.match(line, /^[\x20-\x7e]{0,510}$/);
  return lines;
}

export const codesOf = (lines: readonly string[]): number[] =>
  lines.filter((line) => line[3] !== '-').map((line) => Number(line.slice(0, 3)));

/** Replies to the octets in a session past EHLO, then to QUIT; the session must end by then. */
export async function provoke(angarium: Angarium, octets: string | Uint8Array, end = '\r\nQUIT\r\n'): Promise<number[]> {
  const session = await openMx(angarium);
  session.send(octets);
  session.send(end);
  return codesOf(await hearOut(session));
}

export const isRefusal = (code: number | undefined): boolean => code !== undefined && code >= 500 && code < 560;

/** A mail as it should be. */
export async function sendGood(angarium: Angarium, to: string): Promise<void> {
  const session = await openMx(angarium);
  const { code, text } = await sendLetter(session, { mail: '<a@client.test>', rcpt: [`<${to}>`], content: 'Subject: good\r\n\r\nx\r\n' });
  session.end();
  assert.equal(code, 250, text);
}

/** Another session, all the time: how long it has to wait for others. */
export interface Probe {
  readonly slowestMs: number;
  stop(): Promise<void>;
}

const PAUSE_MS = 5;
const COMMANDS_PER_SESSION = 500;

export function startProbe(angarium: Angarium): Probe {
  let isProbing = true;
  let slowestMs = 0;
  const watch = async () => {
    while (isProbing) {
      const session = await openMx(angarium);
      for (let count = 0; isProbing && count < COMMANDS_PER_SESSION; count++) {
        const started = performance.now();
        await session.ask('NOOP');
        slowestMs = Math.max(slowestMs, performance.now() - started);
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
      session.end();
    }
  };
  const watching = watch();
  return {
    get slowestMs() {
      return slowestMs;
    },
    async stop() {
      isProbing = false;
      await watching;
    },
  };
}
