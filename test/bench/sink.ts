// A process of its own: `node sink.ts <SinkOptions as JSON>` takes mail as fast as it can, or as slowly as it is told, prints one
// line when it listens, and answers each line on standard input with a SinkReport as JSON.
import { createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { quantile } from './figures.ts';
import { FIELD } from './load.ts';

export interface SinkOptions {
  readonly port: number;
  /** Pause before each final reply. */
  readonly delayMs: number;
}

export interface SinkReport {
  /** Different ids. */
  readonly messages: number;
  /** Ids that came again, counted each time. */
  readonly duplicates: number;
  /** `Date.now()` of the last one. */
  readonly lastMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly mostConnections: number;
  readonly cpuUs: number;
}

const TAKEN = '250 taken\r\n';
const REPLIES: Readonly<Record<string, string>> = {
  DATA: '354 go on\r\n',
  EHLO: '250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000000\r\n',
  QUIT: '221 bye\r\n',
};
const END = '\r\n.\r\n';
const ID = new RegExp(`^${FIELD}: (\\S+) (\\d+)\\r$`, 'm');

function start({ port, delayMs }: SinkOptions): void {
  let seen = new Set<string>();
  let tookMs: number[] = [];
  let [duplicates, lastMs, open, mostConnections] = [0, 0, 0, 0];

  const note = (content: string) => {
    const [, id = '', sentUs = '0'] = ID.exec(content) ?? [];
    lastMs = performance.timeOrigin + performance.now();
    if (seen.has(id)) duplicates++;
    seen.add(id);
    tookMs.push(lastMs - Number(sentUs) / 1000);
  };
  const serve = (socket: Socket) => {
    let input = '';
    let isContent = false;
    mostConnections = Math.max(mostConnections, ++open);
    socket.setNoDelay(true).setEncoding('latin1').write('220 sink\r\n');
    const takeContent = (): string | undefined => {
      const end = input.indexOf(END);
      if (end < 0) return undefined;
      note(input.slice(0, end + 2));
      input = input.slice(end + END.length);
      isContent = false;
      if (delayMs === 0) return TAKEN;
      setTimeout(() => socket.write(TAKEN), delayMs);
      return '';
    };
    const takeCommand = (): string | undefined => {
      const end = input.indexOf('\r\n');
      if (end < 0) return undefined;
      const verb = input.slice(0, 4).toUpperCase();
      input = input.slice(end + 2);
      isContent = verb === 'DATA';
      return REPLIES[verb] ?? '250 ok\r\n';
    };
    const take = () => (isContent ? takeContent() : takeCommand());
    socket.on('data', (chunk: string) => {
      input += chunk;
      let replies = '';
      for (let reply = take(); reply !== undefined; reply = take()) replies += reply;
      if (replies !== '') socket.write(replies);
      if (replies.endsWith('221 bye\r\n')) socket.end();
    });
    socket.on('error', () => {});
    socket.on('close', () => open--);
  };
  createServer(serve).listen(port, '127.0.0.1', 1024, () => process.stdout.write('listening\n'));
  createInterface({ input: process.stdin }).on('line', (line) => {
    tookMs.sort((one, other) => one - other);
    const { user, system } = process.cpuUsage();
    const report: SinkReport = {
      messages: seen.size,
      duplicates,
      lastMs,
      p50Ms: quantile(tookMs, 0.5),
      p99Ms: quantile(tookMs, 0.99),
      mostConnections,
      cpuUs: user + system,
    };
    process.stdout.write(`${JSON.stringify(report)}\n`);
    if (line !== 'reset') return;
    seen = new Set();
    tookMs = [];
    [duplicates, lastMs, mostConnections] = [0, 0, open];
  });
}

if (process.argv[1] === import.meta.filename) start(JSON.parse(process.argv[2] ?? '{}') as SinkOptions);
