import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { afterEach, test } from 'node:test';
import { setTimeout as pauseMs } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { message, startTestMailbox, type TestMailbox, type TestMailboxOptions, testPair, to } from '../testing/fixture.ts';
import { connectPop3, logIn, type Pop3Client, readAll } from '../testing/pop3-client.ts';

const ANN = 'ann@example.org';
let box: TestMailbox;
const clients: Pop3Client[] = [];

async function start(options: TestMailboxOptions = {}): Promise<void> {
  box = await startTestMailbox({ accounts: [ANN], ...options });
}
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await box.close();
});

const kept = (client: Pop3Client): Pop3Client => {
  clients.push(client);
  return client;
};
const plain = async () => kept(await connectPop3(box.service.addresses.pop3[0] ?? ''));
const secure = async () => kept(await connectPop3(box.service.addresses.pop3s[0] ?? '', { tls: {} }));
const login = async () => kept(await logIn(box.service.addresses.pop3s[0] ?? '', ANN));
const metric = async (pattern: RegExp) => Number(pattern.exec((await box.metrics.scrape()).text)?.[1] ?? 0);

async function until(isSo: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await isSo())) await pauseMs(1);
}

async function deliver(...texts: readonly string[]): Promise<void> {
  for (const [index, text] of texts.entries()) await box.deliver({ queueId: `q${index}`, content: message(text), recipients: to(ANN) });
}

test('STLS changes to TLS, and then the login works', async () => {
  await start();
  const client = await plain();
  assert.match(await client.line(), /^\+OK/);
  assert.match(await client.ask(`USER ${ANN}`), /^-ERR \[SYS\/PERM\]/);
  assert.equal(await client.ask('STLS'), '+OK begin TLS');
  await client.startTls();
  await client.ask(`USER ${ANN}`);
  assert.equal(await client.ask('PASS right'), '+OK 0 messages (0 octets)');
});

test('what a client or a stranger in between sent behind STLS is dropped', async () => {
  await start();
  const client = await plain();
  await client.line();
  client.send(`STLS\r\nUSER ${ANN}\r\nPASS ri`);
  assert.equal(await client.line(), '+OK begin TLS');
  await client.startTls();
  assert.equal(await client.ask('PASS right'), '-ERR USER comes first');
});

test('garbage instead of a handshake ends the connection, and nothing else', async () => {
  await start();
  const client = await plain();
  await client.line();
  await client.ask('STLS');
  client.send('this is no handshake\r\n'.repeat(20));
  await client.rest();
  const direct = kept(await connectPop3(box.service.addresses.pop3s[0] ?? ''));
  direct.send('CAPA\r\n');
  await direct.rest();
  await until(() => metric(/pop3_sessions_total\{end="lost"\} (\d+)/).then((count) => count === 2));
  assert.equal((await readAll(box.service.addresses.pop3s[0] ?? '', ANN)).length, 0);
});

test('a client that ends in the middle of a handshake is gone at once', async () => {
  await start();
  const direct = kept(await connectPop3(box.service.addresses.pop3s[0] ?? ''));
  direct.send(Uint8Array.of(22, 3, 1, 2, 0));
  direct.end();
  await direct.rest();
  await until(() => metric(/pop3_sessions_total\{end="lost"\} (\d+)/).then((count) => count === 1));
});

test('TLS before 1.2 is refused', async () => {
  await start();
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const;
  await assert.rejects(connectPop3(box.service.addresses.pop3s[0] ?? '', { tls: old }));
});

test('a new certificate is used by the next handshake; a broken pair changes nothing', async () => {
  await start();
  const nameOf = async () => ((await secure()).socket as TLSSocket).getPeerCertificate().subject.CN;
  assert.equal(await nameOf(), 'first.mailbox.test');
  box.changeTls(await testPair('second'));
  assert.equal(await nameOf(), 'second.mailbox.test');
  box.changeTls({ key: Buffer.from('broken'), cert: Buffer.from('broken') });
  assert.equal(await nameOf(), 'second.mailbox.test');
});

