import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { type Angarium, mailCount, makeFolder, startAngarium } from './angarium.ts';
import { isRefusal, type Probe, provoke, sendGood, startProbe } from './hostile.ts';
import { readMailbox } from './letters.ts';

/*
 * Octets that nobody should send by SMTP. Each time: a clear reply or a close, nothing taken that was not sent as mail, and
 * the next good mail goes through.
 */

const ANN = { address: 'ann@angarium.test', password: 'secret of ann' };
/** Gets nothing but what was smuggled. */
const VICTIM = { address: 'victim@angarium.test', password: 'secret of victim' };
/** Longest answer to a NOOP of somebody else meanwhile: 50 ms, were the machine ours alone. */
const PROBE_MS = 1000;
const CONFIG = { ingress: { maxMessageOctets: '4MiB' } };

const { folder, remove } = await makeFolder();
let angarium: Angarium;
let probe: Probe;
let accepted = 0;

before(async () => {
  angarium = await startAngarium(folder, CONFIG);
  for (const { address, password } of [ANN, VICTIM]) {
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

test('command lines that are too long, or hold what no command holds, are refused and do no harm', async () => {
  const bad: Readonly<Record<string, string>> = {
    'too long': `NOOP ${'x'.repeat(5000)}\r\n`,
    'far too long': `NOOP ${'x'.repeat(3_000_000)}\r\n`,
    NUL: 'NOOP \0\r\n',
    'NUL in an address': 'MAIL FROM:<a\0b@client.test>\r\n',
    '8 bit': 'MAIL FROM:<gr\xfc\xdfe@client.test>\r\n',
    'bare CR': 'NOOP\rNOOP\r\n',
    'bare LF': 'NOOP\nNOOP\r\n',
    'no verb': 'XYZZY\r\n',
    'verb of 3,000 octets': `${'A'.repeat(3000)}\r\n`,
    prototype: '__proto__ x\r\nconstructor\r\ntoString\r\n',
    'no path': 'MAIL FROM:\r\n',
    'long path': `MAIL FROM:<${'a'.repeat(900)}@client.test>\r\n`,
    'unknown parameter': 'MAIL FROM:<a@client.test> FOO=BAR\r\n',
    'SIZE of nonsense': 'MAIL FROM:<a@client.test> SIZE=99999999999999999999999999\r\n',
    HTTP: 'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
  };
  for (const [name, octets] of Object.entries(bad)) {
    const codes = await provoke(angarium, octets);
    assert.ok(isRefusal(codes[0]) || codes[0] === 421, `${name}: ${codes}`);
    assert.ok(
      codes.every((code) => code >= 400 || code === 221),
      `${name}: ${codes}`,
    );
  }
});

test('a session of nothing but errors is closed with 421', async () => {
  const codes = await provoke(angarium, 'GARBAGE\r\n'.repeat(1000));
  assert.equal(codes.at(-1), 421);
  assert.ok(codes.length <= 21, `${codes.length}`);
});

const START = `MAIL FROM:<a@client.test>\r\nRCPT TO:<${ANN.address}>\r\nDATA\r\n`;
const SMUGGLED = `MAIL FROM:<evil@client.test>\r\nRCPT TO:<${VICTIM.address}>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n`;

test('an end of data that is not CRLF.CRLF ends nothing: no second message is smuggled in', async () => {
  for (const end of ['\n.\r\n', '\r\n.\n', '\n.\n', '\r.\r', '\r.\r\n', '\r\n.\r', '\r\n\0.\r\n', '\r\n.\0\r\n', '\r\n.\r\r\n']) {
    const codes = await provoke(angarium, `${START}Subject: x\r\n\r\nfirst${end}${SMUGGLED}`);
    assert.deepEqual(codes.slice(0, 3), [250, 250, 354], JSON.stringify(end));
    const verdict = codes[3] ?? 0;
    assert.ok(isRefusal(verdict) || verdict === 250 || verdict === 421, `${JSON.stringify(end)}: ${codes}`);
    if (verdict === 250) accepted++;
    assert.equal(codes.filter((code) => code === 354).length, 1, `${JSON.stringify(end)}: ${codes}`);
  }
  assert.deepEqual(await readMailbox(angarium, VICTIM), []);
});

test('content with octets that mail should not have is taken as it is or refused, never half', async () => {
  const large = 'x'.repeat(1_000_000);
  const contents = [
    'a\0b\r\n',
    `${large}\r\n`,
    '\xff\xfe\xfd\r\n',
    'bare\rCR\r\n',
    'bare\nLF\r\n',
    `${'\r\n'.repeat(300_000)}`,
    `${'A: b\r\n'.repeat(100_000)}\r\n`,
    `Subject:${' \r\n'.repeat(50_000)}\r\n\r\n`,
  ];
  for (const content of contents) {
    const codes = await provoke(angarium, `${START}${content}.\r\n`);
    const verdict = codes[3] ?? 0;
    assert.ok(verdict === 250 || isRefusal(verdict), `${JSON.stringify(content.slice(0, 20))}: ${codes}`);
    if (verdict === 250) accepted++;
  }
  const tooLarge = await provoke(angarium, `${START}${`${'x'.repeat(998)}\r\n`.repeat(5000)}.\r\n`);
  assert.equal(tooLarge[3], 552);
});

test('garbage behind the final dot is refused line by line and the mail is kept', async () => {
  const codes = await provoke(angarium, `${START}Subject: x\r\n\r\nx\r\n.\r\n\0\xff garbage\r\n.\r\nmore\r\n`);
  assert.deepEqual(codes.slice(0, 4), [250, 250, 354, 250]);
  accepted++;
  for (const code of codes.slice(4, -1)) assert.ok(isRefusal(code), `${codes}`);
});

test('10,000 recipients at once: as many as fit are taken, the others are put off, and the mail goes', async () => {
  const recipients = Array.from({ length: 10_000 }, (_, n) => `RCPT TO:<ann+${n}@angarium.test>\r\n`).join('');
  const codes = await provoke(angarium, `MAIL FROM:<a@client.test>\r\n${recipients}DATA\r\nSubject: many\r\n\r\nx\r\n.\r\n`, 'QUIT\r\n');
  const ofRecipients = codes.slice(1, 10_001);
  assert.ok(ofRecipients.every((code, index) => code === (index < 1000 ? 250 : 452)));
  assert.deepEqual(codes.slice(10_001), [354, 250, 221]);
  accepted += 1000;
});

test('all that was taken is accounted for, and no other session had to wait', async (t) => {
  const { accepted: counted, queued, difference } = await mailCount(angarium, 0);
  assert.deepEqual({ counted, queued, difference }, { counted: accepted, queued: 0, difference: 0 });
  assert.deepEqual(await readMailbox(angarium, VICTIM), []);
  const octets = await angarium.metric('process_resident_memory_bytes');
  t.diagnostic(`slowest NOOP meanwhile ${Math.round(probe.slowestMs)} ms, ${Math.round(octets / 1024 ** 2)} MiB`);
  assert.ok(probe.slowestMs < PROBE_MS, `${probe.slowestMs} ms`);
  await probe.stop();
});
