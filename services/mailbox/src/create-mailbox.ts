import type { BlobStore } from '@angarium/blob';
import type { Directory, Mailbox } from '@angarium/rpc';
import {
  type Clock,
  type Config,
  createGuesses,
  type Logger,
  type Metrics,
  type Service,
  type TlsSource,
  type Tracing,
} from '@angarium/runtime';
import { createAccountStates } from './deliver/accounts.ts';
import { createDeliverer, type Deliverer } from './deliver/deliver.ts';
import { createMeters } from './meters.ts';
import { createPop3Server, type Pop3Server } from './pop3/server.ts';
import { openMaildrop } from './store/maildrop.ts';
import type { MailboxDatabase } from './store/schema.ts';
import { createSweeper } from './sweeper.ts';

export interface MailboxDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  /** Opened with `MAILBOX_MIGRATIONS`, used by mailbox services alone; whoever opened it closes it after `stop`. */
  readonly database: MailboxDatabase;
  /** Keys that begin with `mail/` are this service's. */
  readonly blobs: BlobStore;
  readonly directory: Directory;
  readonly tls: TlsSource;
}

export interface MailboxService extends Service {
  /** Answers only between `start` and `stop`. */
  readonly mailbox: Mailbox;
  /** "host:port" of each listener, once started. */
  readonly addresses: Pop3Server['addresses'];
  notReady(): readonly string[];
}

/** The MDA and message store: takes deliveries, serves POP3. */
export function createMailbox(deps: MailboxDeps): MailboxService {
  const { config, clock, logger, blobs, directory } = deps;
  const database = deps.database.db;
  const shared = { config: config.mailbox, clock, logger, database, blobs };
  let isServing = false;
  const meters = createMeters(deps.metrics, {
    connections: () => pop3.connections,
    sessions: () => pop3.sessions,
    unstoredOctets: () => deliverer.unstoredOctets,
  });
  const deliverer: Deliverer = createDeliverer({
    ...shared,
    meters,
    random: deps.random,
    tracing: deps.tracing,
    accounts: createAccountStates({ directory, clock, cacheMs: config.mailbox.accountCacheMs }),
  });
  const sweeper = createSweeper({ ...shared, meters });
  const pop3: Pop3Server = createPop3Server({
    ...shared,
    meters,
    directory,
    tls: deps.tls,
    guesses: createGuesses({ ...config.mailbox, nowMs: () => clock.nowMs() }),
    hold: (account, onLost) => deps.database.hold(`pop3 ${account}`, onLost),
    openMaildrop: async (account) => {
      const { mailbox } = await directory.account({ address: account });
      return openMaildrop({ database, blobs, nowMs: () => clock.nowMs() }, mailbox || account);
    },
  });
  return {
    mailbox: deliverer.mailbox,
    addresses: pop3.addresses,
    notReady: () => (isServing ? [] : ['mailbox: not started, or stopping']),
    start: async () => {
      await pop3.start();
      sweeper.start();
      isServing = true;
      logger.info(pop3.addresses, 'mailbox.service.started');
    },
    stop: async () => {
      isServing = false;
      await Promise.all([pop3.stop(), deliverer.drain(), sweeper.stop()]);
      logger.info({}, 'mailbox.service.stopped');
    },
  };
}
