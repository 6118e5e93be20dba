export { createIngress, type Ingress } from './create-ingress.ts';
export type { IngressDeps } from './deps.ts';