test('one session has a maildrop; the next may have it when that one is over', async () => {
  await start();
  const first = await login();
  await assert.rejects(login(), /\[IN-USE\]/);
  assert.equal(await metric(/pop3_sessions (\d+)/), 1);
  assert.equal(await first.ask('QUIT'), '+OK bye');
  const second = await login();
  second.destroy();
  await until(() => metric(/pop3_connections (\d+)/).then((count) => count <= 1));
  await login();
});

test('wrong passwords in many sessions at once are no more than the client may try', async () => {
  await start({ config: { authFailuresPerClient: 2, authFailureDelayMs: 0 } });
  let asked = 0;
  const { authenticate } = box.directory;
  let answer = () => {};
  const judged = new Promise<void>((resolve) => {
    answer = resolve;
  });
  box.directory.authenticate = async (request) => {
    asked += 1;
    await judged;
    return authenticate(request);
  };
  const guessing = Array.from({ length: 5 }, async () => {
    const client = await secure();
    await client.line();
    await client.ask(`USER ${ANN}`);
    return client.ask('PASS wrong');
  });
  const isLimited = (reply: string) => reply.startsWith('-ERR [SYS/TEMP]');
  await until(async () => asked > 2 || (await metric(/pop3_logins_total\{outcome="limited"\} (\d+)/)) === 3);
  answer();
  await until(() => metric(/pop3_logins_total\{outcome="wrong"\} (\d+)/).then((count) => count === asked));
  box.clock.move(0);
  const replies = await Promise.all(guessing);
  assert.equal(asked, 2);
  assert.equal(replies.filter(isLimited).length, 3);
});

test('messages are deleted at QUIT, and not when the connection is lost', async () => {
  await start();
  await deliver('Subject: one\n\n', 'Subject: two\n\n');
  const lost = await login();
  await lost.ask('DELE 1');
  lost.destroy();
  await until(() => metric(/pop3_connections (\d+)/).then((count) => count === 0));
  const quits = await login();
  assert.equal(await quits.ask('STAT'), '+OK 2 164');
  await quits.ask('DELE 1');
  assert.equal(await quits.ask('QUIT'), '+OK bye');
  assert.match((await readAll(box.service.addresses.pop3s[0] ?? '', ANN)).join(), /^[^,]*Subject: two[^,]*$/);
});

test('QUIT deletes only what was there at login', async () => {
  await start();
  await deliver('Subject: one\n\n');
  const client = await login();
  await box.deliver({ queueId: 'later', recipients: to(ANN) });
  assert.match(await client.ask('DELE 2'), /^-ERR/);
  await client.ask('DELE 1');
  await client.ask('QUIT');
  assert.match((await readAll(box.service.addresses.pop3s[0] ?? '', ANN)).join(), /^[^,]*Subject: hello[^,]*$/);
});

test('unique ids stay over a restart, and are not given again after a deletion', async () => {
  await start();
  await deliver('Subject: one\n\n', 'Subject: two\n\n');
  const uidl = async () => {
    const client = await login();
    await client.ask('UIDL');
    const lines = await client.lines();
    await client.ask('DELE 2');
    await client.ask('QUIT');
    return lines.map((line) => line.split(' ')[1]);
  };
  const [one, two] = await uidl();
  box = await box.restart();
  assert.deepEqual(await uidl(), [one]);
  await box.deliver({ queueId: 'later', recipients: to(ANN) });
  const after = await uidl();
  assert.equal(after[0], one);
  assert.ok(after[1] !== undefined && after[1] !== two);
});

test('sizes are the octets that are sent, without the doubled dots', async () => {
  await start();
  await deliver('Subject: dots\n\n.\n..\n.x\n\n.');
  const client = await login();
  const [, octets] = (await client.ask('LIST 1')).split(' ').slice(1);
  assert.equal(await client.ask('RETR 1'), `+OK ${octets} octets`);
  const lines = await client.lines();
  assert.deepEqual(lines.slice(-5), ['..', '...', '..x', '', '..']);
  assert.equal(
    lines.map((line) => line.replace(/^\./, '').length + 2).reduce((a, b) => a + b),
    Number(octets),
  );
});

