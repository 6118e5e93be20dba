import type { AccountingReport } from '@angarium/lanes';
import type { Metrics } from '@angarium/runtime';

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

/** The identity of promise 2 as gauges `angarium_accounting_*_recipients`; 0 while the lanes are replayed. */
export function exportAccounting(metrics: Metrics, report: () => AccountingReport | undefined): void {
  for (const [name, help] of Object.entries(GAUGES)) {
    const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    metrics.gaugeOf({ name: `angarium_accounting_${snake}_recipients`, help }, () => report()?.[name as Name] ?? 0);
  }
}
