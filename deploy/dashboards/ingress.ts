import { type Dashboard, latency, max, query, rate, sum } from './panel.ts';

export const INGRESS: Dashboard = {
  uid: 'angarium-ingress',
  title: 'Angarium / Ingress',
  description: 'Clients and other hosts that send: sessions, what is accepted, what is refused and why.',
  rows: [
    {
      title: 'Sessions',
      panels: [
        {
          title: 'Connections',
          description: 'Open now; ingress.maxConnections is the limit of each process.',
          unit: 'short',
          queries: [query(sum('angarium_ingress_connections', 'instance'), '{{instance}}')],
        },
        {
          title: 'New sessions',
          description: 'By listener.',
          unit: 'reqps',
          queries: [query(rate('angarium_ingress_sessions_total', 'listener'), '{{listener}}')],
        },
        {
          title: 'Sessions with TLS',
          description: 'Share of sessions that got TLS, by listener.',
          unit: 'percentunit',
          queries: [
            query(
              `${rate('angarium_ingress_tls_sessions_total', 'listener')} / ${rate('angarium_ingress_sessions_total', 'listener')}`,
              '{{listener}}',
            ),
          ],
        },
        {
          title: 'TLS versions',
          description: 'Sessions that got TLS, by its version.',
          unit: 'reqps',
          queries: [query(rate('angarium_ingress_tls_sessions_total', 'version'), '{{version}}')],
        },
        {
          title: 'Wrong passwords',
          description: 'Logins with wrong credentials: guesses, most of the time.',
          unit: 'reqps',
          queries: [query(rate('angarium_ingress_auth_failures_total'), 'wrong')],
        },
        {
          title: 'Cut off behind the balancer',
          description: 'Connections at proxyListen that brought no PROXY header that is to be believed.',
          unit: 'reqps',
          queries: [query(rate('angarium_ingress_proxy_refused_total', 'reason'), '{{reason}}')],
        },
      ],
    },
    {
      title: 'Messages',
      panels: [
        {
          title: 'Accepted',
          description: 'Messages answered with 250, by listener.',
          unit: 'reqps',
          queries: [query(rate('angarium_ingress_messages_total', 'listener'), '{{listener}}')],
        },
        {
          title: 'Recipients',
          description: 'Of accepted messages.',
          unit: 'reqps',
          queries: [query(rate('angarium_ingress_recipients_total', 'listener'), '{{listener}}')],
        },
        {
          title: 'Octets',
          description: 'Of accepted messages.',
          unit: 'Bps',
          queries: [query(rate('angarium_ingress_octets_total', 'listener'), '{{listener}}')],
        },
        {
          title: 'From the final dot to the 250',
          description: 'The time in which a message becomes durable.',
          unit: 's',
          queries: latency('angarium_ingress_accept_seconds'),
        },
        {
          title: 'Refused',
          description: 'By class of reason.',
          unit: 'reqps',
          queries: [query(rate('angarium_ingress_refusals_total', 'reason'), '{{reason}}')],
        },
        {
          title: 'In doubt',
          description: 'Refused with 4yz, and possibly in the log all the same: the client sends it again.',
          unit: 'reqps',
          queries: [query(rate('angarium_ingress_in_doubt_messages_total'), 'in doubt')],
        },
        {
          title: 'Not yet durable',
          description: 'Octets of messages that were received and not answered; at the limit nothing more is read.',
          unit: 'bytes',
          queries: [query(max('angarium_ingress_unacknowledged_octets', 'instance'), '{{instance}}')],
        },
      ],
    },
  ],
};
