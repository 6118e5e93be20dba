import type { Metrics } from '@angarium/runtime';

export type QuotaMeters = ReturnType<typeof createQuotaMeters>;

export function createQuotaMeters(metrics: Metrics, limits: readonly string[]) {
  const labels = { limit: limits };
  return {
    asked: metrics.counter({
      name: 'angarium_delivery_quota_asked_total',
      help: 'Questions to the worker that grants a limit, by what came of them.',
      labels: { answer: ['granted', 'elsewhere', 'failed'] },
    }),
    waited: metrics.counter({
      name: 'angarium_delivery_quota_waits_total',
      help: 'Times that a site had to wait for room below a limit, or an attempt for a connection or for leave to send.',
      labels: { for: ['start', 'connection', 'message'] },
    }),
    refused: metrics.counter({
      name: 'angarium_delivery_quota_refused_total',
      help: 'Attempts that were put off since the room below a limit was gone.',
    }),
    cut: metrics.counter({
      name: 'angarium_delivery_quota_cut_connections_total',
      help: 'Connections that were cut off since the grant of a limit had ended.',
    }),
    connections: metrics.gauge({ name: 'angarium_delivery_quota_connections_granted', help: 'Connections that were granted.', labels }),
    messages: metrics.gauge({
      name: 'angarium_delivery_quota_messages_granted',
      help: 'Messages for each window that were granted.',
      labels,
    }),
    open: metrics.gauge({
      name: 'angarium_delivery_quota_connections_open',
      help: 'Connections that take room, kept ones included.',
      labels,
    }),
    waiting: metrics.gauge({ name: 'angarium_delivery_quota_sites_waiting', help: 'Sites that wait for room below a limit.', labels }),
  };
}
