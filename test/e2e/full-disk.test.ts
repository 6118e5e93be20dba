import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, statfsSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type HostScript, type SmtpHost, startSmtpHost } from '../fixtures/smtp-host.ts';
import { type Angarium, accounting, makeFolder, startAngarium, until } from './angarium.ts';
import { openMx, readMailbox, send, sendLetter } from './letters.ts';
import { type Load, loadId, startLoad } from './load.ts';

/*
 * The disk gets full under load, nearly and then to the last octet: new mail is put off, old mail is read and its outcomes
 * are written, and all heals when there is room again.
 */

const MIB = 1024 ** 2;
const DISK_MIB = 64;
/** Below it new mail is refused: journal.reserveShare of the disk. */
const RESERVE_OCTETS = Math.floor(0.1 * DISK_MIB * MIB);
const USER = { address: 'ann@angarium.test', password: 'secret of ann' };
const LETTER = { mail: '<load@client.test>', rcpt: [`<${USER.address}>`] };

const { folder, remove } = await makeFolder();
const disk = join(folder, 'disk');

/** For the `skip` option: a small disk of its own needs the right to mount one. In CI the test runs all the same, and fails. */
function mounted(): string | false {
  mkdirSync(disk);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'tmpfs', disk], { stdio: 'pipe' });
    return false;
  } catch (error) {
    const text = `CANNOT MOUNT A SMALL DISK (needs root): ${String(error).trim()}`;
    console.error(text);
    return process.env.CI ? false : text;
  }
}
const skip = mounted();

const CONFIG = {
  dataFolder: disk,
  control: join(folder, 'control.sock'),
  ingress: { relayNetworks: ['127.0.0.0/8'] },
  delivery: { retryMs: ['1h'], ownFaultRetryMs: ['500ms'], mailboxProbeMs: ['500ms'], housekeepingMs: '1s' },
};
const freeOctets = () => {
  const { bavail, bsize } = statfsSync(disk);
  return bavail * bsize;
};

/** Fills the disk until so many octets are free; at 0 to the last one. */
async function fill(leaveOctets: number): Promise<void> {
  const file = await open(join(disk, 'ballast'), 'a');
  const block = Buffer.alloc(64 * 1024);
  try {
    while (freeOctets() > leaveOctets) await file.write(block, 0, Math.min(block.length, freeOctets() - leaveOctets));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    await file.close();
  }
}

let angarium: Angarium;
let sink: SmtpHost;
let sinkTakes = false;
const loads: Load[] = [];
let singles = 0;

before(async () => {
  if (skip) return;
  const script: HostScript = { answers: { RCPT: () => (sinkTakes ? '250 2.1.5 ok' : '450 4.2.1 later') } };
  sink = await startSmtpHost(script);
  angarium = await startAngarium(folder, CONFIG);
  const { code, stderr } = await angarium.command(['account', 'add', USER.address], `${USER.password}\n`);
  assert.equal(code, 0, stderr);
  const added = await angarium.command(['transport', 'add', 'sink.test', 'smarthost', `127.0.0.1:${sink.port}`, '--tls', 'never']);
  assert.equal(added.code, 0, added.stderr);
});
after(async () => {
  for (const load of loads) await load.stop();
  await angarium?.stop();
  await sink?.close();
  if (!skip) execFileSync('umount', ['-l', disk]);
  await remove();
});

async function single(content = 'Subject: single\r\n\r\nx\r\n') {
  const session = await openMx(angarium);
  const answer = await sendLetter(session, { ...LETTER, content });
  session.end();
  return answer;
}
/** Asks with a mail each until it is answered as wanted. */
const untilAnswered = (wanted: (code: number) => boolean, content?: string) =>
  until(async () => {
    const { code, text } = await single(content);
    if (code === 250) singles++;
    return wanted(code) ? `${code} ${text}` : undefined;
  });
const isPutOff = (code: number) => code >= 400 && code < 500;

function startNext(): Load {
  const load = startLoad({
    address: angarium.addresses.mx[0] ?? '',
    sessions: 4,
    recipient: () => USER.address,
    name: `load${loads.length}`,
    octets: 4000,
  });
  loads.push(load);
  return load;
}

test('nearly full, new mail gets 452, and old mail is read, tried and concluded', { skip }, async () => {
  await send(await openMx(angarium), { ...LETTER, rcpt: ['<you@sink.test>'], content: 'Subject: waits\r\n\r\nx\r\n' });
  await angarium.waitFor('delivery.recipient.deferred');
  const load = startNext();
  await until(async () => (load.taken.size > 50 ? true : undefined));
  await load.stop();
  await fill(RESERVE_OCTETS - MIB);
  assert.match(await untilAnswered(isPutOff), /^452 4\.3\.1 /);
  assert.ok((await readMailbox(angarium, USER)).length > 0);
  sinkTakes = true;
  assert.equal((await angarium.command(['queue', 'flush', '--all'])).code, 0);
  await angarium.waitFor('delivery.recipient.delivered', ({ to }) => JSON.stringify(to).includes('you@sink.test'));
});

test('full to the last octet under load, mail is put off, nothing is lost and nothing dies', { skip }, async () => {
  await rm(join(disk, 'ballast'));
  await untilAnswered((code) => code === 250);
  const load = startNext();
  await until(async () => (load.taken.size > 20 ? true : undefined));
  await fill(0);
  await untilAnswered(isPutOff);
  assert.match(await untilAnswered(isPutOff, `Subject: large\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(3000)}`), /^45[12] 4\.3\.[01] /);
  assert.ok((await readMailbox(angarium, USER)).length > 0);
  assert.equal((await fetch(`http://${angarium.addresses.metrics}/livez`)).status, 200);
  await until(async () => (load.refused.size > 20 ? true : undefined));
});

test('with room again it takes mail by itself; all that got 250 is there, and what was put off is not', { skip }, async (t) => {
  await rm(join(disk, 'ballast'));
  const started = Date.now();
  await untilAnswered((code) => code === 250);
  t.diagnostic(`250 again after ${Date.now() - started} ms`);
  const load = startNext();
  await until(async () => (load.taken.size > 20 ? true : undefined));
  await Promise.all(loads.map((one) => one.stop()));
  const count = await until(async () => {
    const now = await accounting(angarium);
    return now.queued === 0 && now.difference === 0 ? now : undefined;
  });
  const contents = await readMailbox(angarium, USER);
  const stored = contents.map(loadId).filter((id) => id !== undefined);
  const taken = loads.flatMap((one) => [...one.taken]);
  const refused = loads.flatMap((one) => [...one.refused.values()]);
  const codes = [...new Set(refused)];
  t.diagnostic(`${taken.length} taken, ${refused.length} put off with ${codes}`);
  const inDoubt = await angarium.metric('angarium_ingress_in_doubt_messages_total');
  assert.deepEqual(
    taken.filter((id) => !stored.includes(id)),
    [],
    'lost',
  );
  assert.equal(new Set(stored).size, stored.length, 'nothing twice');
  assert.ok(stored.length - taken.length <= inDoubt, `${stored.length - taken.length} more than were taken, ${inDoubt} in doubt`);
  assert.equal(contents.length, stored.length + singles);
  assert.deepEqual(
    codes.filter((code) => !isPutOff(code)),
    [],
  );
  for (const { unanswered } of loads) assert.equal(unanswered.size, 0);
  const all = contents.length + 1;
  assert.deepEqual(count, { accepted: all, expanded: 0, delivered: all, bounced: 0, expired: 0, discarded: 0, queued: 0, difference: 0 });
  assert.equal(await angarium.stop(), 0);
});
