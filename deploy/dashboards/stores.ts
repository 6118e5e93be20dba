import { type Dashboard, latency, max, query, rate } from './panel.ts';

export const STORES: Dashboard = {
  uid: 'angarium-stores',
  title: 'Angarium / Kafka and stores',
  description: 'What everything stands on: the log, large contents, calls between services, disks and certificates.',
  rows: [
    {
      title: 'The log',
      panels: [
        {
          title: 'Time until durable',
          description: 'From the first append of a batch.',
          unit: 's',
          queries: latency('angarium_log_append_seconds'),
        },
        {
          title: 'Batches and records',
          description: 'Made durable, a second.',
          unit: 'reqps',
          queries: [query(rate('angarium_log_batches_total'), 'batches'), query(rate('angarium_log_entries_total'), 'records')],
        },
        {
          title: 'Appends that failed',
          description: 'By reason, and those of them that may be in the log all the same.',
          unit: 'reqps',
          queries: [
            query(rate('angarium_log_appends_failed_total', 'reason'), '{{reason}}'),
            query(rate('angarium_log_in_doubt_total'), 'in doubt'),
          ],
        },
        {
          title: 'Written',
          description: 'Octets of durable batches.',
          unit: 'Bps',
          queries: [query(rate('angarium_log_written_octets_total'), 'octets')],
        },
        {
          title: 'Routing',
          description: 'Age of the oldest message in hand, and what stands still.',
          unit: 's',
          queries: [
            query(max('angarium_routing_lag_seconds'), 'oldest in hand'),
            query(max('angarium_routing_halted_partitions'), 'partitions halted'),
          ],
        },
        {
          title: 'Routing stalls and dead letters',
          description: 'What is repeated until it works, and records that were set aside.',
          unit: 'reqps',
          queries: [
            query(rate('angarium_routing_stalls_total', 'cause'), '{{cause}}'),
            query(rate('angarium_routing_dead_total'), 'dead letters'),
          ],
        },
      ],
    },
    {
      title: 'Contents, calls, disks',
      panels: [
        {
          title: 'Large contents',
          description: 'Calls to the store of large contents, by what came of them.',
          unit: 'reqps',
          queries: [query(rate('angarium_blob_call_seconds_count', 'call, outcome'), '{{call}} {{outcome}}')],
        },
        {
          title: 'Calls between services',
          description: 'By status, as the caller sees them.',
          unit: 'reqps',
          queries: [query(rate('angarium_rpc_client_call_seconds_count', 'status'), '{{status}}')],
        },
        {
          title: 'Time of calls',
          description: 'Between services, as the caller sees them.',
          unit: 's',
          queries: latency('angarium_rpc_client_call_seconds'),
        },
        {
          title: 'Free share of disks',
          description: 'Below 10 % new mail is refused.',
          unit: 'percentunit',
          queries: [
            query('min by (instance, folder) (angarium_disk_free_octets{$f} / angarium_disk_size_octets{$f})', '{{instance}} {{folder}}'),
          ],
        },
        {
          title: 'Certificates',
          description: 'Time until they expire.',
          unit: 's',
          queries: [query('min by (listener) (angarium_tls_certificate_expiry_seconds{$f})', '{{listener}}')],
        },
        {
          title: 'Releases',
          description: 'Processes by the release that they run; two only during an upgrade.',
          unit: 'short',
          queries: [query('count by (version, node) (angarium_build_info{$f})', '{{version}} on Node {{node}}')],
        },
      ],
    },
  ],
};
