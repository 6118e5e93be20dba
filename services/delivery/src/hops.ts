import type { NextHop } from '@angarium/records';
import { ownReply } from './transport/outcome.ts';
import type { Plan, Resolution, Transport } from './transport/port.ts';

/** Where a next hop's mail goes, and who carries it there. */
export interface Route {
  readonly transport: Transport;
  readonly plan: Plan;
}

export type Routed = { readonly is: 'route'; readonly route: Route } | Exclude<Resolution, { readonly is: 'plan' }>;

export interface Hops {
  /** What is known and holds. */
  known(hopKey: string, nowMs: number): Route | undefined;
  /** Never rejects. */
  resolve(hopKey: string, hop: NextHop | undefined): Promise<Routed>;
}

const MAX_KNOWN = 20_000;

const ownFault = (enhanced: string, text: string): Routed => ({ is: 'deferred', reply: ownReply(enhanced, text), ownFault: true });

export interface HopsOptions {
  /** A transport rejected, which is a bug. */
  readonly onFault: (error: unknown) => void;
  /** A plan was made, before anything is known to go there. */
  readonly onRoute: (plan: Plan) => void;
}

/** Asks the transports where next hops lead and remembers plans while they hold. */
export function createHops(transports: readonly Transport[], { onFault, onRoute }: HopsOptions): Hops {
  const routes = new Map<string, Route>();
  const keep = (hopKey: string, route: Route) => {
    routes.delete(hopKey);
    routes.set(hopKey, route);
    const oldest = routes.size > MAX_KNOWN ? routes.keys().next().value : undefined;
    if (oldest !== undefined) routes.delete(oldest);
  };
  return {
    known(hopKey, nowMs) {
      const route = routes.get(hopKey);
      return route !== undefined && route.plan.validUntilMs > nowMs ? route : undefined;
    },
    async resolve(hopKey, hop) {
      const transport = hop && transports.find((one) => one.carries(hop));
      if (hop === undefined || transport === undefined) return ownFault('4.3.5', 'no transport carries this next hop');
      try {
        const resolution = await transport.resolve(hop);
        if (resolution.is !== 'plan') return resolution;
        const route = { transport, plan: resolution.plan };
        keep(hopKey, route);
        onRoute(resolution.plan);
        return { is: 'route', route };
      } catch (error) {
        onFault(error);
        return ownFault('4.3.0', 'the next hop could not be looked up');
      }
    },
  };
}
