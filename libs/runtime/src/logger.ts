import pino from 'pino';

/**
 * Structured log. `event` is a dotted past-tense name (`ingress.message.accepted`); a line about a message has `queueId`.
 * At info: one line per accepted message and one per outcome.
 */
export interface Logger {
  debug(fields: object, event: string): void;
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
  error(fields: object, event: string): void;
  child(bindings: Record<string, unknown>): Logger;
}

export interface LoggerOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Lines go to standard output, buffered, at most this long behind. */
  readonly flushMs: number;
}

const BUFFER_OCTETS = 8192;

/** The time of a line; lines of one millisecond share it. */
function createTimestamp(): () => string {
  let [atMs, text] = [Number.NaN, ''];
  return () => {
    const nowMs = Date.now();
    if (nowMs !== atMs) [atMs, text] = [nowMs, `,"time":"${new Date(nowMs).toISOString()}"`];
    return text;
  };
}

export function createLogger({ level, flushMs }: LoggerOptions): Logger {
  const destination = pino.destination({ dest: 1, sync: false, minLength: BUFFER_OCTETS, periodicFlush: flushMs });
  return pino(
    {
      level,
      base: null,
      timestamp: createTimestamp(),
      messageKey: 'event',
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
}

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silentLogger };
