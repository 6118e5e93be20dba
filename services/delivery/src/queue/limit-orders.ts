import type { LimitOrder } from '@angarium/records';
import { type LimitStatus, type LimitValues, type Queue, Refused } from '@angarium/rpc';
import type { Control } from '../control/control.ts';
import type { Core } from '../core.ts';
import { answered } from './answered.ts';

const valuesOf = ({ connections, messages, perMs }: LimitValues): LimitValues => ({ connections, messages, perMs });

function checkValues(values: LimitValues | undefined): LimitValues {
  const { connections, messages, perMs = 0 } = values ?? {};
  if (connections === undefined && messages === undefined) throw new Refused('invalid', 'a limit wants connections, messages or both');
  if (connections === 0 || messages === 0) throw new Refused('invalid', 'a limit of 0 is a suspension: suspend the site instead');
  if (perMs <= 0) throw new Refused('invalid', 'a window of 0 ms holds no messages');
  return { connections, messages, perMs };
}

/** Limits as an operator sees and sets them. Their names and hosts are those of the configuration. */
export function createLimitOrders(
  { deps: { config, clock, logger } }: Core,
  control: Control,
): Pick<Queue, 'limits' | 'setLimit' | 'resetLimit'> {
  const rules = config.delivery.limits;
  const checkName = (name: string): void => {
    if (rules.some((rule) => rule.name === name)) return;
    const known = rules.map((rule) => rule.name).join(', ') || 'none';
    throw new Refused('notFound', `delivery.limits names no ${name}; it names ${known}`);
  };
  const append = async (value: LimitOrder): Promise<void> => {
    await answered(control.append({ $case: 'limitOrder', value }));
    logger.info({ ...value }, value.ordered ? 'delivery.limit.set' : 'delivery.limit.reset');
  };
  const statusOf = ({ name, hosts, ...configured }: (typeof rules)[number]): LimitStatus => {
    const order = control.fold.limitOrders.get(name);
    const ordered = order && valuesOf(order);
    return { name, hosts, configured: valuesOf(configured), ordered, reason: order?.reason ?? '', sinceMs: order?.atMs ?? 0 };
  };
  return {
    limits: async () => ({ limits: rules.map(statusOf) }),
    async setLimit({ name, values, reason }) {
      checkName(name);
      await append({ name, ordered: true, ...checkValues(values), reason, atMs: clock.nowMs() });
    },
    async resetLimit({ name }) {
      checkName(name);
      const wasSet = control.fold.limitOrders.has(name);
      if (wasSet) await append({ name, ordered: false, perMs: 0, reason: '', atMs: clock.nowMs() });
      return { wasSet };
    },
  };
}
