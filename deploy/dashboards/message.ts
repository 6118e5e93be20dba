import { type Dashboard, latency, query, rate } from './panel.ts';

export const MESSAGE: Dashboard = {
  uid: 'angarium-message',
  title: 'Angarium / One message',
  description:
    'What happened to one message: its log lines and its trace, by queue id. On the command line: angarium queue why <queue id>.',
  variables: [{ name: 'queue_id', label: 'Queue id', text: true }],
  rows: [
    {
      title: 'Meanwhile',
      panels: [
        {
          title: 'Time to delivery',
          description: 'Of all messages; points are examples that lead to their traces.',
          unit: 's',
          width: 12,
          queries: latency('angarium_delivery_end_to_end_seconds'),
        },
        {
          title: 'Outcomes',
          description: 'Of all messages.',
          unit: 'reqps',
          width: 12,
          queries: [query(rate('angarium_delivery_outcomes_total', 'result'), '{{result}}')],
        },
      ],
    },
  ],
};
