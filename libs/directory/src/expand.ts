import type { CheckResult as Check, Target } from '@angarium/rpc';
import { domainOf, type HostedAccount, type HostedDomain, type Path, type State, type Transport, toPath } from './state.ts';
import { CheckResult, Placement } from './wire.ts';

export interface ExpansionRules {
  /** Aliases that may lead to each other, the first one included; one more is a loop. */
  readonly maxAliasDepth: number;
  /** Targets of one forward-path; one more makes all of them a loop. */
  readonly maxExpansion: number;
  /** Account for `postmaster` where no alias or account has that name; empty or unknown: the oldest enabled account. */
  readonly postmaster: string;
}

const POSTMASTER = 'postmaster';

function postmasterAccount({ accounts }: State, { postmaster }: ExpansionRules): HostedAccount | undefined {
  const named = accounts.get(postmaster);
  if (named && !named.disabled) return named;
  for (const account of accounts.values()) if (!account.disabled) return account;
  return undefined;
}

/** `postmaster` without a domain is valid in RCPT (RFC 5321 §4.5.1); it is that of the postmaster's own domain. */
function pathOf(state: State, forwardPath: string, rules: ExpansionRules): Path | undefined {
  if (forwardPath.toLowerCase() !== POSTMASTER) return toPath(forwardPath);
  const account = postmasterAccount(state, rules);
  return account && toPath(`${POSTMASTER}@${domainOf(account.address)}`);
}

interface Alias {
  readonly alias: string;
  readonly targets: readonly Path[];
}
type Found = { readonly account: HostedAccount } | Alias;

function named({ accounts, aliases }: State, key: string): Found | undefined {
  const targets = aliases.get(key);
  if (targets) return { alias: key, targets };
  const account = accounts.get(key);
  return account && { account };
}

/** Who has this address by name: a whole match wins, then the user before the separator. */
function byName(state: State, { separator, name }: HostedDomain, key: string): Found | undefined {
  const whole = named(state, key);
  if (whole || separator === '') return whole;
  const at = key.indexOf(separator, 1);
  return at > 0 && at < key.length - name.length - 1 ? named(state, `${key.slice(0, at)}@${name}`) : undefined;
}

function byFallback(state: State, domain: HostedDomain, { key }: Path, rules: ExpansionRules): Found | undefined {
  if (key === `${POSTMASTER}@${domain.name}`) {
    const account = postmasterAccount(state, rules);
    if (account) return { account };
  }
  return domain.catchAll && { alias: `@${domain.name}`, targets: [domain.catchAll] };
}

/** Rule by which a domain's mail leaves; `undefined`: it has mailboxes here. */
function wayOut({ domains, transports }: State, { domain }: Path): Transport | 'mx' | undefined {
  const own = transports.get(domain);
  if (own && own.kind !== 'mailbox') return own;
  if (domains.has(domain)) return undefined;
  return domain.startsWith('[') ? 'mx' : (transports.get('*') ?? 'mx');
}

interface Walk {
  readonly state: State;
  readonly rules: ExpansionRules;
  /** By name alone: no catch-all, no postmaster that nobody named. */
  readonly isNamedOnly: boolean;
  /** By identity of the recipient, in the order of their finding. */
  readonly targets: Map<string, Target>;
  /** `open`: an alias on the way to the address at hand. */
  readonly aliases: Map<string, 'open' | 'done'>;
}

function keep({ targets, rules }: Walk, key: string, target: Target): void {
  const known = targets.get(key);
  // An address that one way is too long for may be reached by another one.
  if (known?.placement === Placement.LOOP || (!known && targets.size <= rules.maxExpansion)) targets.set(key, target);
}

/** Local parts of other hosts may differ in case alone (RFC 5321 §2.4). */
function keepRemote(walk: Walk, { address, domain }: Path, way: Transport | 'mx'): void {
  const key = `${address.slice(0, address.lastIndexOf('@'))}@${domain}`;
  const isSmarthost = way !== 'mx' && way.kind === 'smarthost';
  keep(walk, key, { address, placement: isSmarthost ? Placement.SMARTHOST : Placement.MX, name: isSmarthost ? way.domain : domain });
}

