import { type Dashboard, latency, max, query, rate, sum } from './panel.ts';

const OVERVIEW: Dashboard = {
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

const INGRESS: Dashboard = {
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

const QUEUE: Dashboard = {
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

const DELIVERY: Dashboard = {
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

const MAILBOX: Dashboard = {
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

const STORES: Dashboard = {
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

const MESSAGE: Dashboard = {
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

export const DASHBOARDS: readonly Dashboard[] = [OVERVIEW, INGRESS, QUEUE, DELIVERY, MAILBOX, STORES, MESSAGE];
