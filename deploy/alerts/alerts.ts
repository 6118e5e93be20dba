/** Holds while each of its conditions does. A condition is a value that is there at all times, and what it is compared with. */
export interface Alert {
  readonly name: string;
  readonly conditions: readonly (readonly [value: string, compare: '>' | '<', limit: number])[];
  /** How long, before it rings. */
  readonly for: string;
  readonly severity: 'page' | 'ticket';
  readonly summary: string;
  /** Runbook: what it means, how to look, what to do. */
  readonly means: string;
  readonly look: readonly string[];
  readonly act: readonly string[];
  /** Series that make it ring after an hour or more, and others that leave it silent, as promtool writes them. */
  readonly rings: Readonly<Record<string, string>>;
  readonly silent: Readonly<Record<string, string>>;
  /** Labels that it has when it rings in that test. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Left out: 7h. */
  readonly at?: string;
}

/** Clusters that one Prometheus watches ring each for itself; where nothing says which is which, they are one. */
const CLUSTER = 'namespace';
const by = (how: 'sum' | 'min' | 'max', value: string, ...labels: readonly string[]): string =>
  `${how} by (${[CLUSTER, ...labels].join(', ')}) (${value})`;

const OURS = 'reason=~"directory|log|full|overload"';
/** Share of messages that clients could not hand over for a reason of ours. */
const refusedShare = (window: string) => {
  const refused = by('sum', `rate(angarium_ingress_refusals_total{${OURS}}[${window}])`);
  return `${refused} / (${refused} + ${by('sum', `rate(angarium_ingress_messages_total[${window}])`)})`;
};
/** Share of first attempts that came later than 30 s. */
const lateShare = (window: string) => {
  const all = by('sum', `rate(angarium_delivery_first_attempt_seconds_count[${window}])`);
  return `1 - ${by('sum', `rate(angarium_delivery_first_attempt_seconds_bucket{le="30"}[${window}])`)} / ${all}`;
};
const [ACCEPT_BUDGET, ATTEMPT_BUDGET] = [0.001, 0.01];
const bounced = (window: string) =>
  `${by('sum', `rate(angarium_delivery_provider_attempts_total{result="bounced"}[${window}])`, 'provider')} / ${by('sum', `rate(angarium_delivery_provider_attempts_total[${window}])`, 'provider')}`;

const steady = (perMinute: number) => `0+${perMinute}x600`;
const accepting = 'angarium_ingress_messages_total{listener="mx",tls="yes"}';
const refusing = 'angarium_ingress_refusals_total{reason="log"}';
const firstAttempts = (late: number): Record<string, string> => ({
  'angarium_delivery_first_attempt_seconds_bucket{le="30"}': steady(100 - late),
  angarium_delivery_first_attempt_seconds_count: steady(100),
});
const WHY = '`angarium queue list` and `angarium queue why <queue id>`';

