import { type Metrics, type MetricTable, registerMeters } from '@angarium/runtime';

/** The limits are those that the configuration names. */
export const quotaMeters = (limits: readonly string[]) =>
  ({
    asked: {
      kind: 'counter',
      name: 'angarium_delivery_quota_asked_total',
      help: 'Questions to the worker that grants a limit, by what came of them.',
      labels: { answer: ['granted', 'elsewhere', 'failed'] },
    },
    waited: {
      kind: 'counter',
      name: 'angarium_delivery_quota_waits_total',
      help: 'Times that a site had to wait for room below a limit, or an attempt for a connection or for leave to send.',
      labels: { for: ['start', 'connection', 'message'] },
    },
    refused: {
      kind: 'counter',
      name: 'angarium_delivery_quota_refused_total',
      help: 'Attempts that were put off since the room below a limit was gone.',
    },
    cut: {
      kind: 'counter',
      name: 'angarium_delivery_quota_cut_connections_total',
      help: 'Connections that were cut off since the grant of a limit had ended.',
    },
    connections: {
      kind: 'gauge',
      name: 'angarium_delivery_quota_connections_granted',
      help: 'Connections that were granted.',
      labels: { limit: limits },
    },
    messages: {
      kind: 'gauge',
      name: 'angarium_delivery_quota_messages_granted',
      help: 'Messages for each window that were granted.',
      labels: { limit: limits },
    },
    open: {
      kind: 'gauge',
      name: 'angarium_delivery_quota_connections_open',
      help: 'Connections that take room, kept ones included.',
      labels: { limit: limits },
    },
    waiting: {
      kind: 'gauge',
      name: 'angarium_delivery_quota_sites_waiting',
      help: 'Sites that wait for room below a limit.',
      labels: { limit: limits },
    },
  }) as const satisfies MetricTable;

export type QuotaMeters = ReturnType<typeof createQuotaMeters>;

export const createQuotaMeters = (metrics: Metrics, limits: readonly string[]) => registerMeters(metrics, quotaMeters(limits));
