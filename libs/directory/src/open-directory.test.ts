import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test as nodeTest } from 'node:test';
import { openPostgres, openSqlite, type Sql } from '@angarium/sql';
import { createTestDatabase } from '../../../test/postgres/database.ts';
import { type DirectoryOptions, type OpenDirectory, openDirectory, type SharedDatabase } from './index.ts';
import { migrations, type Tables } from './tables.ts';
import { CheckResult, Placement, TransportKind, TransportTls } from './wire.ts';

class TestRefused extends Error {
  readonly reason: string;
  constructor(reason: string, text: string) {
    super(text);
    this.reason = reason;
  }
}

const root = await mkdtemp(join(tmpdir(), 'angarium-directory-'));
after(() => rm(root, { recursive: true, force: true }));
let files = 0;

/** A database that can be opened several times, one after the other; a shared one also at the same time. */
interface Place {
  readonly database: DirectoryOptions['database'];
  readonly openTables: () => Promise<Sql<Tables>>;
}

const POOL = { schema: 'directory', applicationName: 'test', maxConnections: 3, maxWaiting: 100 };
const TIMEOUTS = { connectTimeoutMs: 5000, statementTimeoutMs: 10_000, lockTimeoutMs: 5000 };

const ENGINES: Readonly<Record<string, () => Promise<Place>>> = {
  sqlite: async () => {
    const file = join(root, `${files++}.sqlite`);
    return { database: file, openTables: () => openSqlite<Tables>({ file, migrations }) };
  },
  postgres: async () => {
    const server = await createTestDatabase();
    const open: SharedDatabase['open'] = (migrations) => openPostgres({ ...server, ...POOL, ...TIMEOUTS, migrations });
    return { database: { open, maxAgeMs: 1000 }, openTables: () => open<Tables>(migrations) };
  },
};

function test(name: string, body: (place: Place) => Promise<void>): void {
  for (const [engine, makePlace] of Object.entries(ENGINES)) nodeTest(`${engine}: ${name}`, async () => body(await makePlace()));
}

const optionsOf = (database: DirectoryOptions['database'], nowMs: () => number = () => 0): DirectoryOptions => ({
  database,
  nowMs,
  authCacheMs: 60_000,
  hashConcurrency: 2,
  maxWaitingLogins: 4,
  maxAliasDepth: 20,
  maxExpansion: 10_000,
  postmaster: '',
  errors: {
    refused: (reason, text) => new TestRefused(reason, text),
    unavailable: (text, cause) => Object.assign(new Error(text, { cause }), { name: 'Unavailable' }),
  },
});

interface Bench extends OpenDirectory, Place {
  readonly clock: { nowMs: number };
}

const withDirectory = (use: (bench: Bench) => Promise<void>) => async (place: Place) => {
  const clock = { nowMs: 0 };
  const opened = await openDirectory(optionsOf(place.database, () => clock.nowMs));
  try {
    await use({ ...opened, ...place, clock });
  } finally {
    await opened.close();
  }
};

const NEW = { mustBeNew: true, mustExist: false };
const SET = { mustBeNew: false, mustExist: true };
const domain = (name: string, catchAll = '', subaddressSeparator = '+') => ({ domain: { name, catchAll, subaddressSeparator } });
const account = (address: string, password = 'secret', grantedAddresses: string[] = []) => ({
  account: { address, quotaOctets: 0, disabled: false, grantedAddresses },
  password,
});
const alias = (address: string, ...targets: string[]) => ({ alias: { address, targets } });
const smarthost = (domainName: string, more: object = {}) => ({
  transport: {
    domain: domainName,
    kind: TransportKind.SMARTHOST,
    host: 'smart.example',
    port: 587,
    tls: 'required',
    login: 'me',
    password: 'pw',
    ...more,
  },
});
const noChange = { grant: [], revoke: [] };
const refused = (reason: string, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof TestRefused, String(error));
  assert.equal(error.reason, reason);
  assert.match(error.message, text);
  return true;
};
const login = async ({ directory }: Bench, name: string, password: string) =>
  (await directory.authenticate({ login: name, password })).account;

