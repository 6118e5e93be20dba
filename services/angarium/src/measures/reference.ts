import { DELIVERY_METRICS } from '@angarium/delivery';
import { INGRESS_METRICS } from '@angarium/ingress';
import { MAILBOX_METRICS } from '@angarium/mailbox';
import { ROUTING_METRICS } from '@angarium/routing';
import type { MetricTable } from '@angarium/runtime';
import { SCALER_GAUGES } from '../scaling/scaler.ts';
import { BLOB_METERS } from './blobs.ts';
import { LOG_METERS } from './log.ts';
import { PROCESS_METRICS } from './process.ts';
import { RPC_METERS } from './rpc.ts';

/** All that is exported, by the part that does. */
export const ALL_METRICS: Readonly<Record<string, readonly MetricTable[]>> = {
  Ingress: INGRESS_METRICS,
  Routing: ROUTING_METRICS,
  Delivery: DELIVERY_METRICS,
  Mailbox: MAILBOX_METRICS,
  'Log, blobs and calls': [LOG_METERS, BLOB_METERS, RPC_METERS],
  Scaler: [SCALER_GAUGES],
  'Every process': PROCESS_METRICS,
};
