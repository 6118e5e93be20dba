import assert from 'node:assert/strict';
import { connect as connectPlain, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { type Angarium, mailCount, makeFolder, startAngarium, until } from './angarium.ts';
import { codesOf, hearOut, type Probe, sendGood, startProbe } from './hostile.ts';
import { openMx } from './letters.ts';
import { SEED, seeded } from './random.ts';
import { openSession, type Session, secured } from './session.ts';

/*
 * Clients that nobody wants, at every door: too many, too slow, silent, guessing, injecting, or not of the protocol at all. Each
 * time: a clear reply or a close, and the next good mail goes through.
 */

const ANN = { address: 'ann@angarium.test', password: 'secret of ann' };
/** Longest answer to a NOOP of somebody else meanwhile: 50 ms, were the machine ours alone. */
const PROBE_MS = 1000;
const CLIENT_CONNECTIONS = 40;
const CONFIG = {
  ingress: {
    greetingTimeoutMs: '3s',
    commandTimeoutMs: '3s',
    dataTimeoutMs: '3s',
    tlsHandshakeTimeoutMs: '3s',
    maxTransactionMs: '6s',
    authFailureDelayMs: '10ms',
    maxConnectionsPerClient: CLIENT_CONNECTIONS,
  },
  mailbox: { idleTimeoutMs: '3s', tlsHandshakeTimeoutMs: '3s', authFailureDelayMs: '10ms' },
};

const { folder, remove } = await makeFolder();
let angarium: Angarium;
let probe: Probe;
let accepted = 0;

before(async () => {
  console.log(`seed ${SEED}: run again with SEED=${SEED}`);
  angarium = await startAngarium(folder, CONFIG);
  for (const { address, password } of [ANN]) {
    const { code, stderr } = await angarium.command(['account', 'add', address], `${password}\n`);
    assert.equal(code, 0, stderr);
  }
  probe = startProbe(angarium);
});
after(async () => {
  await probe?.stop().catch(() => {});
  await angarium?.stop();
  await remove();
});
afterEach(async () => {
  await sendGood(angarium, ANN.address);
  accepted++;
});

test('clients over the cap are told with 421, and those within go on', async () => {
  const first = await openMx(angarium);
  const sessions = Array.from({ length: CLIENT_CONNECTIONS + 10 }, () => openSession(angarium.addresses.mx[0] ?? ''));
  const greetings = await Promise.all(sessions.map((session) => session.reply().catch(() => ({ code: 0 }))));
  assert.ok(greetings.filter(({ code }) => code === 421).length >= 10);
  assert.equal((await first.ask('NOOP')).code, 250);
  for (const session of [first, ...sessions]) session.end();
  await until(async () => ((await angarium.metric('angarium_ingress_connections')) <= 2 ? true : undefined));
});

const START = ['MAIL FROM:<a@client.test>', `RCPT TO:<${ANN.address}>`, 'DATA'];

/** Resolves with ms until the peer closes. */
async function lifeOf(session: Session): Promise<number> {
  const started = performance.now();
  await hearOut(session);
  return performance.now() - started;
}

test('who says nothing, or too slowly, is closed in time', async () => {
  const trickle = (session: Session, text: string) => {
    const timer = setInterval(() => session.send(text), 500);
    void session.closed.then(() => clearInterval(timer));
  };
  const silent = openSession(angarium.addresses.mx[0] ?? '');
  const silentTls = openSession(angarium.addresses.submissions[0] ?? '');
  const idle = await openMx(angarium);
  const slow = await openMx(angarium);
  trickle(slow, 'N');
  const inData = await openMx(angarium);
  for (const line of START) await inData.ask(line);
  const slowData = await openMx(angarium);
  for (const line of START) await slowData.ask(line);
  trickle(slowData, 'x\r\n');
  const silentPop = openSession(angarium.addresses.pop3[0] ?? '');
  const slowPop = openSession(angarium.addresses.pop3[0] ?? '');
  trickle(slowPop, 'N');
  const silentPopTls = openSession(angarium.addresses.pop3s[0] ?? '');
  const lives = await Promise.all([silent, silentTls, idle, slow, inData, slowData, silentPop, slowPop, silentPopTls].map(lifeOf));
  for (const ms of lives) assert.ok(ms < 14_000, lives.map(Math.round).join());
});

test('what comes before the handshake counts for nothing after it', async () => {
  const smtp = openSession(angarium.addresses.submission[0] ?? '');
  await smtp.reply();
  await smtp.ask('EHLO client.test');
  smtp.send('STARTTLS\r\nMAIL FROM:<evil@client.test>\r\nNOOP injected\r\nRSE');
  assert.equal((await smtp.reply()).code, 220);
  const secure = await secured(smtp);
  secure.send('NOOP\r\n');
  const first = await secure.reply();
  assert.equal(first.code, 250, 'NOOP, not the half line before it');
  assert.ok((await secure.ask(`MAIL FROM:<${ANN.address}>`)).code >= 500, 'neither EHLO nor login outlive the handshake');
  secure.end();

  const pop = openSession(angarium.addresses.pop3[0] ?? '');
  await pop.line();
  pop.send('STLS\r\nUSER ann@angarium.test\r\nPA');
  assert.match(await pop.line(), /^\+OK/);
  const securePop = await secured(pop);
  securePop.send('CAPA\r\n');
  assert.match(await securePop.line(), /^\+OK/);
  assert.equal(await securePop.line(), 'TOP');
  securePop.end();
});

test('logins that make no sense are refused, and none gets in', async () => {
  const lines = [
    'AUTH',
    'AUTH ',
    'AUTH PLAIN !!!!',
    'AUTH PLAIN =',
    `AUTH PLAIN ${'A'.repeat(30_000)}`,
    'AUTH PLAIN \0',
    'AUTH XYZ AAAA',
    'AUTH PLAIN AAAA',
    'AUTH LOGIN ====',
    'AUTH PLAIN AGFubgB4 AGFubgB4',
    'AUTH __proto__',
  ];
  for (const line of lines) {
    const session = openSession(angarium.addresses.submissions[0] ?? '', 'tls');
    await session.reply();
    await session.ask('EHLO client.test');
    session.send(`${line}\r\n*\r\nMAIL FROM:<${ANN.address}>\r\nQUIT\r\n`);
    const codes = codesOf(await hearOut(session));
    assert.ok(codes.length > 0 && !codes.includes(235) && !codes.includes(250), `${line.slice(0, 40)}: ${codes}`);
  }
  const clear = openSession(angarium.addresses.mx[0] ?? '');
  await clear.reply();
  await clear.ask('EHLO client.test');
  assert.ok((await clear.ask('AUTH PLAIN AGFubgB4')).code >= 500);
  clear.end();
});

test('POP3: bad lines and numbers are refused, and no error opens a mailbox', async () => {
  const bad = [
    '',
    'XYZZY',
    'USER',
    `USER ${'x'.repeat(5000)}`,
    `USER ${'x'.repeat(1_000_000)}`,
    'USER \0\xff',
    'PASS x',
    'RETR 1',
    'STAT',
    'USER a\rUSER b',
    'USER a\nSTAT',
    '__proto__',
    'AUTH PLAIN !!!',
    'AUTH XYZ',
  ];
  for (const line of bad) {
    const session = openSession(angarium.addresses.pop3s[0] ?? '', 'tls');
    assert.match(await session.line(), /^\+OK/);
    session.send(`${line}\r\nSTAT\r\nQUIT\r\n`);
    const answers = await hearOut(session);
    assert.ok(
      answers.every((answer) => /^(-ERR|\+OK)/.test(answer)),
      `${line.slice(0, 30)}: ${answers}`,
    );
    assert.ok(answers.some((answer) => answer.startsWith('-ERR')) || answers.length === 0, `${line.slice(0, 30)}: ${answers}`);
  }
  const session = openSession(angarium.addresses.pop3s[0] ?? '', 'tls');
  await session.line();
  for (const line of [`USER ${ANN.address}`, `PASS ${ANN.password}`]) {
    session.send(`${line}\r\n`);
    assert.match(await session.line(), /^\+OK/);
  }
  for (const line of [
    'RETR 0',
    'RETR -1',
    'RETR 99999999999999999999',
    'RETR 1e0',
    'RETR 0x1',
    'RETR',
    'DELE 4294967296',
    'TOP 1',
    'TOP 1 -1',
    'LIST x',
    'UIDL 0',
    'USER b',
  ]) {
    session.send(`${line}\r\n`);
    assert.match(await session.line(), /^-ERR/, line);
  }
  session.send('QUIT\r\n');
  assert.match(await session.line(), /^\+OK/);
});

/** Sends the octets, then no more; resolves when the other side has closed. */
async function pour(socket: Socket, octets: Uint8Array): Promise<void> {
  socket.on('error', () => {});
  socket.resume();
  socket.end(octets);
  const late = setTimeout(() => socket.destroy(new Error('late')), 10_000);
  const started = performance.now();
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  clearTimeout(late);
  assert.ok(performance.now() - started < 9000, 'not closed');
}

test('random octets at every door: it closes, and nothing breaks', async () => {
  const { mx, submission, submissions, pop3, pop3s, metrics } = angarium.addresses;
  const doors = [...mx, ...submission, ...submissions, ...pop3, ...pop3s, metrics].map((address) => {
    const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? [];
    return { host, port: Number(port) };
  });
  const random = seeded(SEED);
  const starts = [
    '',
    '',
    'EHLO x\r\n',
    'GET /metrics HTTP/1.1\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00',
    'CAPA\r\n',
  ];
  const octets = () => {
    const body = Buffer.from(Array.from({ length: Math.floor(random() * 3000) }, () => Math.floor(random() * 256)));
    return Buffer.concat([Buffer.from(starts[Math.floor(random() * starts.length)] ?? '', 'latin1'), body]);
  };
  const control = join(folder, 'data', 'control.sock');
  for (let round = 0; round < 8; round++) {
    await Promise.all([
      ...doors.map((door) => pour(connectPlain(door), octets())),
      ...doors.slice(2, 3).map((door) => pour(connectTls({ ...door, rejectUnauthorized: false }), octets())),
      pour(connectPlain(control), octets()),
    ]);
  }
  const { code, stderr } = await angarium.command(['queue', 'list']);
  assert.equal(code, 0, stderr);
  assert.equal((await fetch(`http://${metrics}/readyz`)).status, 200);
});

test('all that was taken is accounted for, and no other session had to wait', async (t) => {
  const { accepted: counted, queued, difference } = await mailCount(angarium, 0);
  assert.deepEqual({ counted, queued, difference }, { counted: accepted, queued: 0, difference: 0 });
  const octets = await angarium.metric('process_resident_memory_bytes');
  t.diagnostic(`slowest NOOP meanwhile ${Math.round(probe.slowestMs)} ms, ${Math.round(octets / 1024 ** 2)} MiB`);
  assert.ok(probe.slowestMs < PROBE_MS, `${probe.slowestMs} ms`);
  await probe.stop();
});