test('what was written is there after it was opened again', async ({ database }) => {
  const first = await openDirectory(optionsOf(database));
  await first.admin.putDomain({ ...domain('Here.example', 'Ann@here.example', '-'), ...NEW });
  await first.admin.addAccount(account('Ann@here.example', 'secret', ['x@far.example', '*@All.example']));
  await first.admin.addAccount(account('bob@here.example'));
  await first.admin.setAccount({ address: 'BOB@here.example', disabled: true, quotaOctets: 2 ** 40, ...noChange });
  await first.admin.putAlias({ ...alias('Team@here.example', 'bob@here.example', 'Zoe@far.example'), ...NEW });
  await first.admin.putTransport({ ...smarthost('*'), ...NEW });
  const look = async ({ directory, admin }: OpenDirectory) => ({
    domains: await admin.listDomains(),
    accounts: await admin.listAccounts({ domain: '' }),
    aliases: await admin.listAliases({ domain: '' }),
    transports: await admin.listTransports(),
    secret: await directory.transport({ name: '*' }),
    expanded: await directory.expand({ forwardPaths: ['team@here.example', 'eve@here.example', 'ann-x@here.example', 'postmaster'] }),
    bob: await directory.account({ address: 'Bob@here.example' }),
  });
  const before = await look(first);
  await first.close();
  const second = await openDirectory(optionsOf(database));
  assert.deepEqual(await look(second), before);
  await second.close();
  assert.deepEqual(before.domains, { domains: [{ name: 'here.example', catchAll: 'Ann@here.example', subaddressSeparator: '-' }] });
  assert.deepEqual(before.accounts.accounts[0], {
    address: 'ann@here.example',
    quotaOctets: 0,
    disabled: false,
    grantedAddresses: ['@all.example', 'x@far.example'],
  });
  assert.deepEqual(before.bob, { found: true, disabled: true, quotaOctets: 2 ** 40, mailbox: 'bob@here.example' });
  assert.deepEqual(before.aliases.aliases, [{ address: 'team@here.example', targets: ['bob@here.example', 'Zoe@far.example'] }]);
  assert.equal(before.transports.transports[0]?.password, '');
  assert.deepEqual(before.secret, {
    found: true,
    host: 'smart.example',
    port: 587,
    tls: TransportTls.REQUIRED,
    login: 'me',
    password: 'pw',
  });
  assert.deepEqual(
    before.expanded.expansions.map(({ targets }) => targets.map(({ placement, name }) => `${placement} ${name}`)),
    [
      [`${Placement.DISABLED} bob@here.example`, `${Placement.SMARTHOST} *`],
      [`${Placement.MAILBOX} ann@here.example`],
      [`${Placement.MAILBOX} ann@here.example`],
      [`${Placement.MAILBOX} ann@here.example`],
    ],
  );
});

test(
  'a change is seen by the next question',
  withDirectory(async ({ directory, admin }) => {
    const look = async () => (await directory.check({ forwardPaths: ['ann@here.example', 'team@here.example'] })).results;
    assert.deepEqual(await look(), [CheckResult.REMOTE, CheckResult.REMOTE]);
    await admin.putDomain({ ...domain('here.example'), ...NEW });
    assert.deepEqual(await look(), [CheckResult.UNKNOWN_USER, CheckResult.UNKNOWN_USER]);
    await admin.addAccount(account('ann@here.example'));
    await admin.putAlias({ ...alias('team@here.example', 'ann@here.example'), ...NEW });
    assert.deepEqual(await look(), [CheckResult.LOCAL, CheckResult.LOCAL]);
    await admin.setAccount({ address: 'ann@here.example', disabled: true, ...noChange });
    assert.deepEqual(await look(), [CheckResult.DISABLED, CheckResult.DISABLED]);
    await admin.removeAccount({ address: 'ann@here.example' });
    assert.deepEqual(await look(), [CheckResult.UNKNOWN_USER, CheckResult.UNKNOWN_USER]);
    await admin.removeDomain({ name: 'HERE.example' });
    assert.deepEqual(await look(), [CheckResult.REMOTE, CheckResult.REMOTE]);
    await admin.putDomain({ ...domain('here.example'), ...NEW });
    assert.deepEqual(await admin.listAliases({ domain: 'here.example' }), { aliases: [] });
  }),
);

