export { createDelivery, type Delivery } from './create-delivery.ts';
export type { DeliveryDeps, SpacedLog } from './deps.ts';
export { DELIVERY_METRICS } from './metrics.ts';
export { createSmtpTransport, type SmtpTransportDeps } from './transport/create-smtp-transport.ts';
export type { AttemptResult, Job, JobRecipient, Plan, RecipientResult, RemoteReply, Resolution, Transport } from './transport/port.ts';