test('pipelined commands are answered in order, also behind the end of input', async () => {
  await start();
  await deliver('Subject: one\n\nbody\n');
  const client = await plain();
  client.send('CAPA\r\nNOOP\r\nUSER x\r\nQUIT\r\n');
  client.end();
  const answer = (await client.rest()).split('\r\n').filter((line) => /^[+-]/.test(line));
  assert.deepEqual(
    answer.map((line) => line.split(' ')[0]),
    ['+OK', '+OK', '-ERR', '-ERR', '+OK'],
  );
  const inside = await login();
  inside.send('STAT\r\nRETR 1\r\nDELE 1\r\nNOOP\r\nQUIT\r\n');
  const text = await inside.rest();
  assert.match(
    text,
    /^\+OK 1 88\r\n\+OK 88 octets\r\n[\s\S]*\r\nbody\r\n\.\r\n\+OK marked, deleted at QUIT\r\n\+OK nothing done\r\n\+OK bye\r\n$/,
  );
});

test('commands are understood one octet at a time', async () => {
  await start();
  await deliver('Subject: one\n\nbody\n');
  const client = await login();
  for (const octet of 'STAT\r\nLIST 1\r\n') {
    client.send(octet);
    await new Promise(setImmediate);
  }
  assert.equal(await client.line(), '+OK 1 88');
  assert.equal(await client.line(), '+OK 1 88');
});

test('a wrong password is answered after the delay, and the session ends at the limit', async () => {
  await start({ config: { maxAuthFailures: 2 } });
  const client = await secure();
  await client.line();
  for (const _ of [1, 2]) {
    await client.ask(`USER ${ANN}`);
    const wrong = metric(/logins_total\{outcome="wrong"\} (\d+)/);
    const answer = client.ask('PASS wrong');
    const before = await wrong;
    await until(() => metric(/logins_total\{outcome="wrong"\} (\d+)/).then((count) => count > before));
    let isAnswered = false;
    void answer.then(() => {
      isAnswered = true;
    });
    box.clock.move(999);
    await pauseMs(2);
    assert.equal(isAnswered, false);
    box.clock.move(1);
    assert.equal(await answer, '-ERR [AUTH] wrong name or password');
  }
  assert.equal(await client.rest(), '');
});

test('an address with too many wrong passwords is not looked at until the window ends', async () => {
  await start({ config: { authFailuresPerClient: 1, authFailureDelayMs: 0 } });
  const client = await secure();
  await client.line();
  await client.ask(`USER ${ANN}`);
  const wrong = client.ask('PASS wrong');
  await until(() => metric(/logins_total\{outcome="wrong"\} (\d+)/).then((count) => count === 1));
  box.clock.move(0);
  assert.match(await wrong, /^-ERR \[AUTH\]/);
  await client.ask(`USER ${ANN}`);
  assert.match(await client.ask('PASS right'), /^-ERR \[SYS\/TEMP\]/);
  client.destroy();
  box.clock.move(600_000);
  await login();
});

test('a directory that is down is told as temporary', async () => {
  await start();
  box.directory.isDown = true;
  await assert.rejects(login(), /\[SYS\/TEMP\]/);
});

test('connections are limited in total and per client', async () => {
  await start({ config: { maxConnectionsPerClient: 2 } });
  for (const _ of [1, 2]) await (await plain()).line();
  assert.equal(await (await plain()).rest(), '-ERR [SYS/TEMP] too many connections\r\n');
  await box.close();
  await start({ config: { maxConnections: 1 } });
  await (await plain()).line();
  assert.equal(await (await plain()).rest(), '-ERR [SYS/TEMP] too many connections\r\n');
});