test('each account that gets an address has a mailbox of its own name, also after a restart', async ({ database }) => {
  const opened = await openDirectory(optionsOf(database));
  const { admin } = opened;
  await admin.putDomain({ ...domain('here.example'), ...NEW });
  const names: string[] = [];
  const look = async ({ directory }: OpenDirectory) => names.push((await directory.account({ address: 'ann@here.example' })).mailbox);
  for (let count = 0; count < 3; count++) {
    await admin.addAccount(account('ann@here.example'));
    await look(opened);
    await admin.setAccount({ address: 'ann@here.example', quotaOctets: 5, ...noChange });
    await look(opened);
    if (count < 2) await admin.removeAccount({ address: 'ann@here.example' });
  }
  await opened.close();
  const again = await openDirectory(optionsOf(database));
  await look(again);
  await again.close();
  const [first, second, third] = ['ann@here.example', 'ann@here.example~1', 'ann@here.example~2'];
  assert.deepEqual(names, [first, first, second, second, third, third, third]);
});

test(
  'changes that make no sense are refused with their reason',
  withDirectory(async ({ admin }) => {
    await admin.putDomain({ ...domain('here.example'), ...NEW });
    await admin.addAccount(account('ann@here.example'));
    await admin.putAlias({ ...alias('team@here.example', 'ann@here.example'), ...NEW });
    const cases: readonly (readonly [Promise<unknown>, string, RegExp])[] = [
      [admin.putDomain({ ...domain('HERE.example'), ...NEW }), 'exists', /here\.example exists/],
      [admin.putDomain({ ...domain('new.example'), ...SET }), 'notFound', /new\.example/],
      [admin.putDomain({ ...domain('-bad-.example'), ...NEW }), 'invalid', /not a domain/],
      [admin.putDomain({ ...domain('[192.0.2.1]'), ...NEW }), 'invalid', /not a domain/],
      [admin.putDomain({ ...domain('new.example', '', 'x'), ...NEW }), 'invalid', /separate/],
      [admin.putDomain({ ...domain('new.example', 'nobody'), ...NEW }), 'invalid', /not a mail address/],
      [admin.removeDomain({ name: 'here.example' }), 'invalid', /1 accounts/],
      [admin.removeDomain({ name: 'new.example' }), 'notFound', /not hosted/],
      [admin.addAccount(account('ANN@here.example')), 'exists', /ann@here\.example exists/],
      [admin.addAccount(account('ann@far.example')), 'notFound', /domain add far\.example/],
      [admin.addAccount(account('ann')), 'invalid', /not a mail address/],
      [admin.addAccount(account('new@here.example', '')), 'invalid', /empty/],
      [admin.addAccount(account('new@here.example', 'x'.repeat(1025))), 'invalid', /1024/],
      [admin.addAccount(account('new@here.example', 'x', ['what is this'])), 'invalid', /not a mail address/],
      [admin.setAccount({ address: 'new@here.example', ...noChange }), 'notFound', /not an account/],
      [admin.setAccount({ address: 'ann@here.example', grant: [], revoke: ['x@far.example'] }), 'notFound', /not granted/],
      [admin.removeAccount({ address: 'new@here.example' }), 'notFound', /not an account/],
      [admin.putAlias({ ...alias('team@here.example', 'ann@here.example'), ...NEW }), 'exists', /team@here\.example exists/],
      [admin.putAlias({ ...alias('new@here.example', 'ann@here.example'), ...SET }), 'notFound', /does not exist/],
      [admin.putAlias({ ...alias('new@here.example'), ...NEW }), 'invalid', /at least one/],
      [admin.putAlias({ ...alias('new@here.example', 'ann'), ...NEW }), 'invalid', /not a mail address/],
      [admin.putAlias({ ...alias('new@far.example', 'ann@here.example'), ...NEW }), 'notFound', /not hosted/],
      [admin.removeAlias({ address: 'ann@here.example' }), 'notFound', /not an alias/],
      [admin.putTransport({ ...smarthost('*', { host: 'no host' }), ...NEW }), 'invalid', /not a host/],
      [admin.putTransport({ ...smarthost('*', { port: 0 }), ...NEW }), 'invalid', /not a port/],
      [admin.putTransport({ ...smarthost('*', { tls: 'maybe' }), ...NEW }), 'invalid', /opportunistic/],
      [admin.putTransport({ ...smarthost('*', { tls: 'never' }), ...NEW }), 'invalid', /in clear/],
      [admin.putTransport({ ...smarthost('*', { password: '' }), ...NEW }), 'invalid', /together/],
      [admin.putTransport({ ...smarthost('not a domain'), ...NEW }), 'invalid', /not a domain/],
      [
        admin.putTransport({ ...smarthost('*', { kind: TransportKind.MAILBOX, host: '', port: 0, login: '' }), ...NEW }),
        'invalid',
        /not hosted/,
      ],
      [admin.putTransport({ ...smarthost('x.example', { kind: TransportKind.MX }), ...NEW }), 'invalid', /only a smarthost/],
      [admin.putTransport({ transport: undefined, ...NEW }), 'invalid', /./],
      [admin.removeTransport({ domain: '*' }), 'notFound', /no rule/],
    ];
    for (const [change, reason, text] of cases) await assert.rejects(change, refused(reason, text));
  }),
);

