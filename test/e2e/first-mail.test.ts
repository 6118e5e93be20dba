import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Angarium, mailCount, makeFolder, run, startAngarium } from './angarium.ts';

const { folder, remove } = await makeFolder();
let angarium: Angarium;
before(async () => {
  angarium = await startAngarium(folder);
});
after(remove);

/** The commands that `angarium up` printed, lines joined. */
const printedCommands = () =>
  angarium.printed
    .join('\n')
    .replaceAll('\\\n', ' ')
    .match(/^ +\S.*$/gm) ?? [];

test('the two commands that the first start prints submit a mail and read it', async () => {
  const [send, read] = printedCommands();
  const sent = await run('sh', ['-c', send ?? 'false']);
  assert.deepEqual([sent.code, sent.stderr], [0, '']);
  const stored = await angarium.waitFor('mailbox.message.stored');
  const accepted = await angarium.waitFor('ingress.message.accepted');
  assert.equal(stored.queueId, accepted.queueId);
  const found = await run('sh', ['-c', read ?? 'false']);
  assert.equal(found.code, 0, found.stderr);
  assert.match(found.stdout, /^Return-Path: <me@angarium\.test>\r\n/);
  assert.match(found.stdout, /^Delivered-To: me@angarium\.test\r\n/m);

  assert.match(found.stdout, /^Received: from .*\r\n\tby angarium\.test with ESMTPSA\r\n(?:\t.*\r\n)*\tid [0-9A-Z]{26}\r\n/m);
  assert.match(found.stdout, /^Message-ID: <.+>\r\n/im);
  assert.match(found.stdout, /^Date: .+\r\n/im);
  assert.match(found.stdout, /\r\n\r\nIt works\.\r\n$/);
});

test('the mail is accounted for', async () => {
  assert.deepEqual(await mailCount(angarium, 0), {
    accepted: 1,
    expanded: 0,
    delivered: 1,
    bounced: 0,
    expired: 0,
    discarded: 0,
    queued: 0,
    difference: 0,
  });
});

test('SIGTERM ends it with 0, and the next start has the mail and prints commands that still work', async () => {
  assert.equal(await angarium.stop(), 0);
  angarium = await startAngarium(folder);
  const [, read] = printedCommands();
  const found = await run('sh', ['-c', read ?? 'false']);
  assert.match(found.stdout, /It works\./);
  assert.equal(await angarium.stop(), 0);
});
