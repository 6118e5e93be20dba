import { loadId } from '../e2e/load.ts';
import { type SmtpHost, startSmtpHost } from '../fixtures/smtp-host.ts';

/** A host that takes all mail, but for local parts that begin with `gone`: 550. */
export interface Sink {
  readonly port: number;
  /** By the id that the load gave it: how often each message came. */
  copies(): ReadonlyMap<string, number>;
  /** Longest time without a message, since the last call or the start. */
  longestSilenceMs(): number;
  readonly close: SmtpHost['close'];
}

export function countIds(contents: Iterable<string>): ReadonlyMap<string, number> {
  const copies = new Map<string, number>();
  for (const content of contents) {
    const id = loadId(content);
    if (id !== undefined) copies.set(id, (copies.get(id) ?? 0) + 1);
  }
  return copies;
}

/** `address`: where it listens; left out: loopback. `dotMs`: how long it thinks about each message. */
export async function startSink({
  address = '127.0.0.1',
  dotMs,
}: {
  readonly address?: string;
  readonly dotMs?: number;
} = {}): Promise<Sink> {
  let [lastMs, longestMs] = [performance.now(), 0];
  const endSilence = () => {
    const nowMs = performance.now();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
  };
  const host = await startSmtpHost({
    address,
    ...(dotMs !== undefined && { dotMs }),
    offers: ['PIPELINING', 'SIZE 10000000'],
    answers: {
      RCPT: (line) => (line.includes('<gone') ? '550 5.1.1 no such user' : '250 2.1.5 recipient ok'),
      '.': () => {
        endSilence();
        return '250 2.0.0 taken';
      },
    },
  });
  return {
    port: host.port,
    copies: () => countIds(host.messages.map(({ content }) => content)),
    longestSilenceMs: () => {
      endSilence();
      const found = longestMs;
      longestMs = 0;
      return found;
    },
    close: host.close,
  };
}
