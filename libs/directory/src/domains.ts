import type { DirectoryAdmin } from '@angarium/rpc';
import { type ChangeContext, checkPut, commit, parseAddress, parseDomain } from './change.ts';
import { domainOf } from './state.ts';

/** Not a letter, digit, dot, quote or `@`, which would split addresses that are meant whole. */
const SEPARATOR = /^[!#$%&'*+\-/=?^_`{|}~]?$/;

export function createDomainAdmin(context: ChangeContext): Pick<DirectoryAdmin, 'listDomains' | 'putDomain' | 'removeDomain'> {
  const { state, sqlite, errors } = context;
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
      const query = sqlite.db
        .insertInto('domain')
        .values({ name, ...row })
        .onConflict((conflict) => conflict.column('name').doUpdateSet(row));
      await commit(context, [{ query }], () => state.domains.set(name, { name, catchAll, separator }));
    },
    removeDomain: async ({ name: text }) => {
      const name = parseDomain(context, text);
      if (!state.domains.has(name)) throw errors.refused('notFound', `${name} is not hosted here`);
      const accounts = [...state.accounts.keys()].filter((address) => domainOf(address) === name);
      if (accounts.length > 0) {
        throw errors.refused('invalid', `${name} has ${accounts.length} accounts, such as ${accounts[0]}: remove them first`);
      }
      const query = sqlite.db.deleteFrom('domain').where('name', '=', name);
      await commit(context, [{ query }], () => {
        state.domains.delete(name);
        for (const address of state.aliases.keys()) if (domainOf(address) === name) state.aliases.delete(address);
      });
    },
  };
}
