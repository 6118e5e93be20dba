import assert from 'node:assert/strict';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Angarium, mailCount, makeFolder, run, startAngarium, until } from './angarium.ts';
import { openSession } from './session.ts';

const { folder, remove } = await makeFolder();
let angarium: Angarium;
before(async () => {
  // Nobody listens at the smarthost's port: what goes there waits.
  angarium = await startAngarium(folder, { delivery: { retryMs: ['1h'] } });
});
after(async () => {
  await angarium?.stop();
  await remove();
});

const ok = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await angarium.command(args);
  assert.deepEqual([args, code, stderr], [args, 0, '']);
  return stdout;
};
const refused = async (...args: string[]): Promise<string> => {
  const { code, stderr } = await angarium.command(args);
  assert.equal(code, 1, stderr);
  return stderr;
};

async function rcpt(to: string): Promise<number> {
  const session = openSession(angarium.addresses.mx[0] ?? '');
  await session.reply();
  await session.ask('EHLO client.test');
  await session.ask('MAIL FROM:<a@client.test>');
  const { code } = await session.ask(`RCPT TO:<${to}>`);
  session.end();
  return code;
}

async function send(to: string): Promise<string> {
  const session = openSession(angarium.addresses.mx[0] ?? '');
  await session.reply();
  await session.ask('EHLO client.test');
  await session.ask('MAIL FROM:<a@client.test>');
  await session.ask(`RCPT TO:<${to}>`);
  await session.ask('DATA');
  const { code, lines } = await session.ask('Subject: x\r\n\r\nx\r\n.');
  assert.equal(code, 250);
  session.end();
  return /[0-9A-Z]{20,26}/.exec(lines.join())?.[0] ?? '';
}

test('domains, accounts, aliases and transports are managed while everything runs, and seen within 2 s', async () => {
  await ok('domain', 'add', 'example.test');
  const added = await angarium.command(
    ['account', 'add', 'ann@example.test', '--quota', '2GiB', '--grant', 'info@example.test'],
    'secret\n',
  );
  assert.equal(added.code, 0, added.stderr);
  await ok('alias', 'add', 'team@example.test', 'ann@example.test', 'x@elsewhere.test');
  const started = Date.now();
  await until(async () => ((await rcpt('team@example.test')) === 250 ? true : undefined), 2000);
  assert.ok(Date.now() - started < 2000);
  assert.equal(await rcpt('nobody@example.test'), 550);
  const accounts = JSON.parse(await ok('account', 'list', '--domain', 'example.test', '--json'));
  assert.deepEqual(accounts, [
    { address: 'ann@example.test', quotaOctets: 2 * 1024 ** 3, disabled: false, grantedAddresses: ['info@example.test'] },
  ]);
  await ok('account', 'set', 'ann@example.test', '--disabled', 'yes', '--revoke', 'info@example.test');
  assert.match(await ok('account', 'list'), /ann@example\.test +2147483648 +yes/);
  await until(async () => ((await rcpt('ann@example.test')) === 550 ? true : undefined), 2000);
  await ok('account', 'set', 'ann@example.test', '--disabled', 'no');
});

test('whoever gets the address of a removed account gets none of its mail', async () => {
  const count = async (password: string) => {
    const session = openSession(angarium.addresses.pop3s[0] ?? '', 'tls');
    await session.line();
    const replies: string[] = [];
    for (const line of ['USER sue@example.test', `PASS ${password}`, 'STAT']) {
      session.send(`${line}\r\n`);
      replies.push(await session.line());
    }
    session.end();
    return /^\+OK (\d+) /.exec(replies[2] ?? '')?.[1] ?? replies.join();
  };
  const arrives = async () => {
    const queueId = await send('sue@example.test');
    await angarium.waitFor('mailbox.message.stored', (line) => line.queueId === queueId);
  };
  assert.equal((await angarium.command(['account', 'add', 'sue@example.test'], 'first\n')).code, 0);
  await until(async () => ((await rcpt('sue@example.test')) === 250 ? true : undefined));
  await arrives();
  assert.equal(await count('first'), '1');
  await ok('account', 'remove', 'sue@example.test');
  assert.equal((await angarium.command(['account', 'add', 'sue@example.test'], 'second\n')).code, 0);
  assert.equal(await count('second'), '0');
  // What is known of an account is looked up again within mailbox.accountCacheMs.
  await until(async () => {
    await arrives();
    return (await count('second')) === '0' ? undefined : true;
  });
});

test('what makes no sense is refused with words for the operator', async () => {
  assert.match(await refused('domain', 'add', 'example.test'), /example\.test/);
  assert.match(await refused('account', 'remove', 'nobody@example.test'), /nobody@example\.test/);
  assert.match(await refused('domain', 'remove', 'example.test'), /account/);
  assert.match(await refused('queue', 'flush'), /--all/);
  const noPassword = await angarium.command(['account', 'add', 'bob@example.test'], '');
  assert.match(noPassword.stderr, /password/);
});

