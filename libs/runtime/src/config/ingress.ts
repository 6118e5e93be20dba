import { isIP } from 'node:net';
import { z } from 'zod';
import { address, atLeastOne, count, durationMs, octets } from './units.ts';

const listener = (listen: string) =>
  z
    .strictObject({
      listen: z.array(address).describe('Addresses to listen at; none: the listener is off.'),
      proxyListen: z
        .array(address)
        .default([])
        .describe('The same behind a balancer: every connection begins with a PROXY header (version 1 or 2) of one of proxyNetworks.'),
    })
    .prefault({ listen: [listen] });

function isCidr(text: string): boolean {
  const [network = '', prefix = ''] = text.split('/', 2);
  const bits = { 4: 32, 6: 128 }[isIP(network)];
  return bits !== undefined && /^\d{1,3}$/.test(prefix) && Number(prefix) <= bits && text === `${network}/${prefix}`;
}
const cidr = z.string().refine(isCidr, 'wants a network such as 10.0.0.0/8 or fd00::/8');

export const ingressSchema = z.strictObject({
  mx: listener('127.0.0.1:2525').describe('Mail from other hosts (port 25).'),
  submission: listener('127.0.0.1:2587').describe('Mail from account holders, STARTTLS (port 587).'),
  submissions: listener('127.0.0.1:2465').describe('Mail from account holders, TLS from the first octet (port 465).'),
  relayNetworks: z.array(cidr).default([]).describe('Networks (CIDR) that may relay at the MX listener without AUTH.'),
  proxyNetworks: z
    .array(cidr)
    .default([])
    .describe('Networks (CIDR) of balancers: whose PROXY header is believed. Others at proxyListen are cut off.'),
  proxyHeaderTimeoutMs: durationMs.default(5000).describe('Longest wait for a PROXY header.'),
  maxMessageOctets: octets.default(50 * 1024 ** 2).describe('Largest message; announced as SIZE. A larger one gets 552 5.3.4.'),
  maxRecipients: atLeastOne
    .default(1000)
    .describe('Recipients per transaction; one more gets 452 4.5.3. At least 100 (RFC 5321 §4.5.3.1.8).'),
  maxRecipientOctets: octets
    .default(32 * 1024 ** 2)
    .describe(
      'Octets of recipients of running transactions over all sessions; one beyond gets 452 4.3.1, unless its session has less than maxRecipientOctets / maxConnections.',
    ),
  inlineMaxOctets: octets.default(32 * 1024).describe('A larger message is written to the blob store and named in the record.'),
  maxReceivedFields: atLeastOne.default(100).describe('More Received fields than this is a mail loop: 554 5.4.6 (RFC 5321 §6.3).'),
  maxConnections: atLeastOne.default(1000).describe('Connections at once over all listeners; one more gets 421 4.3.2.'),
  maxConnectionsPerClient: atLeastOne.default(50).describe('Connections at once from one client address (IPv6: one /64).'),
  maxErrors: atLeastOne.default(20).describe('Refused commands per session before 421 4.7.0.'),
  maxAuthFailures: atLeastOne.default(3).describe('Wrong passwords per session before 421 4.7.0.'),
  authFailuresPerClient: atLeastOne
    .default(30)
    .describe('Wrong passwords per client address and authFailureWindowMs; then 454 4.7.0 without looking.'),
  authFailureWindowMs: durationMs.default(600_000).describe('Window of authFailuresPerClient.'),
  authFailureDelayMs: durationMs.default(1000).describe('Pause before a wrong password is answered.'),
  greetingTimeoutMs: durationMs.default(300_000).describe('Longest wait for the first command.'),
  commandTimeoutMs: durationMs.default(300_000).describe('Longest wait for a command (RFC 5321 §4.5.3.2.7).'),
  dataTimeoutMs: durationMs.default(180_000).describe('Longest wait for the next octets of a message.'),
  tlsHandshakeTimeoutMs: durationMs.default(30_000).describe('Longest TLS handshake.'),
  maxTransactionMs: durationMs.default(1_800_000).describe('Longest time from DATA to its final dot.'),
  maxSessionMs: durationMs.default(3_600_000).describe('Longest session; the next command after it gets 421 4.4.2.'),
  messagesPerHour: count.default(500).describe('Messages per account and hour; more get 451 4.7.1. 0: no limit.'),
  recipientsPerHour: count.default(2000).describe('Recipients per account and hour; more get 451 4.7.1. 0: no limit.'),
  maxUnacknowledgedOctets: octets
    .default(128 * 1024 ** 2)
    .describe(
      'Octets of messages not yet durable; above it no message is read on and new connections get 421 4.3.2. At least maxMessageOctets counts.',
    ),
  sweepMs: durationMs
    .default(1000)
    .describe('How often sessions are looked at for deadlines that have passed, and the event loop for pauses.'),
  maxEventLoopLagMs: durationMs
    .default(500)
    .describe('A longer pause of the event loop is overload: new connections get 421 4.3.2 until the next look (sweepMs).'),
  recipientCacheMs: durationMs
    .default(2000)
    .describe('How long an answer of the directory about a recipient is kept; a change is seen after it.'),
  stopTimeoutMs: durationMs.default(20_000).describe('How long a stop waits for running transactions.'),
});
