import { DeliverResult } from '@angarium/rpc';
import { type Metrics, type MetricTable, registerGauges, registerMeters } from '@angarium/runtime';

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

const METERS = {
  deliveries: {
    kind: 'counter',
    name: 'angarium_mailbox_deliveries_total',
    help: 'Recipients of deliveries by result; a repeated delivery counts as stored again.',
    labels: { result: Object.values(RESULTS) },
  },
  deliverySeconds: {
    kind: 'histogram',
    name: 'angarium_mailbox_delivery_seconds',
    help: 'Time from a delivery of one message until all its recipients are answered.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60],
  },
  storedOctets: {
    kind: 'counter',
    name: 'angarium_mailbox_stored_octets_total',
    help: 'Octets of messages by the recipients that they were stored for.',
  },
  commitSeconds: {
    kind: 'histogram',
    name: 'angarium_mailbox_commit_seconds',
    help: 'Time of a commit that deliveries share.',
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10],
  },
  commitSize: {
    kind: 'histogram',
    name: 'angarium_mailbox_commit_deliveries',
    help: 'Deliveries that shared a commit.',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500],
  },
  logins: {
    kind: 'counter',
    name: 'angarium_mailbox_pop3_logins_total',
    help: 'POP3 logins by outcome.',
    labels: { outcome: LOGINS },
  },
  ended: {
    kind: 'counter',
    name: 'angarium_mailbox_pop3_sessions_total',
    help: 'POP3 sessions by how they ended.',
    labels: { end: ENDS },
  },
  retrieved: {
    kind: 'counter',
    name: 'angarium_mailbox_pop3_retrieved_octets_total',
    help: 'Octets of messages sent to POP3 clients.',
  },
  removed: {
    kind: 'counter',
    name: 'angarium_mailbox_pop3_removed_messages_total',
    help: 'Messages deleted by POP3 clients.',
  },
  sweeps: {
    kind: 'counter',
    name: 'angarium_mailbox_sweeps_total',
    help: 'Sweeps of ledger and bodies.',
    labels: { result: ['done', 'failed'] },
  },
  messages: { kind: 'gauge', name: 'angarium_mailbox_stored_messages', help: 'Messages in all mailboxes.' },
  usage: {
    kind: 'gauge',
    name: 'angarium_mailbox_usage_octets',
    help: 'Octets that count against quotas, in all mailboxes.',
  },
} as const satisfies MetricTable;

const GAUGES = {
  connections: { kind: 'gauge', name: 'angarium_mailbox_pop3_connections', help: 'POP3 connections that are open.' },
  sessions: { kind: 'gauge', name: 'angarium_mailbox_pop3_sessions', help: 'POP3 sessions that are logged in.' },
  unstoredOctets: {
    kind: 'gauge',
    name: 'angarium_mailbox_unstored_octets',
    help: 'Octets of deliveries that wait to be stored.',
  },
} as const satisfies MetricTable;

/** Everything that the mailbox exports. */
export const MAILBOX_METRICS: readonly MetricTable[] = [METERS, GAUGES];

export interface Meters {
  /** One message, for as many recipients as results. */
  delivered(results: readonly DeliverResult[], of: { readonly octets: number; readonly ms: number }): void;
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
  sessions(): number;
  unstoredOctets(): number;
}

export function createMeters(metrics: Metrics, readings: Readings): Meters {
  registerGauges(metrics, GAUGES, readings);
  const meters = registerMeters(metrics, METERS);
  return {
    delivered: (results, { octets, ms }) => {
      for (const result of results) meters.deliveries.inc({ result: RESULTS[result] ?? 'unavailable' });
      meters.storedOctets.inc({}, octets * results.filter((result) => result === DeliverResult.STORED).length);
      meters.deliverySeconds.observe(ms / 1000);
    },
    timeCommit: async (count, commit) => {
      const startedMs = performance.now();
      meters.commitSize.observe(count);
      try {
        return await commit();
      } finally {
        meters.commitSeconds.observe((performance.now() - startedMs) / 1000);
      }
    },
    loggedIn: (outcome) => meters.logins.inc({ outcome }),
    sessionEnded: (end) => meters.ended.inc({ end }),
    retrieved: (octets) => meters.retrieved.inc({}, octets),
    removed: (count) => meters.removed.inc({}, count),
    swept: (result) => meters.sweeps.inc({ result }),
    stored: (totals) => {
      meters.messages.set(totals.messages);
      meters.usage.set(totals.octets);
    },
  };
}
