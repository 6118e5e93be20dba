import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { check, type ExpansionRules, expand, owns } from './expand.ts';
import { type HostedAccount, type State, type Transport, toPath } from './state.ts';
import { CheckResult, Placement } from './wire.ts';

interface Given {
  readonly domains?: Readonly<Record<string, { catchAll?: string; separator?: string }>>;
  /** With a leading "-": disabled. */
  readonly accounts?: readonly string[];
  readonly granted?: readonly string[];
  readonly aliases?: Readonly<Record<string, readonly string[]>>;
  readonly transports?: Readonly<Record<string, 'mailbox' | 'mx' | 'smarthost'>>;
}

const account = (text: string, granted: readonly string[] = []): HostedAccount => ({
  address: text.replace(/^-/, ''),
  predecessors: 0,
  passwordHash: '',
  quotaOctets: 0,
  disabled: text.startsWith('-'),
  granted: new Set(granted),
});

function stateOf({ domains = { 'here.example': {} }, accounts = [], granted = [], aliases = {}, transports = {} }: Given): State {
  return {
    version: 0,
    domains: new Map(
      Object.entries(domains).map(([name, { catchAll = '', separator = '+' }]) => [name, { name, catchAll: toPath(catchAll), separator }]),
    ),
    accounts: new Map(accounts.map((text) => account(text, granted)).map((one) => [one.address, one])),
    aliases: new Map(Object.entries(aliases).map(([alias, targets]) => [alias, targets.map(toPath).filter((path) => path !== undefined)])),
    transports: new Map(
      Object.entries(transports).map(([domain, kind]) => [domain, { domain, kind, host: 'smart.example', port: 587 } as Transport]),
    ),
  };
}

const RULES: ExpansionRules = { maxAliasDepth: 20, maxExpansion: 10_000, postmaster: '' };
const NAMES = new Map<number, string>(Object.entries(Placement).map(([name, value]) => [value, name]));

/** Targets as "address PLACEMENT name". */
function expanded(given: Given, forwardPath: string, rules: Partial<ExpansionRules> = {}): string[] {
  return expand(stateOf(given), forwardPath, { ...RULES, ...rules }).map(({ address, placement, name }) =>
    `${address} ${NAMES.get(placement)} ${name}`.trimEnd(),
  );
}

test('an account is found whatever the case and quoting of its address', () => {
  const given = { accounts: ['ann@here.example'] };
  assert.deepEqual(expanded(given, 'ann@here.example'), ['ann@here.example MAILBOX ann@here.example']);
  assert.deepEqual(expanded(given, '"Ann"@HERE.example'), ['"Ann"@HERE.example MAILBOX ann@here.example']);
});

test('unknown and disabled users are told apart', () => {
  const given = { accounts: ['-bob@here.example'] };
  assert.deepEqual(expanded(given, 'bob@here.example'), ['bob@here.example DISABLED bob@here.example']);
  assert.deepEqual(expanded(given, 'eve@here.example'), ['eve@here.example UNKNOWN_USER']);
  assert.deepEqual(expanded(given, 'no address'), ['no address UNKNOWN_USER']);
});

test('names in Unicode and in A-labels are one domain, and local parts compare in NFC', () => {
  const given = { domains: { 'xn--bcher-kva.example': {} }, accounts: ['jos\u00e9@xn--bcher-kva.example'] };
  assert.deepEqual(expanded(given, 'Jose\u0301@b\u00fccher.example'), [
    'Jose\u0301@b\u00fccher.example MAILBOX jos\u00e9@xn--bcher-kva.example',
  ]);
});

test('a subaddress reaches its user; a whole match wins; a tag may be empty', () => {
  const given = { accounts: ['ann@here.example', 'ann+own@here.example'] };
  assert.deepEqual(expanded(given, 'Ann+news+more@here.example'), ['Ann+news+more@here.example MAILBOX ann@here.example']);
  assert.deepEqual(expanded(given, 'ann+own@here.example'), ['ann+own@here.example MAILBOX ann+own@here.example']);
  assert.deepEqual(expanded(given, 'ann+@here.example'), ['ann+@here.example MAILBOX ann@here.example']);
  assert.deepEqual(expanded(given, '+tag@here.example'), ['+tag@here.example UNKNOWN_USER']);
});

