import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { freePort } from '../fixtures/ports.ts';
import { fetchJars, KAFKA_VERSIONS } from './jars.mjs';

/** A listener beside the plain one, with what its brokers need to be told. */
export interface SecureListener {
  readonly protocol: 'SSL' | 'SASL_SSL' | 'SASL_PLAINTEXT';
  readonly settings: Readonly<Record<string, string>>;
}

export interface BrokersOptions {
  readonly count: number;
  /** Data, configuration and output of the brokers; made where it is missing. */
  readonly folder: string;
  readonly version?: string;
  /** Plain listeners at `basePort` + 1 and so on, quorum at + 101, the secure ones at + 51; left out: free ports. */
  readonly basePort?: number;
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  readonly secure?: SecureListener;
  /** Further arguments of the format command, for SCRAM users. */
  readonly formatWith?: readonly string[];
  readonly heapMiB?: number;
  /** To be measured: compiled as brokers are that run for weeks. */
  readonly isFullyCompiled?: boolean;
  /** Address to listen at; left out: loopback. */
  readonly host?: string;
}

/** Real brokers on loopback. Numbers are node ids, from 1 on. */
export interface Brokers {
  readonly ids: readonly number[];
  /** "host:port" of the plain listeners. */
  readonly addresses: readonly string[];
  readonly secureAddresses: readonly string[];
  /** Starts a broker that does not run, and waits until it sees `seen` live brokers. */
  boot(id: number, seen?: number): Promise<void>;
  /** SIGTERM: partitions are handed over first. */
  stop(id: number): Promise<void>;
  /** SIGKILL. */
  kill(id: number): Promise<void>;
  /** SIGSTOP: its sockets stay open, and nobody answers. */
  pause(id: number): void;
  resume(id: number): void;
  isRunning(id: number): boolean;
  close(): Promise<void>;
}

const LOOPBACK = '127.0.0.1';
const CLUSTER_ID = 'QW5nYXJpdW1LYWZrYTAwMA';
const START_TIMEOUT_MS = 60_000;
const LOG4J =
  'log4j.rootLogger=WARN,o\nlog4j.appender.o=org.apache.log4j.ConsoleAppender\nlog4j.appender.o.layout=org.apache.log4j.SimpleLayout\n';
/** Small and quick to start: several of them share two cores with what is tested. */
const JVM = ['-Xms64m', '-XX:+UseSerialGC', '-Dlog4j2.level=WARN'];
/** Half the start, and twice the cost of each call later on. */
const QUICK_START = '-XX:TieredStopAtLevel=1';

interface Ports {
  readonly plain: number;
  readonly quorum: number;
  readonly secure: number;
}

async function portsOf(id: number, basePort: number | undefined): Promise<Ports> {
  if (basePort === undefined) return { plain: await freePort(), quorum: await freePort(), secure: await freePort() };
  return { plain: basePort + id, quorum: basePort + 100 + id, secure: basePort + 50 + id };
}

