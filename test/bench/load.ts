// A process of its own: `node load.ts <LoadOptions as JSON>` prints a LoadReport as JSON. A plain pipelining client, so that what
// it costs is little and known.
import { connect } from 'node:net';
import { quantile } from './figures.ts';

export interface LoadOptions {
  readonly host: string;
  readonly port: number;
  readonly connections: number;
  /** Ends after so many messages or seconds, whichever comes first. */
  readonly messages?: number;
  readonly seconds?: number;
  readonly octets: number;
  readonly recipients: number;
  /** Forward-paths `u<n>@domain`; domains take turns from message to message. */
  readonly domains: readonly string[];
  readonly users: number;
  readonly perConnection: number;
  /** Open load: messages are due at this rate whatever the server does. */
  readonly perSecond?: number;
  /** Begins every id. */
  readonly name: string;
}

export interface LoadReport {
  readonly taken: number;
  readonly refused: number;
  readonly seconds: number;
  /** From MAIL to the last 250. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuUsPerMessage: number;
}

/** Field that names a message: id, and microseconds since the epoch at which it was sent. */
export const FIELD = 'X-Bench';

const nowUs = (): number => Math.round((performance.timeOrigin + performance.now()) * 1000);

type State = 'greeting' | 'hello' | 'envelope' | 'content' | 'quit';

async function run(options: LoadOptions): Promise<LoadReport> {
  const { messages = Number.POSITIVE_INFINITY, seconds = Number.POSITIVE_INFINITY, perSecond } = options;
  const filler = `${'x'.repeat(70)}\r\n`.repeat(Math.ceil(options.octets / 72));
  const tookMs: number[] = [];
  const startedMs = performance.now();
  let next = 0;
  let refused = 0;

  const isOver = () => next >= messages || performance.now() - startedMs > seconds * 1000;
  const envelope = (number: number): string => {
    const domain = options.domains[number % options.domains.length];
    const to = Array.from({ length: options.recipients }, (_, at) => `RCPT TO:<u${(number + at) % options.users}@${domain}>\r\n`);
    return `MAIL FROM:<bench@client.test>\r\n${to.join('')}DATA\r\n`;
  };
  const content = (number: number): string =>
    `From: <bench@client.test>\r\nTo: <list@sink.test>\r\nSubject: bench\r\nMessage-ID: <${options.name}.${number}@client.test>\r\n` +
    `${FIELD}: ${options.name}.${number} ${nowUs()}\r\n\r\n${filler}.\r\n`;

  /** One connection: `perConnection` messages one after the other. */
  const session = () =>
    new Promise<void>((resolve, reject) => {
      const socket = connect(options.port, options.host).setNoDelay(true).setEncoding('latin1');
      let state: State = 'greeting';
      let [wanted, sent, number, sinceMs] = [1, 0, 0, 0];
      const say = (next: State, replies: number, text: string) => {
        [state, wanted] = [next, replies];
        socket.write(text);
      };
      const begin = () => {
        if (sent === options.perConnection || isOver()) {
          say('quit', 1, 'QUIT\r\n');
          return;
        }
        const dueMs = perSecond === undefined ? 0 : startedMs + (next / perSecond) * 1000 - performance.now();
        sent++;
        number = next++;
        after(dueMs, () => {
          sinceMs = performance.now();
          say('envelope', options.recipients + 2, envelope(number));
        });
      };
      const steps: Readonly<Record<State, () => void>> = {
        greeting: () => say('hello', 1, 'EHLO client.test\r\n'),
        hello: begin,
        envelope: () => say('content', 1, content(number)),
        content: () => {
          tookMs.push(performance.now() - sinceMs);
          begin();
        },
        quit: () => socket.end(),
      };
      const onReply = (code: number) => {
        if (code < 400) {
          if (--wanted === 0) steps[state]();
          return;
        }
        refused++;
        socket.destroy();
      };
      let input = '';
      socket.on('data', (chunk: string) => {
        input += chunk;
        for (let end = input.indexOf('\r\n'); end >= 0; end = input.indexOf('\r\n')) {
          const line = input.slice(0, end);
          input = input.slice(end + 2);
          if (line[3] !== '-') onReply(Number(line.slice(0, 3)));
        }
      });
      socket.on('error', reject);
      socket.on('close', () => resolve());
    });
  const work = async () => {
    while (!isOver()) await session();
  };
  await Promise.all(Array.from({ length: options.connections }, work));
  const took = performance.now() - startedMs;
  const { user, system } = process.cpuUsage();
  tookMs.sort((one, other) => one - other);
  return {
    taken: tookMs.length,
    refused,
    seconds: took / 1000,
    p50Ms: quantile(tookMs, 0.5),
    p99Ms: quantile(tookMs, 0.99),
    cpuUsPerMessage: (user + system) / Math.max(1, tookMs.length),
  };
}

function after(ms: number, act: () => void): void {
  if (ms <= 0) act();
  else setTimeout(act, ms);
}

if (process.argv[1] === import.meta.filename) {
  const report = await run(JSON.parse(process.argv[2] ?? '{}') as LoadOptions);
  process.stdout.write(JSON.stringify(report));
}