test('the separator is per domain, and the domain itself is never cut', () => {
  const given = {
    domains: { 'my-own.example': { separator: '-' }, 'none.example': { separator: '' } },
    accounts: ['ann@my-own.example', 'ann@none.example'],
  };
  assert.deepEqual(expanded(given, 'ann-tag@my-own.example'), ['ann-tag@my-own.example MAILBOX ann@my-own.example']);
  assert.deepEqual(expanded(given, 'bob@my-own.example'), ['bob@my-own.example UNKNOWN_USER']);
  assert.deepEqual(expanded(given, 'ann+tag@none.example'), ['ann+tag@none.example UNKNOWN_USER']);
});

test('an alias leads to local and remote addresses, each once, in its order', () => {
  const given = {
    accounts: ['ann@here.example', 'bob@here.example'],
    aliases: {
      'team@here.example': ['bob@here.example', 'Zoe@Far.example', 'all@here.example', 'zoe@far.example'],
      'all@here.example': ['ann@here.example', 'BOB@here.example', 'Zoe@far.EXAMPLE'],
    },
  };
  assert.deepEqual(expanded(given, 'team@here.example'), [
    'bob@here.example MAILBOX bob@here.example',
    'Zoe@Far.example MX far.example',
    'ann@here.example MAILBOX ann@here.example',
    'zoe@far.example MX far.example',
  ]);
});

test('a subaddress of an alias is that alias', () => {
  const given = { accounts: ['ann@here.example'], aliases: { 'team@here.example': ['ann@here.example'] } };
  assert.deepEqual(expanded(given, 'team+x@here.example'), ['ann@here.example MAILBOX ann@here.example']);
});

test('an alias that names itself keeps a copy in its account', () => {
  const given = { accounts: ['ann@here.example'], aliases: { 'ann@here.example': ['ann@here.example', 'ann@far.example'] } };
  assert.deepEqual(expanded(given, 'ann@here.example'), ['ann@here.example MAILBOX ann@here.example', 'ann@far.example MX far.example']);
});

test('a loop is found where it closes; what lies beside it is reached', () => {
  const given = {
    accounts: ['ann@here.example'],
    aliases: { 'a@here.example': ['b@here.example', 'ann@here.example'], 'b@here.example': ['a@here.example'] },
  };
  assert.deepEqual(expanded(given, 'a@here.example'), ['a@here.example LOOP', 'ann@here.example MAILBOX ann@here.example']);
  assert.deepEqual(expanded({ aliases: { 'me@here.example': ['me@here.example'] } }, 'me@here.example'), ['me@here.example LOOP']);
});

test('two users who forward to each other and keep a copy both get one', () => {
  const given = {
    accounts: ['ann@here.example', 'bob@here.example'],
    aliases: {
      'ann@here.example': ['bob@here.example', 'ann@here.example'],
      'bob@here.example': ['ann@here.example', 'bob@here.example'],
    },
  };
  assert.deepEqual(expanded(given, 'ann@here.example').sort(), [
    'ann@here.example MAILBOX ann@here.example',
    'bob@here.example MAILBOX bob@here.example',
  ]);
});

test('a chain of as many aliases as allowed is followed, one more is a loop', () => {
  const chain = (length: number) => ({
    accounts: ['end@here.example'],
    aliases: Object.fromEntries(
      Array.from({ length }, (_, at) => [`a${at}@here.example`, [at + 1 === length ? 'end@here.example' : `a${at + 1}@here.example`]]),
    ),
  });
  assert.deepEqual(expanded(chain(5), 'a0@here.example', { maxAliasDepth: 5 }), ['end@here.example MAILBOX end@here.example']);
  assert.deepEqual(expanded(chain(6), 'a0@here.example', { maxAliasDepth: 5 }), ['a5@here.example LOOP']);
});

test('as many targets as allowed are given, one more makes a loop of the whole', () => {
  const list = (length: number) => ({ aliases: { 'list@here.example': Array.from({ length }, (_, at) => `r${at}@far.example`) } });
  assert.equal(expanded(list(10), 'list@here.example', { maxExpansion: 10 }).length, 10);
  assert.deepEqual(expanded(list(11), 'list@here.example', { maxExpansion: 10 }), ['list@here.example LOOP']);
});