test('the queue says what waits and why, and obeys flush, suspend, resume and delete', async () => {
  await ok('domain', 'add', 'gone.test');
  await ok('transport', 'add', 'gone.test', 'smarthost', '127.0.0.1:1', '--tls', 'never');
  const queueId = await send('x@gone.test');
  const first = await until(async () => {
    const [row] = JSON.parse(await ok('queue', 'list', '--json', '--domain', 'gone.test'));
    return row?.attempts === 1 ? row : undefined;
  });
  assert.equal(first.queueId, queueId);
  assert.equal(first.state, 'deferred');
  assert.match(await ok('queue', 'why', queueId), /due|site/);
  assert.match(await ok('queue', 'list'), /1 of 1 recipients/);
  assert.match(await ok('queue', 'list', '--older-than', '1h'), /0 of 0 recipients/);

  await ok('queue', 'suspend', 'domain:gone.test', '--reason', 'their host is down');
  assert.match(await ok('queue', 'suspensions'), /domain:gone\.test .*their host is down/);
  assert.match(await ok('queue', 'why', queueId), /suspended/);
  await ok('queue', 'resume', 'domain:gone.test');
  assert.match(await refused('queue', 'resume', 'domain:gone.test'), /not suspended/);

  assert.match(await ok('queue', 'flush', queueId), /1 recipients/);
  await until(async () => (JSON.parse(await ok('queue', 'list', '--json'))[0]?.attempts === 2 ? true : undefined));
  assert.match(await ok('queue', 'delete', queueId), /1 recipients deleted/);
  assert.match(await refused('queue', 'show', queueId), /not queued/);
  const count = await mailCount(angarium, 0);
  assert.equal(count.discarded, 1);
});

test('limits are listed, and an order about one that the configuration does not name is refused', async () => {
  assert.match(await ok('limits'), /^LIMIT +CONNECTIONS +MESSAGES/);
  assert.match(await refused('limits', 'set', 'big', '--connections', '2'), /delivery\.limits names no big; it names none/);
  assert.match(await refused('limits', 'reset', 'big'), /names no big/);
  const { code, stderr } = await angarium.command(['limits', 'set', 'big', '--messages', 'many']);
  assert.deepEqual([code, /a number of 1 or more/.test(stderr)], [1, true]);
});

test('the lanes of one machine are all its own, and say how far they are', async () => {
  const { lanes, workers } = JSON.parse(await ok('lanes', '--json'));
  assert.ok(lanes.length > 0 && lanes.every(({ state }: { state: string }) => state === 'live'));
  assert.equal(workers.length, 1);
  assert.match(await ok('lanes'), /LANE +WORKER +EPOCH.*1 workers; 0 of \d+ lanes are being taken over/s);
});

test('config check tells file, line and key of every mistake', async () => {
  const file = join(folder, 'bad.yaml');
  await writeFile(file, 'hostname: x\ningress:\n  maxErors: 3\n  maxConnections: many\n');
  const { code, stderr } = await angarium.command(['--config', file, 'config', 'check']);
  assert.equal(code, 2);
  assert.match(stderr, /bad\.yaml:3: ingress\.maxErors: no such key/);
  assert.match(stderr, /bad\.yaml:4: ingress\.maxConnections: /);
});

test('a role that needs the log alone names the cure', async () => {
  const { code, stderr } = await angarium.command(['delivery']);
  assert.equal(code, 2);
  assert.match(stderr, /angarium up/);
});

test('a second process on the same data folder is refused by name', async () => {
  const { code, stderr } = await angarium.command(['up']);
  assert.notEqual(code, 0);
  assert.match(stderr, /data/);
});

/** The folder itself and whatever in it has a permission for group or others. */
async function readableByOthers(top: string): Promise<string[]> {
  const entries = await readdir(top, { recursive: true });
  const paths = [top, ...entries.map((name) => join(top, name))];
  const modes = await Promise.all(paths.map(async (path) => (await stat(path)).mode & 0o077));
  return paths.filter((_, at) => modes[at] !== 0);
}

test('a stopped data folder is backed up and restored, and a damaged backup is refused', async () => {
  const target = join(folder, 'backup');
  assert.equal(await angarium.stop(), 0);
  assert.match(await ok('backup', target), /format 1/);
  assert.match(await refused('restore', target), /not empty/);
  await run('rm', ['-r', join(folder, 'data')]);
  assert.match(await ok('restore', target), /restored/);
  assert.deepEqual(await readableByOthers(join(folder, 'data')), []);
  assert.deepEqual(await readableByOthers(target), []);
  angarium = await startAngarium(folder);
  assert.equal(await rcpt('team@example.test'), 250);
  await angarium.stop();
  await writeFile(join(target, 'directory.sqlite'), 'damaged');
  await run('rm', ['-r', join(folder, 'data')]);
  assert.match(await refused('restore', target), /directory\.sqlite: not what was backed up/);
});
