import { type Dashboard, latency, max, query, rate, sum } from './panel.ts';

export const OVERVIEW: Dashboard = {
  uid: 'angarium-overview',
  title: 'Angarium / Overview',
  description: 'Is mail flowing? What comes in, what goes out, what waits, and whether the count closes.',
  rows: [
    {
      title: 'At a glance',
      panels: [
        {
          title: 'Accepted',
          description: 'Messages answered with 250, a second.',
          unit: 'reqps',
          as: 'number',
          queries: [query(rate('angarium_ingress_messages_total'))],
        },
        {
          title: 'Delivered',
          description: 'Recipients delivered, a second.',
          unit: 'reqps',
          as: 'number',
          queries: [query(rate('angarium_delivery_outcomes_total', '', 'result="delivered"'))],
        },
        {
          title: 'Queued',
          description: 'Recipients that wait, in all lanes, unrouted or dead.',
          unit: 'short',
          as: 'number',
          queries: [query(max('angarium_accounting_queued_recipients'))],
        },
        {
          title: 'Oldest due',
          description: 'How long mail has been due that nothing holds back. Minutes mean that workers do not keep up, or stand still.',
          unit: 's',
          as: 'number',
          queries: [query(max('angarium_delivery_useful_oldest_seconds'))],
        },
        {
          title: 'Difference of the count',
          description: 'Accepted and expanded, less everything that became of it. It is 0, or mail is missing.',
          unit: 'short',
          as: 'number',
          queries: [query(max('angarium_accounting_difference_recipients'))],
        },
        {
          title: 'Lanes without owner',
          description: 'Parts of the queue that nobody delivers. Seconds after a worker died are normal.',
          unit: 'short',
          as: 'number',
          queries: [query(max('angarium_delivery_lanes_unowned'))],
        },
      ],
    },
    {
      title: 'In and out',
      panels: [
        {
          title: 'Accepted, delivered, bounced, deferred',
          description: 'Messages in, and recipients by what became of them.',
          unit: 'reqps',
          width: 12,
          queries: [
            query(rate('angarium_ingress_messages_total'), 'accepted'),
            query(rate('angarium_delivery_outcomes_total', 'result'), '{{result}}'),
          ],
        },
        {
          title: 'Refused',
          description: '4yz and 5yz replies to clients by class of reason. What is ours: directory, log, full, overload.',
          unit: 'reqps',
          width: 12,
          queries: [query(rate('angarium_ingress_refusals_total', 'reason'), '{{reason}}')],
        },
        {
          title: 'Time to the first attempt',
          description: 'From the 250 to the first attempt. It grows when delivery does not keep up.',
          unit: 's',
          queries: latency('angarium_delivery_first_attempt_seconds'),
        },
        {
          title: 'Time to delivery',
          description: 'From the 250 to the delivery, retries included.',
          unit: 's',
          queries: latency('angarium_delivery_end_to_end_seconds'),
        },
        {
          title: 'Queue by state',
          description: 'What the queue waits for: its turn, its time, an operator.',
          unit: 'short',
          queries: [query(sum('angarium_delivery_queued_recipients', 'state'), '{{state}}')],
        },
      ],
    },
    {
      title: 'The processes',
      panels: [
        {
          title: 'Event loop delay',
          description: 'The 99th percentile of each process. Half a second means overload.',
          unit: 's',
          queries: [query(max('nodejs_eventloop_lag_p99_seconds', 'job, instance'), '{{instance}}')],
        },
        {
          title: 'CPU',
          description: 'Cores of each process.',
          unit: 'short',
          queries: [query(rate('process_cpu_seconds_total', 'job, instance'), '{{instance}}')],
        },
        {
          title: 'Memory',
          description: 'Resident memory of each process.',
          unit: 'bytes',
          queries: [query(max('process_resident_memory_bytes', 'job, instance'), '{{instance}}')],
        },
      ],
    },
  ],
};
