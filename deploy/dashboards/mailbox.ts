import { type Dashboard, latency, max, query, rate, sum } from './panel.ts';

export const MAILBOX: Dashboard = {
  uid: 'angarium-mailbox',
  title: 'Angarium / Mailbox',
  description: 'Final delivery and the people who read their mail.',
  rows: [
    {
      title: 'Deliveries',
      panels: [
        {
          title: 'Recipients by result',
          description: 'What became of deliveries to mailboxes.',
          unit: 'reqps',
          queries: [query(rate('angarium_mailbox_deliveries_total', 'result'), '{{result}}')],
        },
        {
          title: 'Time of a delivery',
          description: 'Until all recipients of a message are answered.',
          unit: 's',
          queries: latency('angarium_mailbox_delivery_seconds'),
        },
        {
          title: 'Time of a commit',
          description: 'That deliveries share.',
          unit: 's',
          queries: latency('angarium_mailbox_commit_seconds'),
        },
        {
          title: 'Stored',
          description: 'Octets a second.',
          unit: 'Bps',
          queries: [query(rate('angarium_mailbox_stored_octets_total'), 'octets')],
        },
        {
          title: 'In all mailboxes',
          description: 'Messages that are kept.',
          unit: 'short',
          queries: [query(max('angarium_mailbox_stored_messages'), 'messages')],
        },
        {
          title: 'Waiting to be stored',
          description: 'Octets of deliveries; at mailbox.maxUnstoredOctets the next ones are put off.',
          unit: 'bytes',
          queries: [query(sum('angarium_mailbox_unstored_octets', 'instance'), '{{instance}}')],
        },
      ],
    },
    {
      title: 'POP3',
      panels: [
        {
          title: 'Connections and sessions',
          description: 'Open, and of these logged in.',
          unit: 'short',
          queries: [
            query(sum('angarium_mailbox_pop3_connections'), 'connections'),
            query(sum('angarium_mailbox_pop3_sessions'), 'sessions'),
          ],
        },
        {
          title: 'Logins',
          description: 'By outcome.',
          unit: 'reqps',
          queries: [query(rate('angarium_mailbox_pop3_logins_total', 'outcome'), '{{outcome}}')],
        },
        {
          title: 'Read',
          description: 'Octets of messages sent to clients.',
          unit: 'Bps',
          queries: [query(rate('angarium_mailbox_pop3_retrieved_octets_total'), 'octets')],
        },
      ],
    },
  ],
};
