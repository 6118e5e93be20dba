import { type Dashboard, latency, max, query, rate, sum } from './panel.ts';

export const DELIVERY: Dashboard = {
  uid: 'angarium-delivery',
  title: 'Angarium / Delivery and lanes',
  description: 'Delivery workers: who owns lanes, how far they are, their connections, and how many are wanted.',
  rows: [
    {
      title: 'Lanes',
      panels: [
        {
          title: 'Lanes by worker',
          description: 'Owned by each. They are spread evenly within seconds.',
          unit: 'short',
          queries: [query(sum('angarium_delivery_lanes_live', 'instance'), '{{instance}}')],
        },
        {
          title: 'Lanes by state',
          description: 'Replaying: being taken over. Halted: a record cannot be read, and an operator is needed.',
          unit: 'short',
          queries: [
            query(sum('angarium_delivery_lanes', 'state'), '{{state}}'),
            query(sum('angarium_delivery_lanes_halted'), 'halted'),
            query(max('angarium_delivery_lanes_unowned'), 'without owner'),
          ],
        },
        {
          title: 'Changes of owner',
          description: 'Lanes that changed hands, by what became of the owner before.',
          unit: 'reqps',
          queries: [query(rate('angarium_delivery_lane_takeovers_total', 'owner'), '{{owner}}')],
        },
        {
          title: 'Records behind the tail',
          description: 'What the next owner would have to read, the most of any lane.',
          unit: 'short',
          queries: [query(max('angarium_delivery_watermark_lag_records'), 'records')],
        },
        {
          title: 'Takeover',
          description: 'From the first record that is read to a lane that is owned, the mean of all since the workers started.',
          unit: 's',
          queries: [query(`${sum('angarium_delivery_replay_seconds_sum')} / ${sum('angarium_delivery_replay_seconds_count')}`, 'mean')],
        },
        {
          title: 'Epochs',
          description: 'How often the lanes changed hands, the most of any.',
          unit: 'short',
          queries: [query(max('angarium_delivery_lane_epoch'), 'highest')],
        },
      ],
    },
    {
      title: 'Attempts',
      panels: [
        {
          title: 'Under way',
          description: 'Attempts at other hosts and deliveries to mailboxes.',
          unit: 'short',
          queries: [
            query(sum('angarium_delivery_remote_active'), 'other hosts'),
            query(sum('angarium_delivery_mailbox_active'), 'mailbox'),
          ],
        },
        {
          title: 'Connections',
          description: 'To other hosts: opened, reused, and open now.',
          unit: 'short',
          queries: [
            query(rate('angarium_delivery_connections_opened_total', 'result'), 'opened a second: {{result}}'),
            query(rate('angarium_delivery_connections_reused_total'), 'reused a second'),
            query(sum('angarium_delivery_connections_open'), 'open'),
          ],
        },
        {
          title: 'TLS to other hosts',
          description: 'New connections by the version of TLS; none: in clear.',
          unit: 'reqps',
          queries: [query(rate('angarium_delivery_tls_connections_total', 'version'), '{{version}}')],
        },
        {
          title: 'What a kill would send twice',
          description: 'Transactions whose final dot is not answered, and records that are not yet durable.',
          unit: 'short',
          queries: [
            query(sum('angarium_delivery_dots_unanswered'), 'dots'),
            query(sum('angarium_delivery_outcomes_unacknowledged'), 'outcomes'),
          ],
        },
        {
          title: 'Duplicates and doubt',
          description: 'Recipients recorded as delivered twice, and transactions lost after the final dot.',
          unit: 'reqps',
          queries: [
            query(rate('angarium_delivery_duplicates_total'), 'twice'),
            query(rate('angarium_delivery_in_doubt_total'), 'in doubt'),
          ],
        },
        {
          title: 'Trouble of our own',
          description: 'Mail waits for us and spends no attempt.',
          unit: 'reqps',
          queries: [query(rate('angarium_delivery_own_faults_total', 'fault'), '{{fault}}')],
        },
        { title: 'Name servers', description: 'Time of a question.', unit: 's', queries: latency('angarium_dns_query_seconds') },
        {
          title: 'Limits',
          description: 'Attempts that were put off since there was no room below a limit, and questions for room.',
          unit: 'reqps',
          queries: [
            query(rate('angarium_delivery_quota_refused_total'), 'put off'),
            query(rate('angarium_delivery_quota_asked_total', 'answer'), 'asked: {{answer}}'),
          ],
        },
      ],
    },
    {
      title: 'Scaling',
      panels: [
        {
          title: 'Workers: wanted and there',
          description: 'What the scaler wants, and how many answer.',
          unit: 'short',
          width: 12,
          queries: [query(max('angarium_delivery_wanted_workers'), 'wanted'), query('count (angarium_delivery_lanes_live{$f})', 'there')],
        },
        {
          title: 'Work for more workers',
          description: 'Recipients that are due and that their receivers would take now.',
          unit: 'short',
          width: 12,
          queries: [query(sum('angarium_delivery_useful_recipients'), 'recipients')],
        },
      ],
    },
  ],
};