function keepAccount(walk: Walk, { address, key }: Path, account: HostedAccount): void {
  keep(walk, key, { address, placement: account.disabled ? Placement.DISABLED : Placement.MAILBOX, name: account.address });
}

function keepVerdict(walk: Walk, { address, key }: Path, placement: typeof Placement.UNKNOWN_USER | typeof Placement.LOOP): void {
  keep(walk, key, { address, placement, name: '' });
}

function visit(walk: Walk, path: Path, depth: number): void {
  const { state, rules } = walk;
  const way = wayOut(state, path);
  const domain = state.domains.get(path.domain);
  const found = domain && (byName(state, domain, path.key) ?? (walk.isNamedOnly ? undefined : byFallback(state, domain, path, rules)));
  if (way) keepRemote(walk, path, way);
  else if (!found) keepVerdict(walk, path, Placement.UNKNOWN_USER);
  else if ('account' in found) keepAccount(walk, path, found.account);
  else if (depth >= rules.maxAliasDepth || isCircle(walk, found)) keepVerdict(walk, path, Placement.LOOP);
  else if (!walk.aliases.has(found.alias)) follow(walk, found, depth);
}

/** Two users who forward to each other and keep a copy make no circle: each copy ends in its account. */
function isCircle({ aliases, state }: Walk, { alias, targets }: Alias): boolean {
  return aliases.get(alias) === 'open' && !(state.accounts.has(alias) && targets.some(({ key }) => key === alias));
}

function follow(walk: Walk, { alias, targets }: Alias, depth: number): void {
  walk.aliases.set(alias, 'open');
  for (const target of targets) {
    // An alias that names itself keeps a copy in the account of that name.
    const own = target.key === alias ? walk.state.accounts.get(alias) : undefined;
    if (own) keepAccount(walk, target, own);
    else visit(walk, target, depth + 1);
  }
  walk.aliases.set(alias, 'done');
}

function targetsOf(state: State, path: Path, rules: ExpansionRules, { isNamedOnly }: { isNamedOnly: boolean }): Target[] {
  const walk: Walk = { state, rules, isNamedOnly, targets: new Map(), aliases: new Map() };
  visit(walk, path, 0);
  if (walk.targets.size > rules.maxExpansion) return [{ address: path.address, placement: Placement.LOOP, name: '' }];
  return [...walk.targets.values()];
}

/**
 * Final recipients of a forward-path, each once, never none. The same state gives the same targets in the same order.
 * Linear in the aliases and targets that it leads to.
 */
export function expand(state: State, forwardPath: string, rules: ExpansionRules): Target[] {
  const path = pathOf(state, forwardPath, rules);
  if (!path) return [{ address: forwardPath, placement: Placement.UNKNOWN_USER, name: '' }];
  return targetsOf(state, path, rules, { isNamedOnly: false });
}

/**
 * Is there somebody behind a forward-path? A domain that is hosted and goes on by a transport rule is `LOCAL`: its mail is
 * taken for the host behind it. So is an alias loop, since its bounce names the fault.
 */
export function check(state: State, forwardPath: string, rules: ExpansionRules): Check {
  const path = pathOf(state, forwardPath, rules);
  if (!path) return CheckResult.UNKNOWN_USER;
  if (!state.domains.has(path.domain)) return CheckResult.REMOTE;
  let isDisabled = false;
  for (const { placement } of targetsOf(state, path, rules, { isNamedOnly: false })) {
    if (placement === Placement.DISABLED) isDisabled = true;
    else if (placement !== Placement.UNKNOWN_USER) return CheckResult.LOCAL;
  }
  return isDisabled ? CheckResult.DISABLED : CheckResult.UNKNOWN_USER;
}

/**
 * May the account send as this address? Its own, a subaddress of it, an alias that leads to it alone, and what was granted.
 * What reaches it by catch-all or as postmaster only is not its own.
 */
export function owns(state: State, account: HostedAccount, address: string, rules: ExpansionRules): boolean {
  const path = toPath(address);
  if (!path || account.disabled) return false;
  if (path.key === account.address || account.granted.has(path.key) || account.granted.has(`@${path.domain}`)) return true;
  if (!state.domains.has(path.domain)) return false;
  const [only, another] = targetsOf(state, path, rules, { isNamedOnly: true });
  return another === undefined && only?.placement === Placement.MAILBOX && only.name === account.address;
}
