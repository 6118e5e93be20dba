import { type Clock, type Config, type Logger, type Metrics, type MetricTable, registerGauges } from '@angarium/runtime';
import { type Wanted, wantedWorkers } from '@angarium/scheduler';
import type { Asked } from './workers.ts';

export const WANTED = 'angarium_delivery_wanted_workers';
export const SCALER_GAUGES = {
  wanted: { kind: 'gauge', name: WANTED, help: 'Delivery workers that are wanted now; what scales delivery follows it.' },
  unanswered: {
    kind: 'gauge',
    name: 'angarium_scaler_unanswered_workers',
    help: 'Delivery workers that did not answer the last question.',
  },
} as const satisfies MetricTable;

export interface ScalerDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly ask: (nowMs: number) => Promise<Asked>;
}

export interface Scaler {
  /** Asks once, then again and again. */
  start(): Promise<void>;
  stop(): void;
  wanted(): number;
  onChange(listener: () => void): () => void;
  notReady(): readonly string[];
}

/** Asks the workers for their load and says how many are wanted. While nobody answers, the last number holds. */
export function createScaler({ config, clock, logger, metrics, ask }: ScalerDeps): Scaler {
  const terms = { ...config.scaling, lanes: config.journal.lanes };
  const listeners = new Set<() => void>();
  let wanted: Wanted | undefined;
  let unanswered = 0;
  let isKnown = false;
  let isStopped = false;
  let callOff = () => {};
  const number = () => wanted?.workers ?? terms.minWorkers;
  registerGauges(metrics, SCALER_GAUGES, { wanted: number, unanswered: () => unanswered });
  const look = async (): Promise<void> => {
    const nowMs = clock.nowMs();
    const asked = await ask(nowMs);
    unanswered = asked.unanswered;
    isKnown = asked.load !== undefined;
    const before = number();
    if (asked.load !== undefined) wanted = wantedWorkers(wanted, asked.load, terms, nowMs);
    if (number() !== before) {
      logger.info({ ...asked.load, before, wanted: number() }, 'scaler.wanted.changed');
      for (const listener of listeners) listener();
    }
    if (!isStopped) callOff = clock.after(terms.everyMs, () => void look());
  };
  return {
    start: look,
    stop() {
      isStopped = true;
      callOff();
    },
    wanted: number,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    notReady: () => (isKnown ? [] : ['scaler: no delivery worker answers; the last number holds']),
  };
}