test('a client that says nothing is dropped at the idle limit, one that talks stays until the session limit', async () => {
  await start({ config: { idleTimeoutMs: 60_000, maxSessionMs: 150_000 } });
  const silent = await plain();
  await silent.line();
  const talks = await plain();
  await talks.line();
  box.clock.move(59_000);
  assert.match(await talks.ask('CAPA'), /^\+OK/);
  await talks.lines();
  box.clock.move(2000);
  assert.equal(await silent.rest(), '');
  box.clock.move(50_000);
  assert.match(await talks.ask('CAPA'), /^\+OK/);
  await talks.lines();
  box.clock.move(50_000);
  assert.equal(await talks.rest(), '');
  assert.equal(await metric(/pop3_sessions_total\{end="timeout"\} (\d+)/), 2);
});

test('a handshake that does not come is dropped at its limit', async () => {
  await start();
  const direct = kept(await connectPop3(box.service.addresses.pop3s[0] ?? ''));
  await until(() => metric(/pop3_connections (\d+)/).then((count) => count === 1));
  box.clock.move(32_000);
  await direct.rest();
});

test('a client that takes nothing is dropped, and what it was sent is not all held', async () => {
  await start();
  const content = Buffer.concat([message('Subject: big\n\n'), Buffer.alloc(20_000_000, '.123456789\r\n'), message('\n')]);
  await box.deliver({ queueId: 'big', content, recipients: to(ANN) });
  const client = await login();
  client.socket.pause();
  client.send('RETR 1\r\n');
  const reads = () => metric(/pop3_connections (\d+)/);
  await until(() => client.socket.readableLength > 0 || client.socket.bytesRead > 0);
  box.clock.move(601_000);
  await until(() => reads().then((count) => count === 0));
  assert.ok(client.socket.bytesRead < 15_000_000);
});

test('a big message arrives whole', async () => {
  await start();
  const content = Buffer.concat([message('Subject: big\n\n'), Buffer.alloc(2_500_000, '.123456789\r\n'), message('\n')]);
  await box.deliver({ queueId: 'big', content, recipients: to(ANN) });
  const [text] = await readAll(box.service.addresses.pop3s[0] ?? '', ANN);
  assert.ok(text?.endsWith(content.toString()));
});

test('a message whose body is lost is an error to its reader, and the session goes on', async () => {
  await start();
  await box.deliver({ queueId: 'big', content: Buffer.alloc(50_000, 'x'), recipients: to(ANN) });
  for (const key of box.blobs.keys()) await box.blobs.delete(key);
  const client = await login();
  assert.match(await client.ask('RETR 1'), /^-ERR \[SYS\/TEMP\]/);
  assert.equal(await client.ask('NOOP'), '+OK nothing done');
});

test('a stop ends idle sessions, deletes nothing, and listens no more', async () => {
  await start();
  await deliver('Subject: one\n\n');
  const client = await login();
  await client.ask('DELE 1');
  const address = box.service.addresses.pop3[0] ?? '';
  await box.service.stop();
  assert.equal(await client.rest(), '');
  await assert.rejects(connectPop3(address));
  box = await box.restart();
  assert.equal((await readAll(box.service.addresses.pop3s[0] ?? '', ANN)).length, 1);
});

test('garbage and NULs are refused, and end the session at the limit', async () => {
  await start();
  const octets = fc.sample(fc.uint8Array({ minLength: 300, maxLength: 300 }), { numRuns: 100, seed: 1 });
  for (const garbage of octets) {
    const client = await plain();
    client.send(Buffer.concat([garbage, Buffer.from('\r\n\0\r\n'.repeat(20))]));
    client.end();
    const answers = (await client.rest()).split('\r\n').slice(1, -1);
    assert.ok(answers.length <= 20);
    for (const answer of answers) assert.match(answer, /^-ERR [ -~]+$/);
  }
});

test('a port that is taken stops the start', async () => {
  await start();
  const [taken = ''] = box.service.addresses.pop3;
  const port = Number(taken.split(':')[1]);
  await assert.rejects(startTestMailbox({ config: { pop3: { listen: [taken] } } }), /EADDRINUSE/);
  await new Promise<void>((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(void socket.destroy())).once('error', reject);
  });
});
