import { type Dashboard, max, query, rate, sum } from './panel.ts';

export const QUEUE: Dashboard = {
  uid: 'angarium-queue',
  title: 'Angarium / Queue and destinations',
  description: 'What waits, how old it is, and how the large providers answer. For one message: angarium queue why <queue id>.',
  variables: [{ name: 'provider', label: 'Provider', of: 'label_values(angarium_delivery_provider_attempts_total, provider)' }],
  rows: [
    {
      title: 'The queue',
      panels: [
        {
          title: 'By state',
          description: 'In flight, due, waiting for its time, suspended.',
          unit: 'short',
          queries: [query(sum('angarium_delivery_queued_recipients', 'state'), '{{state}}')],
        },
        {
          title: 'By age',
          description: 'Recipients by the time since they came, each counted once.',
          unit: 'short',
          queries: [query(sum('angarium_delivery_queued_age_recipients', 'age'), '{{age}}')],
        },
        {
          title: 'Oldest due',
          description: 'How long mail has been due, with and without what limits and dead hosts hold back.',
          unit: 's',
          queries: [
            query(max('angarium_delivery_oldest_due_seconds'), 'all'),
            query(max('angarium_delivery_useful_oldest_seconds'), 'nothing holds it back'),
          ],
        },
        {
          title: 'Astray',
          description: 'Recipients that their worker would never try. It is 0, or that worker has a defect and must be restarted.',
          unit: 'short',
          queries: [query(max('angarium_delivery_recipients_astray'), 'recipients')],
        },
        {
          title: 'Dead and throttled sites',
          description: 'Destinations that cannot be reached, or asked to come more slowly.',
          unit: 'short',
          queries: [query(sum('angarium_delivery_sites_dead'), 'dead'), query(sum('angarium_delivery_sites_throttled'), 'throttled')],
        },
        {
          title: 'Replies',
          description: 'Attempts at other hosts by the class of the last reply; none: no host could be spoken to.',
          unit: 'reqps',
          queries: [query(rate('angarium_delivery_replies_total', 'class'), '{{class}}')],
        },
        {
          title: 'Notifications',
          description: 'Delivery status notifications handed over.',
          unit: 'reqps',
          queries: [query(rate('angarium_delivery_notifications_total'), 'notifications')],
        },
      ],
    },
    {
      title: 'Providers',
      panels: [
        {
          title: 'Recipients by provider',
          description: 'Of attempts; the provider is known by the names of its MX hosts.',
          unit: 'reqps',
          width: 12,
          queries: [query(rate('angarium_delivery_provider_attempts_total', 'provider', 'provider=~"$provider"'), '{{provider}}')],
        },
        {
          title: 'Bounced share',
          description: 'Of the recipients of attempts. A jump at one provider: it blocks us, or a list is old.',
          unit: 'percentunit',
          width: 12,
          queries: [
            query(
              `${rate('angarium_delivery_provider_attempts_total', 'provider', 'result="bounced",provider=~"$provider"')} / ${rate('angarium_delivery_provider_attempts_total', 'provider', 'provider=~"$provider"')}`,
              '{{provider}}',
            ),
          ],
        },
        {
          title: 'Deferred share',
          description: 'Of the recipients of attempts. A rise: greylisting, throttling, full mailboxes.',
          unit: 'percentunit',
          width: 12,
          queries: [
            query(
              `${rate('angarium_delivery_provider_attempts_total', 'provider', 'result="deferred",provider=~"$provider"')} / ${rate('angarium_delivery_provider_attempts_total', 'provider', 'provider=~"$provider"')}`,
              '{{provider}}',
            ),
          ],
        },
        {
          title: 'By result',
          description: 'Recipients of attempts at the chosen providers; doubt: lost after the final dot.',
          unit: 'reqps',
          width: 12,
          queries: [query(rate('angarium_delivery_provider_attempts_total', 'result', 'provider=~"$provider"'), '{{result}}')],
        },
      ],
    },
  ],
};