function propertiesOf(id: number, all: ReadonlyMap<number, Ports>, { folder, secure, settings, host = LOOPBACK }: BrokersOptions): string {
  const { plain, quorum, secure: securePort } = all.get(id) as Ports;
  const replicas = Math.min(3, all.size);
  const inSync = Math.min(2, all.size);
  const listeners = [`PLAINTEXT://${host}:${plain}`, ...(secure ? [`${secure.protocol}://localhost:${securePort}`] : [])].join(',');
  const properties = {
    'process.roles': 'broker,controller',
    'node.id': id,
    'controller.quorum.voters': [...all].map(([voter, ports]) => `${voter}@127.0.0.1:${ports.quorum}`).join(','),
    listeners: `${listeners},CONTROLLER://127.0.0.1:${quorum}`,
    'advertised.listeners': listeners,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,SASL_PLAINTEXT:SASL_PLAINTEXT',
    'inter.broker.listener.name': 'PLAINTEXT',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': join(folder, `broker-${id}`, 'data'),
    'auto.create.topics.enable': false,
    'unclean.leader.election.enable': false,
    'default.replication.factor': replicas,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': 4,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': 4,
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': inSync,
    'group.initial.rebalance.delay.ms': 0,
    // How long everything stalls after a broker died; 9 s by default.
    'broker.session.timeout.ms': 3000,
    'broker.heartbeat.interval.ms': 500,
    'num.network.threads': 2,
    'num.io.threads': 2,
    'log.cleaner.dedupe.buffer.size': 4_194_304,
    ...secure?.settings,
    ...settings,
  };
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${value}`)
    .join('\n');
}

/** Metadata, version 4, of no topic, framed. */
const METADATA_REQUEST = Buffer.from('00000014 0003 0004 00000001 0005 7265616479 00000000 00'.replaceAll(' ', ''), 'hex');
/** In the answer: length, correlation, throttle time, then the number of brokers. */
const BROKERS_AT = 12;

/** Live brokers as the one there sees them; 0 while it does not answer. */
async function brokersSeenBy(host: string, port: number): Promise<number> {
  const socket = connect(port, host, () => socket.write(METADATA_REQUEST));
  socket.setTimeout(1000, () => socket.destroy());
  try {
    let answer = Buffer.alloc(0);
    for await (const part of socket) {
      answer = Buffer.concat([answer, part as Buffer]);
      if (answer.length >= BROKERS_AT + 4) return answer.readInt32BE(BROKERS_AT);
    }
    return 0;
  } catch {
    return 0;
  } finally {
    socket.destroy();
  }
}

interface Java {
  readonly child: ChildProcess;
  /** Ends the broker when this process is gone, however it went. */
  readonly guard: ChildProcess;
  readonly gone: Promise<number | string>;
}

function createJava({ folder, version = KAFKA_VERSIONS.newest, heapMiB = 256, isFullyCompiled = false }: BrokersOptions) {
  const jvm = isFullyCompiled ? JVM : [...JVM, QUICK_START];
  const jars = fetchJars(version);
  return (id: number, mainClass: string, args: readonly string[]): Java => {
    const output = openSync(join(folder, `broker-${id}`, 'output.txt'), 'a');
    const log4j = `-Dlog4j.configuration=${pathToFileURL(join(folder, 'log4j.properties'))}`;
    const child = spawn('java', [...jvm, `-Xmx${heapMiB}m`, log4j, '-cp', `${jars}/*`, mainClass, ...args], {
      stdio: ['ignore', output, output],
    });
    closeSync(output);
    const guard = spawn('sh', ['-c', "trap '' HUP INT TERM; cat >/dev/null; kill -9 $0", String(child.pid)], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    const gone = new Promise<number | string>((resolve) => {
      child.on('exit', (code, signal) => {
        guard.kill('SIGKILL');
        resolve(signal ?? code ?? '');
      });
      child.on('error', (error) => resolve(error.message));
    });
    return { child, guard, gone };
  };
}

async function outputOf(folder: string, id: number): Promise<string> {
  return (await readFile(join(folder, `broker-${id}`, 'output.txt'), 'utf8')).split('\n').slice(-12).join('\n');
}

/**
 * Starts real brokers (KRaft, each a controller too) and waits until they see each other. Jars come from the cache, or
 * through Maven. They end with this process, also when that is killed.
 */
export async function startBrokers(options: BrokersOptions): Promise<Brokers> {
  const { folder, count, formatWith = [], host = LOOPBACK } = options;
  const ids = Array.from({ length: count }, (_, at) => at + 1);
  const ports = new Map<number, Ports>();
  for (const id of ids) ports.set(id, await portsOf(id, options.basePort));
  const running = new Map<number, Java>();
  const java = createJava(options);
  const propertiesFile = (id: number) => join(folder, `broker-${id}`, 'broker.properties');

  const format = async (id: number) => {
    const args = ['format', '--ignore-formatted', '-t', CLUSTER_ID, '-c', propertiesFile(id), ...formatWith];
    const code = await java(id, 'kafka.tools.StorageTool', args).gone;
    if (code !== 0) throw new Error(`broker ${id} cannot format its folder (${code}):\n${await outputOf(folder, id)}`);
  };
  const boot = async (id: number, seen = count) => {
    if (running.has(id)) throw new Error(`broker ${id} runs`);
    const started = java(id, 'kafka.Kafka', [propertiesFile(id)]);
    running.set(id, started);
    void started.gone.then(() => running.delete(id));
    const deadline = performance.now() + START_TIMEOUT_MS;
    while ((await brokersSeenBy(host, ports.get(id)?.plain ?? 0)) < seen) {
      if (!running.has(id) || performance.now() > deadline) throw new Error(`broker ${id} does not start:\n${await outputOf(folder, id)}`);
      await pause(100);
    }
  };
  const end = async (id: number, signal: NodeJS.Signals) => {
    const found = running.get(id);
    if (found === undefined) return;
    found.child.kill(signal);
    await found.gone;
  };
  const signal = (id: number, name: NodeJS.Signals) => void running.get(id)?.child.kill(name);
  const close = async () => {
    await Promise.all(ids.map((id) => end(id, 'SIGKILL')));
  };

  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'log4j.properties'), LOG4J);
  for (const id of ids) {
    await mkdir(join(folder, `broker-${id}`), { recursive: true });
    await writeFile(propertiesFile(id), propertiesOf(id, ports, options));
  }
  try {
    await Promise.all(ids.map(format));
    await Promise.all(ids.map((id) => boot(id)));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    ids,
    addresses: ids.map((id) => `${host}:${ports.get(id)?.plain}`),
    secureAddresses: ids.map((id) => `localhost:${ports.get(id)?.secure}`),
    boot,
    stop: (id) => end(id, 'SIGTERM'),
    kill: (id) => end(id, 'SIGKILL'),
    pause: (id) => signal(id, 'SIGSTOP'),
    resume: (id) => signal(id, 'SIGCONT'),
    isRunning: (id) => running.has(id),
    close,
  };
}

/** Brokers in a folder that goes with them. */
export async function startThrowawayBrokers(options: BrokersOptions): Promise<Brokers> {
  const brokers = await startBrokers(options);
  return {
    ...brokers,
    close: async () => {
      await brokers.close();
      await rm(options.folder, { recursive: true, force: true });
    },
  };
}
