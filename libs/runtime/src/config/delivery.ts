import { z } from 'zod';
import { limitsSchema } from './limits.ts';
import { address, atLeastOne, durationMs, octets } from './units.ts';

const minutes = (...values: number[]) => values.map((value) => value * 60_000);

export const deliverySchema = z.strictObject({
  retryMs: z
    .array(durationMs)
    .min(1)
    .default(minutes(5, 10, 20, 40, 80, 160, 240))
    .describe('Pauses between attempts; the last one repeats.'),
  retryJitter: z.number().min(0).max(0.5).default(0.1).describe('Each pause is made longer or shorter by up to this share.'),
  lifetimeMs: durationMs.default(5 * 86_400_000).describe('Queue lifetime; after it a failed attempt bounces (RFC 5321 §4.5.4.1).'),
  bounceLifetimeMs: durationMs.default(86_400_000).describe('Queue lifetime of mail with the null reverse-path.'),
  warnAfterMs: durationMs
    .default(4 * 3_600_000)
    .describe('Age at which a delay notification goes out; 0: only when asked for by NOTIFY=DELAY.'),
  maxConnections: atLeastOne.default(500).describe('Connections to other hosts at once.'),
  siteConnections: atLeastOne.default(20).describe('Connections to one site at once: the ceiling of the adaptive concurrency.'),
  siteInitialConnections: atLeastOne.default(5).describe('Connections to a site that is not known yet.'),
  rpcListen: z
    .string()
    .default('')
    .describe('Where a worker on its own also serves other workers and queue tools (gRPC); empty: at the control interface only.'),
  rpcAddress: z
    .string()
    .default('')
    .describe('Where other workers reach rpcListen, such as the address of this pod; empty: rpcListen itself.'),
  limits: limitsSchema,
  limitGrantMs: durationMs
    .refine((ms) => ms >= 4000, 'wants at least 4s')
    .default(20_000)
    .describe(
      'How long a worker’s part of a limit is its own unless it is renewed: after a worker was killed, its part is lost for so long. The same for all workers.',
    ),
  mailboxConcurrency: atLeastOne.default(64).describe('Deliveries to the mailbox service at once.'),
  maxRecipientsPerMailboxDelivery: atLeastOne.default(1000).describe('Recipients of one delivery to the mailbox service.'),
  mailboxProbeMs: z
    .array(durationMs)
    .min(1)
    .default([1000, 2000, 5000, 10_000])
    .describe('Pauses between tries while the mailbox service does not answer; the last one repeats.'),
  maxRecipientsPerTransaction: atLeastOne.default(100).describe('Recipients in one transaction (RFC 5321 §4.5.3.1.8).'),
  messagesPerConnection: atLeastOne.default(100).describe('Messages sent over a kept connection before it is closed.'),
  connectionIdleMs: durationMs.default(5000).describe('How long an unused connection is kept.'),
  connectTimeoutMs: durationMs.default(30_000).describe('Longest wait for a TCP connection to one address.'),
  greetingTimeoutMs: durationMs.default(300_000).describe('Longest wait for the greeting (RFC 5321 §4.5.3.2.1).'),
  commandTimeoutMs: durationMs.default(300_000).describe('Longest wait for a reply to EHLO, MAIL, RCPT (RFC 5321 §4.5.3.2.2).'),
  dataTimeoutMs: durationMs.default(180_000).describe('Longest time without progress while the message is written (RFC 5321 §4.5.3.2.5).'),
  finalReplyTimeoutMs: durationMs.default(600_000).describe('Longest wait for the reply to the final dot (RFC 5321 §4.5.3.2.6).'),
  dataReplyTimeoutMs: durationMs.default(120_000).describe('Longest wait for the reply to DATA (RFC 5321 §4.5.3.2.4).'),
  connectStaggerMs: durationMs
    .default(250)
    .describe('Start of one address of a host before the next one is tried beside it (RFC 8305 §5).'),
  sessionsPerAttempt: atLeastOne.default(6).describe('Connections that one attempt may open, over all hosts and addresses.'),
  tlsHandshakeTimeoutMs: durationMs.default(30_000).describe('Longest TLS handshake with another host.'),
  tls: z.enum(['opportunistic', 'required', 'never']).default('opportunistic').describe('STARTTLS with MX hosts.'),
  tlsAuthorityFile: z
    .string()
    .default('')
    .describe('Authorities that certificates of smarthosts are verified against, PEM; empty: those of the runtime.'),
  smtpPort: z.int().min(1).max(65_535).default(25).describe('Port of MX hosts.'),
  dnsServers: z.array(address).default([]).describe('Resolvers to ask; empty: those of the system.'),
  dnsTimeoutMs: durationMs.default(5000).describe('Longest wait for one answer of a resolver.'),
  dnsRounds: atLeastOne.default(2).describe('How often all resolvers are asked before a question has failed.'),
  dnsCacheEntries: atLeastOne.default(20_000).describe('Answers of resolvers that are kept.'),
  dnsMinTtlMs: durationMs.default(5000).describe('Shortest life of a kept answer.'),
  dnsMaxTtlMs: durationMs.default(86_400_000).describe('Longest life of a kept answer.'),
  dnsMaxNegativeTtlMs: durationMs.default(3_600_000).describe('Longest life of a kept answer that there is no such name or record.'),
  dnsFailureTtlMs: durationMs.default(5000).describe('How long a question that failed is not asked again.'),
  dnsMaxInFlight: atLeastOne.default(256).describe('Questions to resolvers at once.'),
  dnsMixCase: z
    .boolean()
    .default(false)
    .describe('Random upper and lower case in questions, against forged answers; a few resolvers cannot take it.'),
  mxHosts: atLeastOne.default(10).describe('Hosts of one domain that are looked at, best first.'),
  mxAddresses: atLeastOne.default(20).describe('Addresses kept over all hosts of one domain.'),
  transportValidMs: durationMs.default(1000).describe('How long a smarthost read from the directory is used before it is read again.'),
  deadSiteProbeMs: z
    .array(durationMs)
    .min(1)
    .default(minutes(1, 2, 5, 10, 20, 40))
    .describe('Pauses between probes of a dead site; the last one repeats.'),
  throttledSitePauseMs: z
    .array(durationMs)
    .min(1)
    .default([10_000, 30_000, 60_000, 120_000, 300_000])
    .describe('Pauses of a site that asks to come more slowly than one connection at a time; the last one repeats.'),
  ownFaultRetryMs: z
    .array(durationMs)
    .min(1)
    .default([5000, 15_000, 60_000, 300_000])
    .describe('Pauses after trouble of our own (resolver, blob store), which spends no attempt; the last one repeats.'),
  resolveConcurrency: atLeastOne.default(256).describe('Next hops looked up at once.'),
  maxIdleSites: atLeastOne.default(10_000).describe('Sites without waiting mail whose state is remembered.'),
  bodyCacheOctets: octets.default(32 * 1024 ** 2).describe('Contents of fresh mail that are kept at hand.'),
  notifyConcurrency: atLeastOne.default(16).describe('Delivery status notifications written at once.'),
  notifyInlineOctets: octets.default(32 * 1024).describe('A longer notification goes to the blob store.'),
  notifyFullOctets: octets.default(1024 ** 2).describe('A longer message is returned in a notification as its header section only.'),
  maxUnacknowledgedOutcomes: atLeastOne
    .default(500)
    .describe('Outcomes not yet durable; above it nothing starts: the bound of duplicates.'),
  maxUnacknowledgedMs: durationMs.default(5000).describe('Age of the oldest outcome not yet durable above which nothing starts.'),
  appendMaxRetryMs: durationMs.default(2000).describe('Longest pause before a failed append to the log is tried again.'),
  moveAfterRecords: atLeastOne
    .default(100_000)
    .describe('Distance in records from low mark to tail at which old messages are rewritten at the tail.'),
  moveAfterOctets: octets.default(200 * 1024 ** 2).describe('The same distance in octets.'),
  moveAfterHeldOctets: octets
    .default(1024 ** 3)
    .describe('Octets of the shared log file behind a lane at which its old messages are rewritten.'),
  historyMs: durationMs.default(86_400_000).describe('How long finished records stay in the log for the queue tools.'),
  historyMaxOctets: octets
    .default(1024 ** 3)
    .describe('Octets of the shared log file behind a partition above which its history is given back.'),
  housekeepingMs: durationMs.default(10_000).describe('How often lanes are trimmed, old messages rewritten and the count saved.'),
  sweepEveryMs: durationMs.default(3_600_000).describe('How often the blob store is searched for contents that nobody needs.'),
  sharedBlobMs: durationMs.default(86_400_000).describe('Age at which a content shared by several lanes may be deleted.'),
  drainMs: durationMs.default(20_000).describe('Longest wait for transactions on the wire when stopping.'),
  inDoubtAfterMs: durationMs
    .default(2000)
    .describe(
      'When stopping, what was sent and is not answered for so long is recorded as in doubt; its answer is waited for all the same.',
    ),
  inDoubtHoldMs: durationMs
    .default(30_000)
    .describe('How long what was in doubt at a stop that was cut short is left alone, counted from when that stop would have ended.'),
  graceMs: durationMs
    .default(120_000)
    .describe('In a cluster, how long replies to what was sent are still waited for when a lane has gone to another worker.'),
  recipientBudget: atLeastOne
    .default(2_000_000)
    .describe('In a cluster, waiting recipients above which a worker takes no more lanes; lanes that nobody takes ring.'),
  reservedAddresses: z
    .enum(['refuse', 'allow'])
    .default('allow')
    .describe('Whether MX hosts at loopback or private addresses are delivered to.'),
});
