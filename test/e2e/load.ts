import { openSession, type Session } from './session.ts';

export interface LoadOptions {
  /** "host:port" of an MX listener. */
  readonly address: string;
  readonly sessions: number;
  /** Forward-path of the message with this number. */
  readonly recipient: (number: number) => string;
  /** Begins every id; different for each load of a test. */
  readonly name: string;
  /** Octets of each body. */
  readonly octets?: number;
  /** Messages in all; without it until stopped. */
  readonly messages?: number;
  /** Most messages a second; without it as many as go. */
  readonly perSecond?: number;
}

/** What a load has seen, by id: every message that was sent has a verdict or none. */
export interface Load {
  /** Answered with 250. */
  readonly taken: ReadonlySet<string>;
  /** Answered otherwise, with the code. */
  readonly refused: ReadonlyMap<string, number>;
  /** The final dot was sent and no answer came: taken or not. */
  readonly unanswered: ReadonlySet<string>;
  /** `Date.now()` of the first 250; undefined before it. */
  readonly firstTakenAtMs: () => number | undefined;
  /** Longest time without a 250, since the last call or the start. */
  readonly longestSilenceMs: () => number;
  /** Sends nothing new, and resolves when what runs is answered or its session has ended. */
  stop(): Promise<void>;
  /** Resolves when all messages were tried. */
  readonly done: Promise<void>;
}

const RECONNECT_MS = 20;
/** Pause after a refusal, as a client would make one. */
const REFUSED_MS = 10;
const FIELD = 'X-Load-Id';

/** The id of a message that a load sent, found in its content. */
export function loadId(content: string): string | undefined {
  return new RegExp(`^${FIELD}: (\\S+)\\r$`, 'm').exec(content)?.[1];
}

/**
 * Sends messages with ids of their own over several sessions, each reused until it ends, and witnesses every answer.
 * A message that was not answered is not sent again.
 */
export function startLoad(options: LoadOptions): Load {
  const { address, sessions, recipient, name, octets = 500 } = options;
  const { messages = Number.POSITIVE_INFINITY, perSecond = Number.POSITIVE_INFINITY } = options;
  const taken = new Set<string>();
  const refused = new Map<string, number>();
  const unanswered = new Set<string>();
  const filler = `${'x'.repeat(70)}\r\n`.repeat(Math.ceil(octets / 72));
  let firstTakenAtMs: number | undefined;
  let next = 0;
  let isStopped = false;
  const startedMs = performance.now();
  let [lastTakenMs, silenceMs] = [startedMs, 0];
  const endSilence = () => {
    const nowMs = performance.now();
    silenceMs = Math.max(silenceMs, nowMs - lastTakenMs);
    lastTakenMs = nowMs;
  };

  const transact = async (session: Session) => {
    const number = next++;
    const id = `${name}-${number}`;
    session.send(`MAIL FROM:<load@client.test>\r\nRCPT TO:<${recipient(number)}>\r\nDATA\r\n`);
    const codes = [(await session.reply()).code, (await session.reply()).code, (await session.reply()).code];
    if (codes[2] !== 354) {
      refused.set(id, codes.find((code) => code >= 400) ?? 0);
      if (codes.includes(421)) session.end();
      else await session.ask('RSET');
      return;
    }
    unanswered.add(id);
    const { code } = await session.ask(`${FIELD}: ${id}\r\nSubject: load\r\n\r\n${filler}.`);
    unanswered.delete(id);
    if (code === 250) {
      taken.add(id);
      endSilence();
      firstTakenAtMs ??= Date.now();
    } else refused.set(id, code);
  };
  const visit = async () => {
    const session = openSession(address);
    try {
      if ((await session.reply()).code !== 220) return;
      await session.ask('EHLO client.test');
      while (!isStopped && next < messages) {
        const before = refused.size;
        const earlyMs = startedMs + (next / perSecond) * 1000 - performance.now();
        if (earlyMs > 0) await new Promise((resolve) => setTimeout(resolve, earlyMs));
        await transact(session);
        if (refused.size > before) await new Promise((resolve) => setTimeout(resolve, REFUSED_MS));
      }
      await session.ask('QUIT');
    } finally {
      session.end();
    }
  };
  const work = async () => {
    while (!isStopped && next < messages) {
      // The session ended: that is what these tests are about.
      await visit().catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    }
  };
  const done = Promise.all(Array.from({ length: sessions }, work)).then(() => {});
  return {
    taken,
    refused,
    unanswered,
    firstTakenAtMs: () => firstTakenAtMs,
    longestSilenceMs: () => {
      endSilence();
      const found = silenceMs;
      silenceMs = 0;
      return found;
    },
    stop: () => {
      isStopped = true;
      return done;
    },
    done,
  };
}