test('catch-all takes unknown users only, and may itself be unknown', () => {
  const given = {
    domains: { 'here.example': { catchAll: 'ann@here.example' }, 'lost.example': { catchAll: 'nobody@lost.example' } },
    accounts: ['ann@here.example', '-bob@here.example'],
  };
  assert.deepEqual(expanded(given, 'eve@here.example'), ['ann@here.example MAILBOX ann@here.example']);
  assert.deepEqual(expanded(given, 'bob@here.example'), ['bob@here.example DISABLED bob@here.example']);
  assert.deepEqual(expanded(given, 'eve@lost.example'), ['nobody@lost.example LOOP']);
});

test('postmaster is always there: by name, else the named account, else the oldest that is enabled', () => {
  const accounts = ['-old@here.example', 'ann@here.example', 'bob@here.example'];
  const domains = { 'here.example': { catchAll: 'bob@here.example' }, 'other.example': {} };
  const paths = ['Postmaster', 'postmaster@here.example', 'PostMaster@other.example'];
  const reached = (given: Given, rules: Partial<ExpansionRules> = {}) =>
    paths.map((path) => expanded(given, path, rules)[0]?.split(' ')[2]);
  assert.deepEqual(reached({ domains, accounts }), Array(3).fill('ann@here.example'));
  assert.deepEqual(reached({ domains, accounts }, { postmaster: 'bob@here.example' }), Array(3).fill('bob@here.example'));
  assert.deepEqual(reached({ domains, accounts }, { postmaster: 'old@here.example' }), Array(3).fill('ann@here.example'));
  const aliases = { 'postmaster@here.example': ['bob@here.example'] };
  assert.deepEqual(reached({ domains, accounts, aliases }), ['bob@here.example', 'bob@here.example', 'ann@here.example']);
  assert.deepEqual(expanded({ domains }, 'postmaster'), ['postmaster UNKNOWN_USER']);
});

test('remote mail goes by the rule of its domain, else by the rule for all, else by MX', () => {
  const transports = { 'far.example': 'smarthost', 'direct.example': 'mx' } as const;
  assert.deepEqual(expanded({ transports }, 'x@FAR.example'), ['x@FAR.example SMARTHOST far.example']);
  assert.deepEqual(expanded({ transports }, 'x@new.example'), ['x@new.example MX new.example']);
  const withDefault = { transports: { ...transports, '*': 'smarthost' } as const };
  assert.deepEqual(expanded(withDefault, 'x@new.example'), ['x@new.example SMARTHOST *']);
  assert.deepEqual(expanded(withDefault, 'x@direct.example'), ['x@direct.example MX direct.example']);
  assert.deepEqual(expanded(withDefault, 'x@[192.0.2.1]'), ['x@[192.0.2.1] MX [192.0.2.1]']);
});

test('a hosted domain with a rule of its own goes by it; the rule for all is not for hosted domains', () => {
  const given = { accounts: ['ann@here.example'], transports: { 'here.example': 'smarthost' } as const };
  assert.deepEqual(expanded(given, 'eve@here.example'), ['eve@here.example SMARTHOST here.example']);
  assert.equal(check(stateOf(given), 'eve@here.example', RULES), CheckResult.LOCAL);
  const local = { accounts: ['ann@here.example'], transports: { '*': 'smarthost', 'here.example': 'mailbox' } as const };
  assert.deepEqual(expanded(local, 'ann@here.example'), ['ann@here.example MAILBOX ann@here.example']);
});

test('check answers whether somebody is behind an address', () => {
  const state = stateOf({
    accounts: ['ann@here.example', '-bob@here.example'],
    aliases: {
      'mixed@here.example': ['nobody@here.example', 'bob@here.example', 'x@far.example'],
      'dead@here.example': ['nobody@here.example', 'bob@here.example'],
      'ghost@here.example': ['nobody@here.example'],
    },
  });
  const answer = (path: string) => check(state, path, RULES);
  assert.equal(answer('ann@here.example'), CheckResult.LOCAL);
  assert.equal(answer('mixed@here.example'), CheckResult.LOCAL);
  assert.equal(answer('bob@here.example'), CheckResult.DISABLED);
  assert.equal(answer('dead@here.example'), CheckResult.DISABLED);
  assert.equal(answer('ghost@here.example'), CheckResult.UNKNOWN_USER);
  assert.equal(answer('eve@here.example'), CheckResult.UNKNOWN_USER);
  assert.equal(answer('x@far.example'), CheckResult.REMOTE);
  assert.equal(answer('x@[192.0.2.1]'), CheckResult.REMOTE);
  assert.equal(answer('postmaster'), CheckResult.LOCAL);
});

