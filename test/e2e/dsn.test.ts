import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type SmtpHost, startSmtpHost } from '../fixtures/smtp-host.ts';
import { type Angarium, mailCount, makeFolder, run, startAngarium, until } from './angarium.ts';
import { need } from './clients.ts';
import { openSubmission, readMailbox, send } from './letters.ts';

/*
 * Delivery status notifications as the sender sees them (RFC 3461, RFC 3464): each letter has an ENVID of its own, and Python's
 * reader of mail tells what came back for it.
 */

const ANN = { address: 'ann@angarium.test', password: 'secret of ann' };
const BEN = { address: 'ben@angarium.test', password: 'secret of ben' };
const CONFIG = {
  delivery: { retryMs: ['400ms'], deadSiteProbeMs: ['400ms'], lifetimeMs: '5s', bounceLifetimeMs: '5s', warnAfterMs: '1s' },
};

interface Report {
  readonly envid: string | null;
  readonly returnPath: string;
  readonly type: string;
  readonly reportType: string;
  readonly to: string;
  readonly autoSubmitted: string;
  readonly defects: number;
  readonly parts: readonly string[];
  readonly message: Readonly<Record<string, string>>;
  readonly recipients: readonly Readonly<Record<string, string>>[];
  /** The returned message or header section. */
  readonly original: string;
}

const READER = `
import sys, json, email, email.policy
found = []
for text in json.load(sys.stdin):
    mail = email.message_from_bytes(text.encode('latin1'), policy=email.policy.default)
    human, status, original = mail.iter_parts()
    blocks = [{name.lower(): value for name, value in block.items()} for block in status.get_payload()]
    found.append({
        'envid': blocks[0].get('original-envelope-id'),
        'returnPath': mail['return-path'], 'type': mail.get_content_type(), 'reportType': mail.get_param('report-type'),
        'to': mail['to'], 'autoSubmitted': mail['auto-submitted'],
        'defects': sum(len(part.defects) for part in mail.walk()),
        'parts': [part.get_content_type() for part in (human, status, original)],
        'message': blocks[0], 'recipients': blocks[1:],
        'original': original.get_payload(0).as_string() if original.is_multipart() else original.get_content(),
    })
json.dump(found, sys.stdout)
`;

