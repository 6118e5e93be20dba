import type { AccountingReport } from '@angarium/lanes';
import type { Metrics, MetricTable } from '@angarium/runtime';

const GAUGES = {
  accepted: 'Recipients of accepted messages.',
  carriedOver: 'Recipients that waited when the count began.',
  expanded: 'Recipients that aliases and lists added.',
  delivered: 'Recipients delivered.',
  bounced: 'Recipients refused for good.',
  expired: 'Recipients whose lifetime ended.',
  discarded: 'Recipients discarded by order or by a named policy.',
  queued: 'Recipients that wait: in lanes, unrouted or dead.',
  dead: 'Recipients of messages that could not be routed; they count as queued.',
  difference: 'accepted + carried over + expanded - delivered - bounced - expired - discarded - queued: 0, or an alarm.',
} as const satisfies Partial<Record<keyof AccountingReport, string>>;

type Name = keyof typeof GAUGES;

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

export const ACCOUNTING_GAUGES: MetricTable = Object.fromEntries(
  Object.entries(GAUGES).map(([name, help]) => [name, { kind: 'gauge', name: `angarium_accounting_${snake(name)}_recipients`, help }]),
);

/** The identity of promise 2 as gauges `angarium_accounting_*_recipients`; 0 while the lanes are replayed. */
export function exportAccounting(metrics: Metrics, report: () => AccountingReport | undefined): void {
  for (const [name, definition] of Object.entries(ACCOUNTING_GAUGES)) metrics.gaugeOf(definition, () => report()?.[name as Name] ?? 0);
}
