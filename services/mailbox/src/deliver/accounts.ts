import type { Directory } from '@angarium/rpc';
import type { Clock } from '@angarium/runtime';

/** What the directory says of an account: where its mail is kept and its quota in octets (0: none), or that it takes no mail. */
type AccountState = { readonly is: 'open'; readonly mailbox: string; readonly quotaOctets: number } | { readonly is: 'gone' };

export interface AccountStates {
  /** Rejects when the directory cannot answer. */
  stateOf(account: string): Promise<AccountState>;
}

const REMEMBERED_MAX = 10_000;

/**
 * Asks the directory once per account and `cacheMs`. Only that an account is open is remembered: else mail for one that has
 * just been made would bounce.
 */
export function createAccountStates(deps: {
  readonly directory: Directory;
  readonly clock: Clock;
  readonly cacheMs: number;
}): AccountStates {
  const remembered = new Map<string, { readonly untilMs: number; readonly state: Promise<AccountState> }>();
  // A directory of an older release knows no other name than the address.
  const ask = async (address: string): Promise<AccountState> => {
    const { found, disabled, quotaOctets, mailbox } = await deps.directory.account({ address });
    return found && !disabled ? { is: 'open', mailbox: mailbox || address, quotaOctets } : { is: 'gone' };
  };
  return {
    stateOf: (account) => {
      const nowMs = deps.clock.nowMs();
      const known = remembered.get(account);
      if (known !== undefined && known.untilMs > nowMs) return known.state;
      const state = ask(account);
      remembered.delete(account);
      remembered.set(account, { untilMs: nowMs + deps.cacheMs, state });
      const forget = () => {
        if (remembered.get(account)?.state === state) remembered.delete(account);
      };
      state.then(({ is }) => is === 'gone' && forget(), forget);
      const oldest = remembered.size > REMEMBERED_MAX ? remembered.keys().next().value : undefined;
      if (oldest !== undefined) remembered.delete(oldest);
      return state;
    },
  };
}
