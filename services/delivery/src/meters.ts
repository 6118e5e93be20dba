import type { Metrics } from '@angarium/runtime';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 14_400, 86_400, 432_000];
const RESULTS = ['delivered', 'deferred', 'bounced', 'expired', 'discarded'] as const;
const TRANSPORTS = ['mailbox', 'remote'] as const;
const FAULTS = ['blob', 'log', 'resolve', 'transport', 'lane', 'accounting', 'notify', 'sweep'] as const;

export type ResultName = (typeof RESULTS)[number];
export type Fault = (typeof FAULTS)[number];
export type Meters = ReturnType<typeof createMeters>;

/** Class of a reply, "none" where there was no reply. */
export const replyClass = (code: number): '2' | '4' | '5' | 'none' => {
  const first = Math.floor(code / 100);
  return first === 2 ? '2' : first === 4 ? '4' : first === 5 ? '5' : 'none';
};

export function createMeters(metrics: Metrics) {
  return {
    attempts: metrics.counter({
      name: 'angarium_delivery_attempts_total',
      help: 'Attempts by transport and by what they told about the site.',
      labels: { transport: TRANSPORTS, site: ['reached', 'throttled', 'failed', 'unknown'] },
    }),
    outcomes: metrics.counter({
      name: 'angarium_delivery_outcomes_total',
      help: 'Recipients by result and class of the reply.',
      labels: { result: RESULTS, reply: ['2', '4', '5', 'none'] },
    }),
    firstAttempt: metrics.histogram({
      name: 'angarium_delivery_first_attempt_seconds',
      help: 'From acceptance to the first attempt.',
      buckets: SECONDS,
    }),
    endToEnd: metrics.histogram({
      name: 'angarium_delivery_end_to_end_seconds',
      help: 'From acceptance to delivery, per recipient.',
      buckets: SECONDS,
    }),
    inDoubt: metrics.counter({
      name: 'angarium_delivery_in_doubt_total',
      help: 'Transactions lost after the final dot: what is sent again may be a duplicate.',
    }),
    duplicates: metrics.counter({
      name: 'angarium_delivery_duplicates_total',
      help: 'Recipients whose delivery was recorded twice: the receiver has the mail twice.',
    }),
    ownFaults: metrics.counter({
      name: 'angarium_delivery_own_faults_total',
      help: 'Trouble of our own; mail waits and no attempt is spent.',
      labels: { fault: FAULTS },
    }),
    notifications: metrics.counter({
      name: 'angarium_delivery_notifications_total',
      help: 'Delivery status notifications handed over.',
    }),
    moved: metrics.counter({ name: 'angarium_delivery_moved_messages_total', help: 'Messages rewritten at the tail of their lane.' }),
    swept: metrics.counter({ name: 'angarium_delivery_swept_blobs_total', help: 'Shared contents deleted.' }),
    replay: metrics.histogram({
      name: 'angarium_delivery_replay_seconds',
      help: 'From the first record that is read to a lane that is owned.',
      buckets: [0.1, 0.5, 1, 2, 5, 10, 30],
    }),
  };
}
