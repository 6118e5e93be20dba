export { createRouting, type Routing } from './create-routing.ts';
export type { RoutingDeps } from './routing-deps.ts';
