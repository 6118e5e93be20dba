export { createRouting, type Routing } from './create-routing.ts';
export { ROUTING_METRICS } from './meters.ts';
export type { RoutingDeps } from './routing-deps.ts';
