import type { DirectoryAdmin } from '@angarium/rpc';
import { type ChangeContext, checkPut, commit, parseAddress, parseDomain } from './change.ts';
import { forgetAliases } from './loading.ts';
import { domainOf } from './state.ts';

/** Not a letter, digit, dot, quote or `@`, which would split addresses that are meant whole. */
const SEPARATOR = /^[!#$%&'*+\-/=?^_`{|}~]?$/;

export function createDomainAdmin(context: ChangeContext): Pick<DirectoryAdmin, 'listDomains' | 'putDomain' | 'removeDomain'> {
  const { state, database, errors } = context;
  return {
    listDomains: async () => ({
      domains: [...state.domains.values()]
        .map(({ name, catchAll, separator }) => ({ name, catchAll: catchAll?.address ?? '', subaddressSeparator: separator }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    }),
    putDomain: async ({ domain, ...put }) => {
      const name = parseDomain(context, domain?.name ?? '');
      const { catchAll: catchAllText = '', subaddressSeparator: separator = '' } = domain ?? {};
      if (!SEPARATOR.test(separator)) {
        throw errors.refused('invalid', `"${separator}" cannot separate user and tag: one of !#$%&'*+-/=?^_\`{|}~, or nothing`);
      }
      const catchAll = catchAllText === '' ? undefined : parseAddress(context, catchAllText);
      checkPut(context, name, state.domains.has(name), put);
      const row = { catch_all: catchAll?.address ?? '', separator };
      const query = database.db
        .insertInto('domain')
        .values({ name, ...row })
        .onConflict((conflict) => conflict.column('name').doUpdateSet(row));
      const apply = () => state.domains.set(name, { name, catchAll, separator });
      await commit(context, { kind: 'domain', name, steps: [{ query }], apply });
    },
    removeDomain: async ({ name: text }) => {
      const name = parseDomain(context, text);
      if (!state.domains.has(name)) throw errors.refused('notFound', `${name} is not hosted here`);
      const accounts = [...state.accounts.keys()].filter((address) => domainOf(address) === name);
      if (accounts.length > 0) {
        throw errors.refused('invalid', `${name} has ${accounts.length} accounts, such as ${accounts[0]}: remove them first`);
      }
      const query = database.db.deleteFrom('domain').where('name', '=', name);
      const apply = () => {
        state.domains.delete(name);
        forgetAliases(state, name);
      };
      await commit(context, { kind: 'domain', name, steps: [{ query }], apply });
    },
  };
}
