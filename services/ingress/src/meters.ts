import { type Metrics, type MetricTable, registerGauges, registerMeters } from '@angarium/runtime';
import { LISTENERS } from './deps.ts';
import { REFUSAL_REASONS } from './replies.ts';

const TLS_VERSIONS = ['TLSv1.2', 'TLSv1.3', 'other'] as const;
const listener = { listener: LISTENERS };

const METERS = {
  sessions: { kind: 'counter', name: 'angarium_ingress_sessions_total', help: 'Sessions by listener.', labels: listener },
  tlsSessions: {
    kind: 'counter',
    name: 'angarium_ingress_tls_sessions_total',
    help: 'Sessions that got TLS, by its version.',
    labels: { ...listener, version: TLS_VERSIONS },
  },
  messages: {
    kind: 'counter',
    name: 'angarium_ingress_messages_total',
    help: 'Messages answered with 250.',
    labels: { ...listener, tls: ['yes', 'no'] },
  },
  octets: { kind: 'counter', name: 'angarium_ingress_octets_total', help: 'Octets of accepted messages.', labels: listener },
  recipients: { kind: 'counter', name: 'angarium_ingress_recipients_total', help: 'Recipients of accepted messages.', labels: listener },
  refusals: {
    kind: 'counter',
    name: 'angarium_ingress_refusals_total',
    help: '4yz and 5yz replies by class of reason.',
    labels: { reason: REFUSAL_REASONS },
  },
  authFailures: { kind: 'counter', name: 'angarium_ingress_auth_failures_total', help: 'Logins with wrong credentials.' },
  inDoubt: {
    kind: 'counter',
    name: 'angarium_ingress_in_doubt_messages_total',
    help: 'Messages refused with 4yz that may be in the log all the same.',
  },
  proxyRefused: {
    kind: 'counter',
    name: 'angarium_ingress_proxy_refused_total',
    help: 'Connections behind a balancer that were cut off: their sender is not to be believed, or their PROXY header is not one.',
    labels: { reason: ['untrusted', 'overloaded', 'missing', 'broken', 'too_long', 'late'] },
  },
  acceptFailures: {
    kind: 'counter',
    name: 'angarium_ingress_accept_failures_total',
    help: 'Connections that the system could not give us, for want of file descriptors most of the time.',
  },
  acceptSeconds: {
    kind: 'histogram',
    name: 'angarium_ingress_accept_seconds',
    help: 'Time from the final dot to its 250.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20],
  },
} as const satisfies MetricTable;

const GAUGES = {
  connections: { kind: 'gauge', name: 'angarium_ingress_connections', help: 'Connections open now.' },
  unacknowledgedOctets: {
    kind: 'gauge',
    name: 'angarium_ingress_unacknowledged_octets',
    help: 'Octets of messages received and not yet durable.',
  },
  recipientOctets: {
    kind: 'gauge',
    name: 'angarium_ingress_recipient_octets',
    help: 'Octets of recipients of transactions that are under way.',
  },
} as const satisfies MetricTable;

/** Everything that ingress exports. */
export const INGRESS_METRICS: readonly MetricTable[] = [METERS, GAUGES];

export type Meters = ReturnType<typeof createMeters>;

export function createMeters(metrics: Metrics, reads: Readonly<Record<keyof typeof GAUGES, () => number>>) {
  registerGauges(metrics, GAUGES, reads);
  return registerMeters(metrics, METERS);
}

/** The name that the metric has for a TLS version. */
export const tlsVersion = (protocol: string | null | undefined): (typeof TLS_VERSIONS)[number] =>
  TLS_VERSIONS.find((known) => known === protocol) ?? 'other';
