import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeliverRequest, Directory } from '@angarium/rpc';
import { type Config, configSchema, createMetrics, type KeyPair, noTracing, silentLogger } from '@angarium/runtime';
import { openPostgres, openSqlite } from '@angarium/sql';
import { createTestDatabase, type TestDatabase } from '../../../../test/postgres/database.ts';
import { createMailbox, type MailboxService } from '../create-mailbox.ts';
import { type MailboxDatabase, type MailboxTables, MIGRATIONS } from '../store/schema.ts';
import { createHandClock, type HandClock } from './hand-clock.ts';
import { createTestBlobs, type TestBlobs } from './memory-blobs.ts';

const START_MS = Date.UTC(2026, 10, 25);

/** Accounts by address; all passwords are "right". */
export interface TestDirectory extends Directory {
  readonly accounts: Map<string, { readonly quotaOctets: number; readonly disabled: boolean }>;
  isDown: boolean;
}

export function createTestDirectory(): TestDirectory {
  const unused = () => Promise.reject(new Error('the mailbox does not ask this'));
  const directory: TestDirectory = {
    accounts: new Map(),
    isDown: false,
    check: unused,
    expand: unused,
    owns: unused,
    transport: unused,
    authenticate: async ({ login, password }) => {
      if (directory.isDown) throw new Error('down');
      const accepted = password === 'right' && directory.accounts.has(login);
      return { accepted, account: accepted ? login : '' };
    },
    account: async ({ address }) => {
      if (directory.isDown) throw new Error('down');
      const account = directory.accounts.get(address);
      const found = account !== undefined;
      return { found, disabled: account?.disabled ?? false, quotaOctets: account?.quotaOctets ?? 0, mailbox: found ? address : '' };
    },
  };
  return directory;
}

const pem = (name: string) => readFile(new URL(name, import.meta.url));

export async function testPair(name: 'first' | 'second'): Promise<KeyPair> {
  return { key: await pem(`${name}.key.pem`), cert: await pem(`${name}.certificate.pem`) };
}

export interface TestMailbox {
  readonly service: MailboxService;
  readonly clock: HandClock;
  readonly blobs: TestBlobs;
  readonly directory: TestDirectory;
  readonly database: MailboxDatabase;
  readonly metrics: ReturnType<typeof createMetrics>;
  /** Puts another pair in force. */
  changeTls(pair: KeyPair): void;
  deliver(request: Partial<DeliverRequest> & { readonly queueId: string }): Promise<readonly number[]>;
  /** Ends the service and its database, and starts both anew over the same data. */
  restart(): Promise<TestMailbox>;
  /** Starts another one over the same data, which must be closed before this one; on PostgreSQL alone. */
  replica(): Promise<TestMailbox>;
  /** Ends the service and its database; the data stay. */
  end(): Promise<void>;
  close(): Promise<void>;
}

export interface TestMailboxOptions {
  readonly config?: Partial<Config['mailbox']>;
  /** Addresses that have accounts, without quota. */
  readonly accounts?: readonly string[];
  /** `sqlite` when left out. */
  readonly engine?: Engine;
}

export type Engine = 'sqlite' | 'postgres';
export const ENGINES: readonly Engine[] = ['sqlite', 'postgres'];

export const message = (text: string): Buffer => Buffer.from(text.replaceAll('\n', '\r\n'));
export const HELLO = message('Subject: hello\n\nHow are you?\n');

/** A mailbox service over a real database in a temporary folder, listening on free ports of 127.0.0.1. */
export async function startTestMailbox(options: TestMailboxOptions = {}): Promise<TestMailbox> {
  const folder = await mkdtemp(join(tmpdir(), 'mailbox-'));
  const clock = createHandClock(START_MS);
  const directory = createTestDirectory();
  for (const address of options.accounts ?? []) directory.accounts.set(address, { quotaOctets: 0, disabled: false });
  const server = options.engine === 'postgres' ? await createTestDatabase() : undefined;
  return open({ folder, clock, directory, server, blobs: createTestBlobs(() => clock.nowMs()), config: options.config ?? {} });
}

interface Lasting {
  readonly folder: string;
  readonly clock: HandClock;
  readonly directory: TestDirectory;
  readonly blobs: TestBlobs;
  readonly config: Partial<Config['mailbox']>;
  /** Left out: a file in the folder. */
  readonly server: TestDatabase | undefined;
}

const POOL = { schema: 'mailbox', applicationName: 'test', maxConnections: 4, maxWaiting: 1000 };
const TIMEOUTS = { connectTimeoutMs: 5000, statementTimeoutMs: 10_000, lockTimeoutMs: 5000 };

const openDatabase = ({ folder, server }: Lasting): Promise<MailboxDatabase> =>
  server === undefined
    ? openSqlite<MailboxTables>({ file: join(folder, 'mailbox.sqlite'), migrations: MIGRATIONS })
    : openPostgres<MailboxTables>({ ...server, ...POOL, ...TIMEOUTS, migrations: MIGRATIONS });

function createTls(first: KeyPair) {
  let pair = first;
  const listeners = new Set<() => void>();
  const tls = {
    current: () => pair,
    onChange: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const changeTls = (next: KeyPair) => {
    pair = next;
    for (const listener of listeners) listener();
  };
  return { tls, changeTls };
}

async function open(lasting: Lasting): Promise<TestMailbox> {
  const { folder, clock, directory, blobs } = lasting;
  const database = await openDatabase(lasting);
  const config = configSchema.parse({
    mailbox: { pop3: { listen: ['127.0.0.1:0'] }, pop3s: { listen: ['127.0.0.1:0'] }, ...lasting.config },
  });
  const { tls, changeTls } = createTls(await testPair('first'));
  const metrics = createMetrics({ withProcess: false });
  const deps = { config, clock, random: Math.random, logger: silentLogger, metrics, tracing: noTracing, blobs, directory, tls };
  const service = createMailbox({ ...deps, database });
  try {
    await service.start();
  } catch (error) {
    await database.close();
    throw error;
  }
  const end = async () => {
    await service.stop();
    await database.close();
  };
  return {
    ...{ service, clock, blobs, directory, database, metrics },
    changeTls,
    deliver: async (request) => {
      const whole = {
        id: 0,
        reversePath: 'sender@example.org',
        content: HELLO,
        recipients: [],
        acceptedAtMs: START_MS,
        traceparent: '',
        ...request,
      };
      return (await service.mailbox.deliver(whole)).results;
    },
    restart: async () => {
      await end();
      return open(lasting);
    },
    replica: async () => {
      const other = await open(lasting);
      return { ...other, close: other.end };
    },
    end,
    close: async () => {
      await end();
      await rm(folder, { recursive: true });
    },
  };
}

export const to = (...accounts: readonly string[]) => accounts.map((account) => ({ account, address: account, quotaOctets: 0 }));
