import type { MetricTable } from '@angarium/runtime';
import { ACCOUNTING_GAUGES } from './accounting/gauges.ts';
import { DELIVERY_GAUGES } from './gauges.ts';
import { DELIVERY_METERS, providerMeters } from './meters.ts';
import { providerNames } from './providers.ts';
import { quotaMeters } from './quota/meters.ts';
import { TRANSPORT_METRICS } from './transport/create-smtp-transport.ts';
import { USEFUL_GAUGES } from './useful.ts';

/** Everything that delivery exports. Names of limits and numbers of lanes are those of the configuration. */
export const DELIVERY_METRICS: readonly MetricTable[] = [
  DELIVERY_METERS,
  providerMeters(providerNames([])),
  ...DELIVERY_GAUGES,
  ...TRANSPORT_METRICS,
  quotaMeters([]),
  ACCOUNTING_GAUGES,
  USEFUL_GAUGES,
];
