import type { LimitOrder } from '@angarium/records';
import type { Config } from '@angarium/runtime';
import type { Limit, LimitOf } from '@angarium/scheduler';

type Rules = Config['delivery']['limits'];

/** What there is no limit of is left out. */
const valuesOf = ({ connections, messages, perMs }: Pick<LimitOrder, 'connections' | 'messages' | 'perMs'>): Limit => ({
  perMs,
  ...(connections !== undefined && { connections }),
  ...(messages !== undefined && { messages }),
});

/** Limits by the names that the configuration gives them, with its values or those that were ordered. */
export function createLimits(rules: Rules): { readonly limitOf: LimitOf; order(name: string, order: LimitOrder | undefined): void } {
  const configured = new Map(rules.map((rule) => [rule.name, valuesOf(rule)]));
  const ordered = new Map<string, Limit>();
  return {
    limitOf: (name) => (configured.has(name) ? (ordered.get(name) ?? configured.get(name)) : undefined),
    order(name, order) {
      if (order === undefined) ordered.delete(name);
      else ordered.set(name, valuesOf(order));
    },
  };
}

/** Names of the limits that hosts fall under. */
export function createLimitFinder(
  rules: readonly Pick<Rules[number], 'name' | 'hosts'>[],
): (hosts: readonly string[]) => readonly string[] {
  const namesByHost = new Map<string, string[]>();
  for (const { name, hosts } of rules) for (const host of hosts) namesByHost.set(host, [...(namesByHost.get(host) ?? []), name]);
  const namesOf = (host: string): readonly string[] => {
    const found: string[] = [];
    const bare = host.toLowerCase().replace(/^\[(?:ipv6:)?(.*)\]$/, '$1');
    for (let rest = bare; rest !== ''; rest = rest.includes('.') ? rest.slice(rest.indexOf('.') + 1) : '')
      found.push(...(namesByHost.get(rest) ?? []));
    return found;
  };
  return (hosts) => (rules.length === 0 ? [] : [...new Set(hosts.flatMap(namesOf))]);
}