async function parse(messages: readonly string[]): Promise<Report[]> {
  const { code, stdout, stderr } = await run('python3', ['-c', READER], JSON.stringify(messages));
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

const skip = need('python3');
const { folder, remove } = await makeFolder();
let angarium: Angarium;
let capable: SmtpHost;
let plain: SmtpHost;
let reports: readonly Report[] = [];

const unknown = (line: string) => (line.includes('nobody@') ? '550 5.1.1 <nobody@plain.test> no such user' : '250 2.1.5 ok');

before(async () => {
  capable = await startSmtpHost({ offers: ['PIPELINING', '8BITMIME', 'DSN'] });
  plain = await startSmtpHost({ answers: { RCPT: unknown } });
  angarium = await startAngarium(folder, CONFIG);
  for (const { address, password } of [ANN, BEN]) {
    const { code, stderr } = await angarium.command(['account', 'add', address], `${password}\n`);
    assert.equal(code, 0, stderr);
  }
  const ways = { capable: `127.0.0.1:${capable.port}`, plain: `127.0.0.1:${plain.port}`, dead: '127.0.0.1:1' };
  for (const [name, at] of Object.entries(ways)) {
    const { code, stderr } = await angarium.command(['transport', 'add', `${name}.test`, 'smarthost', at, '--tls', 'never']);
    assert.equal(code, 0, stderr);
  }
});
after(async () => {
  await angarium?.stop();
  await capable?.close();
  await plain?.close();
  await remove();
});

/** A letter of Ann's; the ENVID is its subject too. */
async function submit(envid: string, rcpt: string, { ret = '', from = ANN.address } = {}): Promise<void> {
  const content = `From: <${ANN.address}>\r\nTo: <x@y.test>\r\nSubject: ${envid}\r\n\r\nbody of ${envid}\r\n`;
  const mail = `<${from}>${ret === '' ? '' : ` RET=${ret}`} ENVID=${envid}`;
  await send(await openSubmission(angarium, ANN), { mail, rcpt: [rcpt], content });
}

const of = (envid: string) => reports.filter((report) => report.envid === envid);
function only(envid: string): Report {
  const [first, ...more] = of(envid);
  assert.ok(first, `no report about ${envid}`);
  assert.equal(more.length, 0, `more than one about ${envid}`);
  return first;
}

test('letters with every wish are taken, and what is to be reported comes back as reports that Python reads', { skip }, async () => {
  await submit('local+2B1', `<${BEN.address}> NOTIFY=SUCCESS ORCPT=rfc822;B+2BEN@angarium.test`, { ret: 'HDRS' });
  await submit('local-failure-only', `<${BEN.address}> NOTIFY=FAILURE,DELAY`);
  await submit('local-never', `<${BEN.address}> NOTIFY=NEVER`);
  await submit('local-default', `<${BEN.address}>`);
  await submit('capable', '<x@capable.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;X@capable.test', { ret: 'FULL' });
  await submit('relayed', '<x@plain.test> NOTIFY=SUCCESS,FAILURE', { ret: 'HDRS' });
  await submit('unknown-full', '<nobody@plain.test> NOTIFY=FAILURE ORCPT=rfc822;old@plain.test', { ret: 'FULL' });
  await submit('unknown-hdrs', '<nobody@plain.test> NOTIFY=FAILURE', { ret: 'HDRS' });
  await submit('unknown-default', '<nobody@plain.test>');
  await submit('unknown-success', '<nobody@plain.test> NOTIFY=SUCCESS');
  await submit('unknown-never', '<nobody@plain.test> NOTIFY=NEVER');
  await submit('unknown-null', '<nobody@plain.test> NOTIFY=FAILURE', { from: '' });
  await submit('dead', '<x@dead.test> NOTIFY=FAILURE');
  await submit('dead-delay', '<x@dead.test> NOTIFY=DELAY');
  await submit('dead-null', '<x@dead.test> NOTIFY=DELAY,FAILURE', { from: '' });

  const messages = await until(async () => {
    const found = await readMailbox(angarium, ANN);
    return found.length >= 7 ? found : undefined;
  }, 25_000);
  reports = await parse(messages);
  assert.deepEqual(reports.map(({ envid }) => envid).toSorted(), [
    'dead',
    'dead-delay',
    'local+1',
    'relayed',
    'unknown-default',
    'unknown-full',
    'unknown-hdrs',
  ]);
});

test('every report has the form of RFC 3464 and RFC 6522, and is itself never to be reported', { skip }, () => {
  for (const report of reports) {
    const { type, reportType, returnPath, to, defects, parts, message, recipients } = report;
    assert.deepEqual([type, reportType, returnPath, defects], ['multipart/report', 'delivery-status', '<>', 0]);
    assert.match(to, /ann@angarium\.test/);
    assert.match(report.autoSubmitted, /^auto-(replied|generated)/);
    assert.equal(parts[0], 'text/plain');
    assert.equal(parts[1], 'message/delivery-status');
    assert.equal(message['reporting-mta'], 'dns; angarium.test');
    assert.ok(message['arrival-date']);
    assert.equal(recipients.length, 1);
    for (const recipient of recipients)
      assert.match(`${recipient['final-recipient']} ${recipient.status}`, /^rfc822; ?\S+@\S+ [245]\.\d+\.\d+$/);
  }
});

test('success is reported where it was asked for: delivered here, relayed by a host that knows no DSN', { skip }, () => {
  const local = only('local+1');
  assert.deepEqual(
    [local.recipients[0]?.action, local.recipients[0]?.['original-recipient'], local.parts[2]],
    ['delivered', 'rfc822;B+EN@angarium.test', 'text/rfc822-headers'],
  );
  assert.match(local.original, /Subject: local\+2B1/);
  assert.doesNotMatch(local.original, /body of/);
  const { recipients } = only('relayed');
  assert.equal(recipients[0]?.action, 'relayed');
  assert.equal(recipients[0]?.['final-recipient'], 'rfc822;x@plain.test');
});

test('a host that knows DSN is told all of it, and reports in our place', { skip }, () => {
  assert.ok(
    capable.lines.some((line) => / MAIL FROM:<ann@angarium\.test>.* RET=FULL ENVID=capable$/.test(line)),
    capable.lines.join('\n'),
  );
  assert.ok(capable.lines.some((line) => line.endsWith(' RCPT TO:<x@capable.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;X@capable.test')));
  assert.ok(!plain.lines.some((line) => /NOTIFY|ENVID|RET=|ORCPT/.test(line)), plain.lines.join('\n'));
});

test('failure is reported with the reply of the host and as much of the message as was wished', { skip }, () => {
  const full = only('unknown-full');
  const [recipient] = full.recipients;
  assert.deepEqual([recipient?.action, recipient?.status, recipient?.['original-recipient']], ['failed', '5.1.1', 'rfc822;old@plain.test']);
  assert.match(recipient?.['diagnostic-code'] ?? '', /^smtp; 550 5\.1\.1 .*no such user/);
  assert.match(recipient?.['remote-mta'] ?? '', /^dns; /);
  assert.equal(full.parts[2], 'message/rfc822');
  assert.match(full.original, /body of unknown-full/);
  const headers = only('unknown-hdrs');
  assert.equal(headers.parts[2], 'text/rfc822-headers');
  assert.doesNotMatch(headers.original, /body of/);
  assert.equal(only('unknown-default').recipients[0]?.action, 'failed');
});

test('what expires is reported as failed, what is late as delayed', { skip }, () => {
  const [recipient] = only('dead').recipients;
  assert.deepEqual([recipient?.action, recipient?.status], ['failed', '4.4.7']);
  const [delayed] = only('dead-delay').recipients;
  assert.equal(delayed?.action, 'delayed');
  assert.match(delayed?.status ?? '', /^4\./);
  assert.ok(delayed?.['will-retry-until']);
});

test('all of it is accounted for', { skip }, async () => {
  const { accepted, delivered, bounced, expired, difference } = await mailCount(angarium, 0);
  assert.deepEqual(
    { accepted, delivered, bounced, expired, difference },
    { accepted: 15 + 7, delivered: 6 + 7, bounced: 6, expired: 3, difference: 0 },
  );
});