test('an account owns its address, its subaddresses, aliases to it alone and what was granted', () => {
  const given: Given = {
    domains: { 'here.example': { catchAll: 'ann@here.example' } },
    accounts: ['ann@here.example', 'bob@here.example', 'ann+bob@here.example'],
    granted: ['news@far.example', '@whole.example'],
    aliases: {
      'chief@here.example': ['lead@here.example'],
      'lead@here.example': ['Ann@here.example'],
      'team@here.example': ['ann@here.example', 'bob@here.example'],
      'away@here.example': ['ann@here.example', 'ann@far.example'],
    },
  };
  const state = stateOf(given);
  const owned = (address: string) => owns(state, account('ann@here.example', given.granted), address, RULES);
  for (const address of [
    'ANN@here.example',
    'ann+x@here.example',
    'lead@here.example',
    'chief+y@here.example',
    'News@far.example',
    'x@whole.example',
  ])
    assert.ok(owned(address), address);
  for (const address of [
    'bob@here.example',
    'ann+bob@here.example',
    'team@here.example',
    'away@here.example',
    'caught@here.example',
    'postmaster@here.example',
    'ann@far.example',
    'x@sub.whole.example',
    'nonsense',
  ])
    assert.ok(!owned(address), address);
  assert.ok(!owns(state, account('-ann@here.example'), 'ann@here.example', RULES));
});

const local = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g').map((name) => `${name}@here.example`);
const graph = fc.record({
  accounts: fc.uniqueArray(local, { maxLength: 3 }),
  aliases: fc.dictionary(
    local,
    fc.uniqueArray(fc.oneof(local, fc.constantFrom('x@far.example', 'y@far.example')), { minLength: 1, maxLength: 4 }),
  ),
  domains: fc.constantFrom({ 'here.example': {} }, { 'here.example': { catchAll: 'a@here.example' } }),
});

/** Addresses that can be reached, by a walk that knows nothing of order. */
function reachable({ accounts, aliases }: Required<Pick<Given, 'accounts' | 'aliases'>>, from: string): Set<string> {
  const seen = new Set<string>();
  const reached = new Set<string>();
  const queue = [from];
  for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
    if (seen.has(at)) continue;
    seen.add(at);
    const targets = Object.hasOwn(aliases, at) ? (aliases[at] ?? []) : undefined;
    if (targets === undefined || targets.includes(at)) reached.add(at);
    if (targets) queue.push(...targets.filter((target) => target !== at));
  }
  return new Set([...reached].filter((address) => !address.endsWith('@here.example') || accounts.includes(address)));
}

test('any graph of aliases ends, gives each target once, the same ones each time, and every account that can be reached', () => {
  fc.assert(
    fc.property(graph, local, (given, from) => {
      const targets = expand(stateOf(given), from, RULES);
      assert.deepEqual(expand(stateOf(given), from, RULES), targets);
      assert.ok(targets.length > 0);
      assert.equal(new Set(targets.map(({ address }) => address)).size, targets.length);
      const delivered = new Set(
        targets.flatMap(({ address, placement }) => (placement === Placement.MAILBOX || placement === Placement.MX ? [address] : [])),
      );
      if (!('catchAll' in given.domains['here.example'])) assert.deepEqual(delivered, reachable(given, from));
    }),
    { numRuns: 2000 },
  );
});

test('a graph whose paths multiply is walked once', () => {
  const layers = 15;
  const aliases = Object.fromEntries(
    Array.from({ length: layers }, (_, at) =>
      [0, 1].map((side) => [`n${at}-${side}@here.example`, [`n${at + 1}-0@here.example`, `n${at + 1}-1@here.example`]] as const),
    ).flat(),
  );
  const targets = expanded({ aliases }, 'n0-0@here.example');
  assert.deepEqual(targets, [`n${layers}-0@here.example UNKNOWN_USER`, `n${layers}-1@here.example UNKNOWN_USER`]);
});