test(
  'of two changes made at once that exclude each other one is refused',
  withDirectory(async ({ admin }) => {
    await admin.putDomain({ ...domain('here.example'), ...NEW });
    const results = await Promise.allSettled(
      ['one', 'two', 'three'].map((password) => admin.addAccount(account('ann@here.example', password))),
    );
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'rejected'],
    );
  }),
);

test(
  'an alias takes as many targets as an expansion may have',
  withDirectory(async ({ directory, admin, database }) => {
    await admin.putDomain({ ...domain('here.example'), ...NEW });
    const targets = Array.from({ length: 10_000 }, (_, at) => `r${at}@far.example`);
    await admin.putAlias({ ...alias('all@here.example', ...targets), ...NEW });
    const { expansions } = await directory.expand({ forwardPaths: ['all@here.example'] });
    assert.deepEqual(
      expansions[0]?.targets.map(({ address }) => address),
      targets,
    );
    const tooMany = alias('more@here.example', ...targets, 'one@far.example');
    await assert.rejects(admin.putAlias({ ...tooMany, ...NEW }), refused('invalid', /more than 10000/));
    const again = await openDirectory(optionsOf(database));
    assert.equal((await again.directory.expand({ forwardPaths: ['all@here.example'] })).expansions[0]?.targets.length, 10_000);
    await again.close();
  }),
);

test(
  'a login is the address, or the user alone where one domain is hosted',
  withDirectory(async (bench) => {
    await bench.admin.putDomain({ ...domain('here.example'), ...NEW });
    await bench.admin.addAccount(account('ann@here.example', 'p\u00e4ss'));
    assert.equal(await login(bench, 'ANN@here.example', 'p\u00e4ss'), 'ann@here.example');
    assert.equal(await login(bench, 'Ann', 'pa\u0308ss'), 'ann@here.example');
    for (const [name, password] of [
      ['ann', 'pass'],
      ['ann', ''],
      ['bob', 'p\u00e4ss'],
      ['', 'p\u00e4ss'],
      ['ann+tag@here.example', 'p\u00e4ss'],
    ] as const)
      assert.equal(await login(bench, name, password), '', name);
    await bench.admin.putDomain({ ...domain('other.example'), ...NEW });
    assert.equal(await login(bench, 'ann', 'p\u00e4ss'), '');
    assert.equal(await login(bench, 'ann@here.example', 'p\u00e4ss'), 'ann@here.example');
  }),
);

