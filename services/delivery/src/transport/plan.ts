import { isIP } from 'node:net';
import { inOrder, type MxHost, planMx, type Resolver, resolveAddresses } from '@angarium/dns';
import { type NextHop, NextHopKind } from '@angarium/records';
import { type Directory, TransportTls, Unavailable } from '@angarium/rpc';
import type { Config } from '@angarium/runtime';
import { createProviderFinder } from '../providers.ts';
import { createLimitFinder } from '../quota/limits.ts';
import { ownReply } from './outcome.ts';
import type { Plan, Resolution } from './port.ts';
import type { Login, SessionOptions } from './smtp/session.ts';

/** Hosts of a next hop, and how to speak with them. */
export interface SmtpPlan extends Plan {
  /** Best first. */
  readonly hosts: readonly MxHost[];
  readonly port: number;
  readonly tls: SessionOptions['tls'];
  /** The certificate must be good for the host. */
  readonly verified: boolean;
  readonly login: Login | undefined;
}

export interface PlannerDeps {
  readonly config: Config;
  readonly resolver: Resolver;
  readonly directory: Pick<Directory, 'transport'>;
  readonly nowMs: () => number;
  readonly random: () => number;
}

const MX_TLS: Readonly<Record<Config['delivery']['tls'], SessionOptions['tls']>> = {
  opportunistic: 'opportunistic',
  required: 'required',
  never: 'clear',
};

const SMARTHOST_TLS: Readonly<Record<number, { readonly tls: SessionOptions['tls']; readonly verified: boolean; readonly port: number }>> =
  {
    [TransportTls.UNSPECIFIED]: { tls: 'opportunistic', verified: false, port: 587 },
    [TransportTls.OPPORTUNISTIC]: { tls: 'opportunistic', verified: false, port: 587 },
    [TransportTls.REQUIRED]: { tls: 'required', verified: true, port: 587 },
    [TransportTls.IMPLICIT]: { tls: 'implicit', verified: true, port: 465 },
    [TransportTls.NEVER]: { tls: 'clear', verified: false, port: 25 },
  };

const ownFault = (enhanced: string, text: string): Resolution<never> => ({
  is: 'deferred',
  reply: ownReply(enhanced, text),
  ownFault: true,
});

interface Planning extends PlannerDeps {
  /** How the attempts at these hosts are counted and limited. */
  readonly about: (hosts: readonly string[]) => Required<Pick<Plan, 'provider' | 'limits'>>;
}

async function planDomain(domain: string, deps: Planning): Promise<Resolution<SmtpPlan> & { readonly untilMs: number }> {
  const { hostname, delivery } = deps.config;
  const found = await planMx(deps.resolver, domain, {
    random: deps.random,
    ownNames: [hostname.toLowerCase()],
    reservedAddresses: delivery.reservedAddresses,
    maxHosts: delivery.mxHosts,
    maxAddresses: delivery.mxAddresses,
  });
  if (found.is === 'deferred') return { is: 'deferred', reply: ownReply(found.enhanced, found.text), ownFault: found.ownFault, untilMs: 0 };
  const untilMs = deps.nowMs() + found.ttlMs;
  if (found.is === 'bounced') {
    const { code, enhanced, text } = found;
    return { is: 'bounced', reply: { code, enhanced, text, remoteHost: '' }, untilMs };
  }
  const plan: SmtpPlan = {
    site: found.site,
    title: found.hosts[0]?.name ?? domain,
    ...deps.about(found.hosts.map(({ name }) => name)),
    validUntilMs: untilMs,
    hosts: found.hosts,
    port: delivery.smtpPort,
    tls: MX_TLS[delivery.tls],
    verified: false,
    login: undefined,
  };
  return { is: 'plan', plan, untilMs };
}

