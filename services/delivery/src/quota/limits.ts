import type { Config } from '@angarium/runtime';
import type { LimitOf } from '@angarium/scheduler';

type Rules = Config['delivery']['limits'];

/** What the limits of the configuration say, by their names. */
export const limitOfRules = (rules: Rules): LimitOf => {
  const byName = new Map(
    rules.map(({ name, connections, messages, perMs }) => [
      name,
      { perMs, ...(connections !== undefined && { connections }), ...(messages !== undefined && { messages }) },
    ]),
  );
  return (name) => byName.get(name);
};

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
