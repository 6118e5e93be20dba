import { DeliverResult } from '@angarium/rpc';
import type { Metrics } from '@angarium/runtime';

const RESULTS: Readonly<Record<number, string>> = {
  [DeliverResult.STORED]: 'stored',
  [DeliverResult.OVER_QUOTA]: 'over_quota',
  [DeliverResult.UNAVAILABLE]: 'unavailable',
  [DeliverResult.STORE_FULL]: 'store_full',
  [DeliverResult.NO_SUCH_ACCOUNT]: 'no_such_account',
  [DeliverResult.TOO_BIG]: 'too_big',
};

const LOGINS = ['accepted', 'wrong', 'in_use', 'limited', 'unavailable'] as const;
const ENDS = ['quit', 'lost', 'timeout', 'errors', 'refused', 'stopped'] as const;
type LoginOutcome = (typeof LOGINS)[number];
export type SessionEnd = (typeof ENDS)[number];

export interface Meters {
  delivered(result: DeliverResult): void;
  /** Runs a commit of so many deliveries and measures it. */
  timeCommit<T>(deliveries: number, commit: () => Promise<T>): Promise<T>;
  loggedIn(outcome: LoginOutcome): void;
  sessionEnded(end: SessionEnd): void;
  retrieved(octets: number): void;
  removed(messages: number): void;
  swept(result: 'done' | 'failed'): void;
  stored(totals: { readonly messages: number; readonly octets: number }): void;
}

/** What is read at each scrape. */
export interface Readings {
  connections(): number;
  unstoredOctets(): number;
}

export function createMeters(metrics: Metrics, readings: Readings): Meters {
  const name = (rest: string) => `angarium_mailbox_${rest}`;
  const deliveries = metrics.counter({
    name: name('deliveries_total'),
    help: 'Recipients of deliveries by result; a repeated delivery counts as stored again.',
    labels: { result: Object.values(RESULTS) },
  });
  const commitSeconds = metrics.histogram({
    name: name('commit_seconds'),
    help: 'Time of a commit that deliveries share.',
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10],
  });
  const commitSize = metrics.histogram({
    name: name('commit_deliveries'),
    help: 'Deliveries that shared a commit.',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500],
  });
  const logins = metrics.counter({ name: name('pop3_logins_total'), help: 'POP3 logins by outcome.', labels: { outcome: LOGINS } });
  const ended = metrics.counter({ name: name('pop3_sessions_total'), help: 'POP3 sessions by how they ended.', labels: { end: ENDS } });
  const retrieved = metrics.counter({ name: name('pop3_retrieved_octets_total'), help: 'Octets of messages sent to POP3 clients.' });
  const removed = metrics.counter({ name: name('pop3_removed_messages_total'), help: 'Messages deleted by POP3 clients.' });
  const sweeps = metrics.counter({
    name: name('sweeps_total'),
    help: 'Sweeps of ledger and bodies.',
    labels: { result: ['done', 'failed'] },
  });
  const messages = metrics.gauge({ name: name('stored_messages'), help: 'Messages in all mailboxes.' });
  const usage = metrics.gauge({ name: name('usage_octets'), help: 'Octets that count against quotas, in all mailboxes.' });
  metrics.gaugeOf({ name: name('pop3_connections'), help: 'POP3 connections that are open.' }, readings.connections);
  metrics.gaugeOf({ name: name('unstored_octets'), help: 'Octets of deliveries that wait to be stored.' }, readings.unstoredOctets);
  return {
    delivered: (result) => deliveries.inc({ result: RESULTS[result] ?? 'unavailable' }),
    timeCommit: async (count, commit) => {
      const startedMs = performance.now();
      commitSize.observe(count);
      try {
        return await commit();
      } finally {
        commitSeconds.observe((performance.now() - startedMs) / 1000);
      }
    },
    loggedIn: (outcome) => logins.inc({ outcome }),
    sessionEnded: (end) => ended.inc({ end }),
    retrieved: (octets) => retrieved.inc({}, octets),
    removed: (count) => removed.inc({}, count),
    swept: (result) => sweeps.inc({ result }),
    stored: (totals) => {
      messages.set(totals.messages);
      usage.set(totals.octets);
    },
  };
}
