export { createIngress, type Ingress } from './create-ingress.ts';
export type { IngressDeps } from './deps.ts';
export { INGRESS_METRICS } from './meters.ts';
