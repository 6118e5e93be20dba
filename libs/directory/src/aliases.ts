import type { DirectoryAdmin } from '@angarium/rpc';
import { canonicalDomain } from '@angarium/smtp';
import { type ChangeContext, checkPut, commit, parseAddress, parseLocalAddress } from './change.ts';
import { domainOf } from './state.ts';

/** Rows of one statement: SQLite binds at most 32,766 values. */
const ROWS_MAX = 5000;

export function createAliasAdmin(
  context: ChangeContext,
  maxTargets: number,
): Pick<DirectoryAdmin, 'listAliases' | 'putAlias' | 'removeAlias'> {
  const { state, database, errors } = context;
  const { db } = database;
  return {
    listAliases: async ({ domain }) => ({
      aliases: [...state.aliases]
        .filter(([address]) => domain === '' || domainOf(address) === canonicalDomain(domain))
        .map(([address, targets]) => ({ address, targets: targets.map((target) => target.address) }))
        .sort((a, b) => (a.address < b.address ? -1 : 1)),
    }),
    putAlias: async ({ alias, ...put }) => {
      const { key, domain } = parseLocalAddress(context, alias?.address ?? '');
      const targets = [...new Map(alias?.targets.map((text) => [text, parseAddress(context, text)])).values()];
      if (targets.length === 0) throw errors.refused('invalid', `${key} needs at least one address to lead to`);
      if (targets.length > maxTargets)
        throw errors.refused('invalid', `${key} leads to more than ${maxTargets} addresses (routing.maxExpansion)`);
      checkPut(context, key, state.aliases.has(key), put);
      const rows = targets.map(({ address }, position) => ({ alias: key, position, address }));
      const chunks = Array.from({ length: Math.ceil(rows.length / ROWS_MAX) }, (_, at) => rows.slice(at * ROWS_MAX, (at + 1) * ROWS_MAX));
      const steps = [
        { query: db.deleteFrom('alias').where('address', '=', key) },
        { query: db.insertInto('alias').values({ address: key, domain }) },
        ...chunks.map((values) => ({ query: db.insertInto('alias_target').values(values) })),
      ];
      await commit(context, { kind: 'alias', name: key, steps, apply: () => state.aliases.set(key, targets) });
    },
    removeAlias: async ({ address }) => {
      const { key } = parseAddress(context, address);
      if (!state.aliases.has(key)) throw errors.refused('notFound', `${key} is not an alias`);
      const steps = [{ query: db.deleteFrom('alias').where('address', '=', key) }];
      await commit(context, { kind: 'alias', name: key, steps, apply: () => state.aliases.delete(key) });
    },
  };
}