async function planSmarthost(name: string, deps: Planning): Promise<Resolution<SmtpPlan>> {
  const transport = await deps.directory.transport({ name });
  if (!transport.found) return ownFault('4.3.5', `no transport is named ${name}`);
  const { host, login, password } = transport;
  const mode = SMARTHOST_TLS[transport.tls];
  if (!mode) return ownFault('4.3.5', `transport ${name} has a TLS mode that is not known here`);
  const bare = host.replace(/^\[(?:IPv6:)?(.*)\]$/i, '$1');
  const addresses = await smarthostAddresses(bare, deps);
  if (typeof addresses === 'string') return ownFault('4.4.3', `transport ${name}, host ${host}: ${addresses}`);
  const port = transport.port || mode.port;
  const plan: SmtpPlan = {
    site: `${name} ${bare}:${port} ${login}`,
    title: `${bare}:${port}`,
    ...deps.about([bare]),
    validUntilMs: deps.nowMs() + deps.config.delivery.transportValidMs,
    hosts: [{ name: bare, preference: 0, addresses }],
    port,
    tls: mode.tls,
    verified: mode.verified,
    login: login === '' ? undefined : { user: login, pass: password },
  };
  return { is: 'plan', plan };
}

async function smarthostAddresses(host: string, deps: PlannerDeps): Promise<readonly string[] | string> {
  if (isIP(host) !== 0) return [host];
  const found = await resolveAddresses(deps.resolver, host, { random: deps.random, reservedAddresses: 'allow' });
  if (found.is === 'failed') return found.reason;
  return found.is === 'none' ? 'has no address' : found.addresses.slice(0, deps.config.delivery.mxAddresses);
}

/** Entries of the cache of plans. */
const MAX_PLANS = 20_000;

/** Plans next hops; what was found is kept while it holds, and equal questions at once are asked once. */
export function createPlanner(given: PlannerDeps): (hop: NextHop) => Promise<Resolution<SmtpPlan>> {
  const limitsOf = createLimitFinder(given.config.delivery.limits);
  const providerOf = createProviderFinder();
  const about: Planning['about'] = (hosts) => {
    const limits = limitsOf(hosts);
    return { limits, provider: providerOf(hosts, limits) };
  };
  const deps: Planning = { ...given, about };
  const known = new Map<string, { readonly resolution: Resolution<SmtpPlan>; readonly untilMs: number }>();
  const asking = new Map<string, Promise<Resolution<SmtpPlan>>>();

  const keep = (key: string, resolution: Resolution<SmtpPlan>, untilMs: number) => {
    known.delete(key);
    known.set(key, { resolution, untilMs });
    const oldest = known.size > MAX_PLANS ? known.keys().next().value : undefined;
    if (oldest !== undefined) known.delete(oldest);
  };

  const ask = async (key: string, hop: NextHop): Promise<Resolution<SmtpPlan>> => {
    try {
      if (hop.kind === NextHopKind.SMARTHOST) {
        const resolution = await planSmarthost(hop.name, deps);
        if (resolution.is === 'plan') keep(key, resolution, resolution.plan.validUntilMs);
        return resolution;
      }
      const { untilMs, ...resolution } = await planDomain(hop.name, deps);
      if (untilMs > 0) keep(key, resolution, untilMs);
      return resolution;
    } catch (error) {
      if (error instanceof Unavailable) return ownFault('4.3.0', `the directory cannot be asked: ${error.message}`);
      throw error;
    } finally {
      asking.delete(key);
    }
  };

  return (hop) => {
    const key = `${hop.kind} ${hop.name}`;
    const found = known.get(key);
    if (found && found.untilMs > deps.nowMs()) return Promise.resolve(found.resolution);
    const pending = asking.get(key) ?? ask(key, hop);
    asking.set(key, pending);
    return pending;
  };
}

/** Hosts in the order of this attempt: equal ones at random, but of the best ones one with a kept connection first. */
export function orderHosts(hosts: readonly MxHost[], random: () => number, isKept: (host: MxHost) => boolean): readonly MxHost[] {
  const ordered = inOrder(hosts, random);
  const best = ordered[0]?.preference;
  const kept = ordered.findIndex((host) => host.preference === best && isKept(host));
  return kept > 0 ? [...ordered.slice(kept, kept + 1), ...ordered.slice(0, kept), ...ordered.slice(kept + 1)] : ordered;
}