test(
  'passwords are kept as argon2id hashes only',
  withDirectory(async ({ admin, openTables, close }) => {
    await admin.putDomain({ ...domain('here.example'), ...NEW });
    await admin.addAccount(account('ann@here.example', 'secret'));
    await close();
    const tables = await openTables();
    const { password_hash } = await tables.db.selectFrom('account').select('password_hash').executeTakeFirstOrThrow();
    assert.match(password_hash, /^\$argon2id\$/);
    await tables.close();
  }),
);

test(
  'a change of the account ends what was verified before',
  withDirectory(async (bench) => {
    const { admin } = bench;
    await admin.putDomain({ ...domain('here.example'), ...NEW });
    await admin.addAccount(account('ann@here.example', 'old'));
    assert.equal(await login(bench, 'ann', 'old'), 'ann@here.example');
    await admin.setAccount({ address: 'ann@here.example', password: 'new', ...noChange });
    assert.equal(await login(bench, 'ann', 'old'), '');
    assert.equal(await login(bench, 'ann', 'new'), 'ann@here.example');
    await admin.setAccount({ address: 'ann@here.example', disabled: true, ...noChange });
    assert.equal(await login(bench, 'ann', 'new'), '');
    await admin.setAccount({ address: 'ann@here.example', disabled: false, ...noChange });
    assert.equal(await login(bench, 'ann', 'new'), 'ann@here.example');
    const during = login(bench, 'ann', 'new2');
    await admin.removeAccount({ address: 'ann@here.example' });
    assert.equal(await login(bench, 'ann', 'new'), '');
    assert.equal(await during, '');
  }),
);

test(
  'more logins than may wait are unavailable, not wrong',
  withDirectory(async ({ directory, admin }) => {
    await admin.putDomain({ ...domain('here.example'), ...NEW });
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => directory.authenticate({ login: 'nobody', password: 'x' })));
    const rejected = results.filter((result) => result.status === 'rejected');
    assert.equal(rejected.length, 10 - 2 - 4);
    assert.equal(rejected[0]?.reason.name, 'Unavailable');
  }),
);

test(
  'a verified password is not hashed again until its time is over',
  withDirectory(async (bench) => {
    await bench.admin.putDomain({ ...domain('here.example'), ...NEW });
    await bench.admin.addAccount(account('ann@here.example', 'secret'));
    await login(bench, 'ann', 'secret');
    const many = () => Promise.allSettled(Array.from({ length: 50 }, () => login(bench, 'ann', 'secret')));
    assert.ok((await many()).every(({ status }) => status === 'fulfilled'));
    bench.clock.nowMs = 60_000;
    assert.ok((await many()).some(({ status }) => status === 'rejected'));
  }),
);

test(
  'owns is answered per address; an unknown account owns nothing',
  withDirectory(async ({ directory, admin }) => {
    await admin.putDomain({ ...domain('here.example'), ...NEW });
    await admin.addAccount(account('ann@here.example'));
    const addresses = ['ann+x@here.example', 'bob@here.example'];
    assert.deepEqual((await directory.owns({ account: 'ann@here.example', addresses })).owned, [true, false]);
    await admin.setAccount({ address: 'ann@here.example', grant: ['bob@here.example'], revoke: [] });
    assert.deepEqual((await directory.owns({ account: 'Ann@here.example', addresses })).owned, [true, true]);
    await admin.setAccount({ address: 'ann@here.example', grant: [], revoke: ['BOB@here.example'] });
    assert.deepEqual((await directory.owns({ account: 'ann@here.example', addresses })).owned, [true, false]);
    assert.deepEqual((await directory.owns({ account: 'eve@here.example', addresses })).owned, [false, false]);
  }),
);

test(
  'a database that takes no writes is unavailable, and the memory keeps what is durable',
  withDirectory(async ({ directory, admin, close }) => {
    await admin.putDomain({ ...domain('here.example'), ...NEW });
    await close();
    await assert.rejects(admin.putDomain({ ...domain('lost.example'), ...NEW }), { name: 'Unavailable' });
    const { results } = await directory.check({ forwardPaths: ['x@here.example', 'x@lost.example'] });
    assert.deepEqual(results, [CheckResult.UNKNOWN_USER, CheckResult.REMOTE]);
  }),
);
