import type { Counter, Histogram, Metrics } from '@angarium/runtime';
import { LISTENERS } from './deps.ts';
import { REFUSAL_REASONS } from './replies.ts';

export interface Meters {
  readonly sessions: Counter;
  readonly tlsSessions: Counter;
  readonly messages: Counter;
  readonly octets: Counter;
  readonly recipients: Counter;
  readonly refusals: Counter;
  readonly authFailures: Counter;
  readonly inDoubt: Counter;
  readonly acceptFailures: Counter;
  readonly acceptSeconds: Histogram;
}

const listener = { listener: LISTENERS };

export function createMeters(
  metrics: Metrics,
  read: {
    readonly connections: () => number;
    readonly unacknowledgedOctets: () => number;
    readonly recipientOctets: () => number;
  },
): Meters {
  metrics.gaugeOf({ name: 'angarium_ingress_connections', help: 'Connections open now.' }, read.connections);
  metrics.gaugeOf(
    { name: 'angarium_ingress_unacknowledged_octets', help: 'Octets of messages received and not yet durable.' },
    read.unacknowledgedOctets,
  );
  metrics.gaugeOf(
    { name: 'angarium_ingress_recipient_octets', help: 'Octets of recipients of transactions that are under way.' },
    read.recipientOctets,
  );
  return {
    sessions: metrics.counter({ name: 'angarium_ingress_sessions_total', help: 'Sessions by listener.', labels: listener }),
    tlsSessions: metrics.counter({ name: 'angarium_ingress_tls_sessions_total', help: 'Sessions that got TLS.', labels: listener }),
    messages: metrics.counter({
      name: 'angarium_ingress_messages_total',
      help: 'Messages answered with 250.',
      labels: { ...listener, tls: ['yes', 'no'] },
    }),
    octets: metrics.counter({ name: 'angarium_ingress_octets_total', help: 'Octets of accepted messages.', labels: listener }),
    recipients: metrics.counter({ name: 'angarium_ingress_recipients_total', help: 'Recipients of accepted messages.', labels: listener }),
    refusals: metrics.counter({
      name: 'angarium_ingress_refusals_total',
      help: '4yz and 5yz replies by class of reason.',
      labels: { reason: REFUSAL_REASONS },
    }),
    authFailures: metrics.counter({ name: 'angarium_ingress_auth_failures_total', help: 'Logins with wrong credentials.' }),
    inDoubt: metrics.counter({
      name: 'angarium_ingress_in_doubt_messages_total',
      help: 'Messages refused with 4yz that may be in the log all the same.',
    }),
    acceptFailures: metrics.counter({
      name: 'angarium_ingress_accept_failures_total',
      help: 'Connections that the system could not give us, for want of file descriptors most of the time.',
    }),
    acceptSeconds: metrics.histogram({
      name: 'angarium_ingress_accept_seconds',
      help: 'Time from the final dot to its 250.',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20],
    }),
  };
}
