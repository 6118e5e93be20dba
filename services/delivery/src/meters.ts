import { type Metrics, type MetricTable, registerMeters } from '@angarium/runtime';
import { PROVIDER_RESULTS } from './providers.ts';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 14_400, 86_400, 432_000];
const RESULTS = ['delivered', 'deferred', 'bounced', 'expired', 'discarded'] as const;
const TRANSPORTS = ['mailbox', 'remote'] as const;
const FAULTS = ['blob', 'log', 'resolve', 'transport', 'lane', 'accounting', 'notify', 'sweep'] as const;

const REPLY_CLASSES = ['2xx', '4xx', '5xx', 'none'] as const;

export type ResultName = (typeof RESULTS)[number];
export type Fault = (typeof FAULTS)[number];

/** Class of a reply, "none" where there was no reply. */
export const replyClass = (code: number): '2' | '4' | '5' | 'none' => {
  const first = Math.floor(code / 100);
  return first === 2 ? '2' : first === 4 ? '4' : first === 5 ? '5' : 'none';
};

export const DELIVERY_METERS = {
  attempts: {
    kind: 'counter',
    name: 'angarium_delivery_attempts_total',
    help: 'Attempts by transport and by what they told about the site.',
    labels: { transport: TRANSPORTS, site: ['reached', 'throttled', 'failed', 'unknown'] },
  },
  replies: {
    kind: 'counter',
    name: 'angarium_delivery_replies_total',
    help: 'Attempts at other hosts by the class of the last reply; none: no host could be spoken to.',
    labels: { class: REPLY_CLASSES },
  },
  outcomes: {
    kind: 'counter',
    name: 'angarium_delivery_outcomes_total',
    help: 'Recipients by result and class of the reply.',
    labels: { result: RESULTS, reply: ['2', '4', '5', 'none'] },
  },
  firstAttempt: {
    kind: 'histogram',
    name: 'angarium_delivery_first_attempt_seconds',
    help: 'From acceptance to the first attempt.',
    buckets: SECONDS,
  },
  endToEnd: {
    kind: 'histogram',
    name: 'angarium_delivery_end_to_end_seconds',
    help: 'From acceptance to delivery, per recipient.',
    buckets: SECONDS,
  },
  inDoubt: {
    kind: 'counter',
    name: 'angarium_delivery_in_doubt_total',
    help: 'Transactions lost after the final dot: what is sent again may be a duplicate.',
  },
  duplicates: {
    kind: 'counter',
    name: 'angarium_delivery_duplicates_total',
    help: 'Recipients whose delivery was recorded twice: the receiver has the mail twice.',
  },
  ownFaults: {
    kind: 'counter',
    name: 'angarium_delivery_own_faults_total',
    help: 'Trouble of our own; mail waits and no attempt is spent.',
    labels: { fault: FAULTS },
  },
  notifications: {
    kind: 'counter',
    name: 'angarium_delivery_notifications_total',
    help: 'Delivery status notifications handed over.',
  },
  moved: {
    kind: 'counter',
    name: 'angarium_delivery_moved_messages_total',
    help: 'Messages rewritten at the tail of their lane.',
  },
  swept: { kind: 'counter', name: 'angarium_delivery_swept_blobs_total', help: 'Shared contents deleted.' },
  takeovers: {
    kind: 'counter',
    name: 'angarium_delivery_lane_takeovers_total',
    help: 'Lanes that this worker began to own, by what became of the owner before: it gave the lane away, fell silent, or there was none.',
    labels: { owner: ['released', 'silent', 'new'] },
  },
  replay: {
    kind: 'histogram',
    name: 'angarium_delivery_replay_seconds',
    help: 'From the first record that is read to a lane that is owned.',
    buckets: [0.1, 0.5, 1, 2, 5, 10, 30],
  },
} as const satisfies MetricTable;

/** Providers that the configuration names are added to those that are known. */
export const providerMeters = (providers: readonly string[]) =>
  ({
    providerAttempts: {
      kind: 'counter',
      name: 'angarium_delivery_provider_attempts_total',
      help: 'Recipients of attempts at other hosts by the provider of the host and by what came of them; doubt: the connection was lost after the final dot.',
      labels: { provider: providers, result: PROVIDER_RESULTS },
    },
  }) as const satisfies MetricTable;

export type Meters = ReturnType<typeof createMeters>;

export const createMeters = (metrics: Metrics, providers: readonly string[]) => ({
  ...registerMeters(metrics, DELIVERY_METERS),
  ...registerMeters(metrics, providerMeters(providers)),
});
