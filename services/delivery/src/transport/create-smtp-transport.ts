import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { createResolver, type Resolver, systemHosts } from '@angarium/dns';
import { NextHopKind } from '@angarium/records';
import type { Directory } from '@angarium/rpc';
import { type Clock, type Config, type Logger, type Metrics, type MetricTable, registerGauges, registerMeters } from '@angarium/runtime';
import { type AttemptDeps, runAttempt } from './attempt.ts';
import { Connections } from './connections.ts';
import { createPlanner, type SmtpPlan } from './plan.ts';
import type { Transport } from './port.ts';
import type { SessionTimeouts, SmtpSession } from './smtp/session.ts';

export interface SmtpTransportDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly directory: Pick<Directory, 'transport'>;
  /** Without it, one that is built from the configuration. */
  readonly resolver?: Resolver;
}

const CLOSE_GRACE_MS = 1000;
const LONGEST_SWEEP_MS = 1000;

function timeoutsOf({ delivery }: Config): SessionTimeouts {
  return {
    greetingMs: delivery.greetingTimeoutMs,
    tlsMs: delivery.tlsHandshakeTimeoutMs,
    commandMs: delivery.commandTimeoutMs,
    dataMs: delivery.dataReplyTimeoutMs,
    blockMs: delivery.dataTimeoutMs,
    finalMs: delivery.finalReplyTimeoutMs,
  };
}

const DNS_METERS = {
  seconds: {
    kind: 'histogram',
    name: 'angarium_dns_query_seconds',
    help: 'Time of a question to the name servers, its repeats included, by the answer; what the cache answers is not in it.',
    labels: { outcome: ['found', 'nodata', 'nxdomain', 'failed'] },
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  },
} as const satisfies MetricTable;

function resolverOf({ config: { delivery }, clock, metrics }: SmtpTransportDeps): Resolver {
  const { seconds } = registerMeters(metrics, DNS_METERS);
  return createResolver({
    servers: delivery.dnsServers,
    timeoutMs: delivery.dnsTimeoutMs,
    rounds: delivery.dnsRounds,
    cacheEntries: delivery.dnsCacheEntries,
    minTtlMs: delivery.dnsMinTtlMs,
    maxTtlMs: delivery.dnsMaxTtlMs,
    maxNegativeTtlMs: delivery.dnsMaxNegativeTtlMs,
    failureTtlMs: delivery.dnsFailureTtlMs,
    maxInFlight: delivery.dnsMaxInFlight,
    mixCase: delivery.dnsMixCase,
    hosts: systemHosts(),
    observe: (outcome, took) => seconds.observe(took, { outcome }),
    clock,
  });
}

function secureContextsOf({ delivery }: Config): AttemptDeps['secureContexts'] {
  const minVersion = 'TLSv1.2';
  const ca = delivery.tlsAuthorityFile === '' ? {} : { ca: readFileSync(delivery.tlsAuthorityFile) };
  return { unverified: createSecureContext({ minVersion }), verified: createSecureContext({ minVersion, ...ca }) };
}

const TLS_VERSIONS = ['none', 'TLSv1.2', 'TLSv1.3', 'other'] as const;

const METERS = {
  opened: {
    kind: 'counter',
    name: 'angarium_delivery_connections_opened_total',
    help: 'Connections to other hosts that were made, by what came of them.',
    labels: { result: ['clear', 'tls', 'failed'] },
  },
  reused: {
    kind: 'counter',
    name: 'angarium_delivery_connections_reused_total',
    help: 'Kept connections that were taken for one more message.',
  },
  tls: {
    kind: 'counter',
    name: 'angarium_delivery_tls_connections_total',
    help: 'Connections to other hosts that are ready for mail, by the version of TLS; none: in clear.',
    labels: { version: TLS_VERSIONS },
  },
} as const satisfies MetricTable;

const GAUGES = {
  open: { kind: 'gauge', name: 'angarium_delivery_connections_open', help: 'Connections to other hosts, kept ones included.' },
} as const satisfies MetricTable;

export const TRANSPORT_METRICS: readonly MetricTable[] = [METERS, GAUGES, DNS_METERS];

const versionOf = ({ tlsVersion }: SmtpSession): (typeof TLS_VERSIONS)[number] =>
  tlsVersion === undefined ? 'none' : (TLS_VERSIONS.find((known) => known === tlsVersion) ?? 'other');

function observe({ logger, metrics }: SmtpTransportDeps, open: () => number): Pick<AttemptDeps, 'onSession' | 'onReuse'> {
  registerGauges(metrics, GAUGES, { open });
  const meters = registerMeters(metrics, METERS);
  return {
    onReuse: () => meters.reused.inc(),
    onSession(session, failure) {
      meters.opened.inc({ result: failure ? 'failed' : session.secure ? 'tls' : 'clear' });
      if (failure) logger.debug({ host: session.host, kind: failure.kind, reason: failure.text }, 'delivery.connection.failed');
      else meters.tls.inc({ version: versionOf(session) });
    },
  };
}

/**
 * Carries mail to MX hosts and smarthosts by SMTP. Connections are kept and used again per site and host. Nothing that a host,
 * a name server or the network does makes an attempt reject.
 *
 * @throws when `delivery.tlsAuthorityFile` cannot be read
 */
export function createSmtpTransport(deps: SmtpTransportDeps): Transport<SmtpPlan> {
  const { config, clock, random, directory } = deps;
  const { delivery } = config;
  const timeouts = timeoutsOf(config);
  const shortestMs = Math.min(...Object.values(timeouts), delivery.connectionIdleMs || LONGEST_SWEEP_MS);
  const connections = new Connections({
    clock,
    idleMs: delivery.connectionIdleMs,
    sweepMs: Math.max(10, Math.min(LONGEST_SWEEP_MS, shortestMs / 4)),
    maxOpen: delivery.maxConnections,
    messagesPerConnection: delivery.messagesPerConnection,
  });
  const resolver = deps.resolver ?? resolverOf(deps);
  const attemptDeps: AttemptDeps = {
    config,
    clock,
    random,
    connections,
    timeouts,
    secureContexts: secureContextsOf(config),
    ...observe(deps, () => connections.open),
  };
  return {
    carries: (hop) => hop.kind === NextHopKind.MX || hop.kind === NextHopKind.SMARTHOST,
    resolve: createPlanner({ config, resolver, directory, random, nowMs: () => clock.nowMs() }),
    attempt: (job) => runAttempt(job, attemptDeps),
    close: () => connections.close(CLOSE_GRACE_MS),
  };
}