export const ALERTS: readonly Alert[] = [
  {
    name: 'AngariumAcceptanceBurnsFast',
    conditions: [
      [refusedShare('5m'), '>', 14.4 * ACCEPT_BUDGET],
      [refusedShare('1h'), '>', 14.4 * ACCEPT_BUDGET],
    ],
    for: '2m',
    severity: 'page',
    summary: 'Mail is refused for reasons of ours, and the month’s budget is gone in two days.',
    means:
      'The objective is that 99.9 % of messages are not refused for a reason of ours: no directory, no log, no room, overload. Clients get a 4yz and try again; nothing is lost.',
    look: [
      'Dashboard Ingress, panel Refused: which reason?',
      'Dashboard Kafka and stores: appends that failed, free share of disks, calls between services.',
      '`angarium topics check` tells whether the topics keep the promise.',
    ],
    act: [
      'log: bring the brokers back; two of three in-sync replicas are needed.',
      'directory: is routing running, and PostgreSQL?',
      'full: free the disk or the bucket.',
      'overload: more ingress pods.',
    ],
    rings: { [accepting]: steady(100), [refusing]: steady(5) },
    silent: { [accepting]: steady(10_000), [refusing]: steady(5) },
  },
  {
    name: 'AngariumAcceptanceBurnsSlowly',
    conditions: [
      [refusedShare('30m'), '>', 6 * ACCEPT_BUDGET],
      [refusedShare('6h'), '>', 6 * ACCEPT_BUDGET],
    ],
    for: '15m',
    severity: 'ticket',
    summary: 'Mail is refused for reasons of ours, and the month’s budget is gone in five days.',
    means: 'As AngariumAcceptanceBurnsFast, less and for longer.',
    look: ['Dashboard Ingress, panel Refused: which reason, and since when?'],
    act: ['As for AngariumAcceptanceBurnsFast; there is time until the next working day.'],
    rings: { [accepting]: steady(1000), [refusing]: steady(10) },
    silent: { [accepting]: steady(10_000), [refusing]: steady(10) },
  },
  {
    name: 'AngariumFirstAttemptBurnsFast',
    conditions: [
      [lateShare('5m'), '>', 14.4 * ATTEMPT_BUDGET],
      [lateShare('1h'), '>', 14.4 * ATTEMPT_BUDGET],
    ],
    for: '2m',
    severity: 'page',
    summary: 'Mail waits for its first attempt, and the month’s budget is gone in two days.',
    means: 'The objective is that 99 % of messages are tried within 30 s. Mail is safe in its lanes and is late.',
    look: [
      'Dashboard Delivery and lanes: are lanes without owner, replaying or halted? Are more workers wanted than there are?',
      'Dashboard Kafka and stores: is routing behind?',
      `${WHY} tell what single messages wait for.`,
    ],
    act: [
      'More delivery workers, up to the number of lanes.',
      'Trouble of our own (resolver, blob store, mailbox) is named in the panel of that name.',
    ],
    rings: firstAttempts(20),
    silent: firstAttempts(5),
  },
  {
    name: 'AngariumFirstAttemptBurnsSlowly',
    conditions: [
      [lateShare('30m'), '>', 6 * ATTEMPT_BUDGET],
      [lateShare('6h'), '>', 6 * ATTEMPT_BUDGET],
    ],
    for: '15m',
    severity: 'ticket',
    summary: 'Mail waits for its first attempt, and the month’s budget is gone in five days.',
    means: 'As AngariumFirstAttemptBurnsFast, less and for longer.',
    look: ['As for AngariumFirstAttemptBurnsFast.'],
    act: ['As for AngariumFirstAttemptBurnsFast; there is time until the next working day.'],
    rings: firstAttempts(10),
    silent: firstAttempts(1),
  },
  {
    name: 'AngariumMailStuck',
    conditions: [[by('max', 'angarium_delivery_useful_oldest_seconds'), '>', 900]],
    for: '5m',
    severity: 'page',
    summary: 'Mail that nothing holds back has been due for a quarter of an hour.',
    means: 'Its receiver answers, no limit and no suspension holds it, and it is not sent: workers stand still or are far too few.',
    look: [
      `${WHY}: what does the oldest one wait for?`,
      '`angarium lanes`: are lanes without owner, replaying, halted?',
      'Dashboard Delivery and lanes: attempts under way, trouble of our own.',
    ],
    act: [
      'More delivery workers, if all are busy.',
      'Restart a worker that is not; its lanes are with others in seconds, and nothing is lost.',
    ],
    rings: { angarium_delivery_useful_oldest_seconds: '0+60x600' },
    silent: { angarium_delivery_useful_oldest_seconds: '800x600' },
  },
  {
    name: 'AngariumMailAstray',
    conditions: [[by('max', 'angarium_delivery_recipients_astray'), '>', 0]],
    for: '1m',
    severity: 'page',
    summary: 'Mail is queued that its worker would never try.',
    means:
      'A worker has recipients in its lanes that wait at no site, are not under way and not set aside: a defect of ours. Nothing is lost, and nothing moves.',
    look: ['Log lines `delivery.recipients.astray`: which worker?', `${WHY}: entries without a gate are the ones.`],
    act: ['Restart that worker: whoever owns its lanes next builds the queue anew from the log.', 'Report it, with the log of the worker.'],
    rings: { angarium_delivery_recipients_astray: '1x600' },
    silent: { angarium_delivery_recipients_astray: '0x600' },
  },
  {
    name: 'AngariumCountDiffers',
    conditions: [[by('max', 'abs(angarium_accounting_difference_recipients)'), '>', 0]],
    for: '5m',
    severity: 'page',
    summary: 'The count of recipients does not close: mail may be missing.',
    means:
      'Accepted and expanded, less delivered, bounced, expired, discarded and queued, is not 0 for minutes. Either mail is missing, or the count is wrong.',
    look: [
      'Log lines `delivery.accounting.differed` have all its terms.',
      'Was a topic deleted, or a log restored from a backup? Then the count begins anew at a start.',
    ],
    act: [
      'Keep the logs: raise delivery.historyMs, so that records are not trimmed meanwhile.',
      'Report it with the terms; every message’s way is in the log.',
    ],
    rings: { angarium_accounting_difference_recipients: '3x600' },
    silent: { angarium_accounting_difference_recipients: '0x600' },
  },
  {
    name: 'AngariumLanesWithoutOwner',
    conditions: [[by('min', 'angarium_delivery_lanes_unowned'), '>', 0]],
    for: '1m',
    severity: 'page',
    summary: 'Lanes have had no owner for a minute: their mail is not delivered.',
    means:
      'Owners that die are replaced within 15 s. All workers agree that nobody took these lanes: all are full (delivery.recipientBudget), or none may own them.',
    look: ['`angarium lanes`: which, and what trouble do they tell?', 'Dashboard Delivery and lanes: held recipients against the budget.'],
    act: [
      'More delivery workers, or a larger delivery.recipientBudget with the memory for it.',
      'A lane whose record cannot be read: see AngariumLaneHalted.',
    ],
    rings: {
      'angarium_delivery_lanes_unowned{instance="a",namespace="one"}': '2x600',
      'angarium_delivery_lanes_unowned{instance="b",namespace="one"}': '2x600',
      'angarium_delivery_lanes_unowned{instance="a",namespace="other"}': '0x600',
    },
    labels: { namespace: 'one' },
    silent: { 'angarium_delivery_lanes_unowned{instance="a"}': '2x600', 'angarium_delivery_lanes_unowned{instance="b"}': '0x600' },
  },
  {
    name: 'AngariumLaneHalted',
    conditions: [[by('sum', 'angarium_delivery_lanes_halted'), '>', 0]],
    for: '1m',
    severity: 'page',
    summary: 'A lane stands still: a record of it cannot be read.',
    means:
      'A record is corrupt, of an unknown critical kind, or missing. The lane is left untrimmed, so nothing of it is lost, and its mail waits.',
    look: [
      '`angarium lanes` has the trouble in its last column, and the worker’s log the record.',
      'Were releases mixed, a newer one among them? Was a topic changed from outside?',
    ],
    act: ['A kind of a newer release: finish the upgrade.', 'Corrupt: restore the partition from a replica; only then skip the record.'],
    rings: { angarium_delivery_lanes_halted: '1x600' },
    silent: { angarium_delivery_lanes_halted: '0x600' },
  },
  {
    name: 'AngariumDeadLetters',
    conditions: [[by('sum', 'increase(angarium_routing_dead_total[30m])'), '>', 0]],
    for: '0m',
    severity: 'ticket',
    summary: 'Accepted messages could not be routed; each has a reference in mail.dead.',
    means: 'The record of a message cannot be understood. It counts as queued and stays in the log until somebody handles it.',
    look: ['Log lines `routing.record.dead` name topic, partition, offset and reason.'],
    act: ['unknown_kind: finish the upgrade, then route it again.', 'Anything else is a fault: report it with the line.'],
    rings: { 'angarium_routing_dead_total{reason="corrupt"}': '0x400 1x200' },
    silent: { 'angarium_routing_dead_total{reason="corrupt"}': '1x600' },
  },
  {
    name: 'AngariumRoutingHalted',
    conditions: [[by('max', 'angarium_routing_halted_partitions'), '>', 0]],
    for: '1m',
    severity: 'page',
    summary: 'A partition of accepted mail stands still: records are missing.',
    means: 'The position to go on from is not in the log any more. Nothing is skipped silently.',
    look: ['The log of routing names the partition and both positions.', '`angarium topics check`.'],
    act: [
      'Was the topic deleted and made anew? `angarium topics create` raises the incarnation; start all processes again.',
      'Was it truncated? Restore it before anything is reset.',
    ],
    rings: { angarium_routing_halted_partitions: '1x600' },
    silent: { angarium_routing_halted_partitions: '0x600' },
  },
  {
    name: 'AngariumAppendsFail',
    conditions: [[by('sum', 'rate(angarium_log_appends_failed_total{reason!="closed"}[5m])'), '>', 0]],
    for: '5m',
    severity: 'page',
    summary: 'Appends to the log fail: mail is answered with 4yz and outcomes wait.',
    means: 'The brokers do not make records durable, or the disk of an embedded log is full or broken.',
    look: ['Dashboard Kafka and stores: by reason.', '`angarium topics check`: replicas in sync.'],
    act: ['Bring brokers back until two replicas are in sync.', 'full: free the disk; below its reserve nothing is accepted.'],
    rings: { 'angarium_log_appends_failed_total{reason="failed"}': steady(1) },
    silent: {
      'angarium_log_appends_failed_total{reason="closed"}': steady(1),
      'angarium_log_appends_failed_total{reason="failed"}': '7x600',
    },
  },
  {
    name: 'AngariumOwnTrouble',
    conditions: [[by('sum', 'rate(angarium_delivery_own_faults_total[10m])', 'fault'), '>', 0.1]],
    for: '10m',
    severity: 'ticket',
    summary: 'Delivery is held up by a part of ours: resolver, blob store, mailbox or log.',
    means: 'Mail waits without spending attempts, and never bounces for it.',
    look: ['The label names the part; log lines `delivery.attempt.put_off` have the reason.'],
    act: [
      'resolve: name servers (delivery.dnsServers).',
      'blob: the bucket or the shared folder.',
      'transport: the mailbox service, where the site is mailbox.',
    ],
    rings: { 'angarium_delivery_own_faults_total{fault="blob"}': steady(60) },
    silent: { 'angarium_delivery_own_faults_total{fault="blob"}': steady(1) },
    labels: { fault: 'blob' },
  },
  {
    name: 'AngariumCertificateExpires',
    conditions: [[by('min', 'angarium_tls_certificate_expiry_seconds', 'listener'), '<', 14 * 86_400]],
    for: '1h',
    severity: 'ticket',
    summary: 'A certificate expires within two weeks.',
    means: 'It should have been renewed by now. A renewed one is served without a restart.',
    look: ['The label says where it is used. On Kubernetes: `kubectl get certificate`, and the events of it.'],
    act: ['Renew it and put it at its place; a broken pair is not taken, and the log says so.'],
    rings: { 'angarium_tls_certificate_expiry_seconds{listener="smtp"}': '864000x600' },
    silent: { 'angarium_tls_certificate_expiry_seconds{listener="smtp"}': '2592000x600' },
    labels: { listener: 'smtp' },
  },
  {
    name: 'AngariumDiskFills',
    conditions: [[by('min', 'angarium_disk_free_octets / angarium_disk_size_octets', 'instance', 'folder'), '<', 0.15]],
    for: '10m',
    severity: 'page',
    summary: 'A disk is nearly full: below a tenth new mail is refused.',
    means: 'Below 20 % history is given back, below 10 % (or 1 GiB) new mail gets 452, so that what is queued can still go out.',
    look: ['The labels name process and folder. `angarium queue summary`: is the queue large, or are the files of others?'],
    act: [
      'Make the volume larger, or free it from what is not Angarium’s.',
      'A large queue to a dead destination: `angarium queue list --domain`, and decide.',
    ],
    rings: {
      'angarium_disk_free_octets{instance="a",folder="data"}': '10x600',
      'angarium_disk_size_octets{instance="a",folder="data"}': '100x600',
    },
    silent: {
      'angarium_disk_free_octets{instance="a",folder="data"}': '30x600',
      'angarium_disk_size_octets{instance="a",folder="data"}': '100x600',
    },
    labels: { instance: 'a', folder: 'data' },
  },
  {
    name: 'AngariumBouncesJump',
    conditions: [
      [bounced('15m'), '>', 0.1],
      [`(${bounced('15m')}) / clamp_min(${bounced('1d')}, 0.01)`, '>', 2],
    ],
    for: '10m',
    severity: 'ticket',
    summary: 'A provider refuses far more of our mail than it did yesterday.',
    means: 'It may block us for our reputation, or somebody sends to a list of addresses that are gone.',
    look: [
      'Dashboard Queue and destinations, with that provider chosen.',
      'Log lines `delivery.recipient.bounced` have its replies, and who sent the mail.',
    ],
    act: [
      'A block: the reply names a page to ask for its removal.',
      'An old list: find the account and stop it; `angarium queue delete` what is left of it.',
    ],
    rings: {
      'angarium_delivery_provider_attempts_total{provider="google",result="bounced"}': '0x390 0+50x210',
      'angarium_delivery_provider_attempts_total{provider="google",result="delivered"}': steady(100),
    },
    silent: {
      'angarium_delivery_provider_attempts_total{provider="google",result="bounced"}': steady(50),
      'angarium_delivery_provider_attempts_total{provider="google",result="delivered"}': steady(100),
    },
    labels: { provider: 'google' },
  },
  {
    name: 'AngariumEventLoopLate',
    conditions: [[by('max', 'nodejs_eventloop_lag_p99_seconds', 'instance'), '>', 0.5]],
    for: '5m',
    severity: 'ticket',
    summary: 'A process does not get round: its event loop is half a second late.',
    means: 'It has more to do than a core does, or is starved of one. Ingress answers 421 to new connections meanwhile.',
    look: ['Dashboard Overview: CPU and memory of that process; a full heap collects garbage all the time.'],
    act: ['More pods of that service, or a larger request for CPU.'],
    rings: { 'nodejs_eventloop_lag_p99_seconds{instance="a"}': '0.8x600' },
    silent: { 'nodejs_eventloop_lag_p99_seconds{instance="a"}': '0.02x600' },
    labels: { instance: 'a' },
  },
];
