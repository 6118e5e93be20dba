import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildDsn } from './dsn.ts';
import type { DsnRecipient, DsnRequest } from './dsn-request.ts';
import { toSevenBit } from './seven-bit.ts';
import { delayed, failed, message, type Report, readReport, request, utf8 } from './testing/reports.ts';

const report = (changes: Partial<DsnRequest>): Report => readReport(buildDsn({ ...request, ...changes }).content);
const part = (index: number, changes: Partial<DsnRequest>): string => report(changes).parts[index]?.body ?? '';
const third = (changes: Partial<DsnRequest>) => report(changes).parts[2];

test('the header makes it an automatic reply in the thread of the original', () => {
  assert.equal(
    report({}).header,
    `From: Mail Delivery System <MAILER-DAEMON@mx.example.org>
Reply-To: <postmaster@mx.example.org>
To: <alice@example.org>
Subject: Your message could not be delivered
Date: Thu, 01 Jan 1970 01:00:00 +0000
Message-ID: <DSN1@mx.example.org>
In-Reply-To: <m1@example.org>
References: <m1@example.org>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="report1"

`,
  );
});

test('the status part tells each recipient in the fields of RFC 3464', () => {
  const { parts } = report({ recipients: [failed, delayed] });
  assert.equal(parts[1]?.type, 'message/delivery-status');
  assert.equal(
    parts[1]?.body,
    `Original-Envelope-Id: QQ 314159
Reporting-MTA: dns; mx.example.org
Arrival-Date: Thu, 01 Jan 1970 00:00:00 +0000

Original-Recipient: rfc822;Bob@alias.example
Final-Recipient: rfc822;bob@example.net
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.net
Diagnostic-Code: smtp; 550-5.1.1 No such user
 550 5.1.1 Go away
Last-Attempt-Date: Thu, 01 Jan 1970 00:01:00 +0000
Final-Log-ID: QUEUE1

Final-Recipient: rfc822;carol@example.com
Action: delayed
Status: 4.4.1
Diagnostic-Code: x-angarium; connection refused
Final-Log-ID: QUEUE1
Will-Retry-Until: Fri, 02 Jan 1970 00:00:00 +0000
`,
  );
});

test('what was not given is not invented', () => {
  const bare: DsnRecipient = {
    finalRecipient: 'a@b.example',
    action: 'delivered',
    status: '2.1.5',
    willRetryUntilMs: 5,
    orcpt: '',
    remoteMta: '',
  };
  assert.equal(
    part(1, { envid: '', recipients: [bare] }),
    `Reporting-MTA: dns; mx.example.org
Arrival-Date: Thu, 01 Jan 1970 00:00:00 +0000

Final-Recipient: rfc822;a@b.example
Action: delivered
Status: 2.1.5
Final-Log-ID: QUEUE1
`,
  );
});

test('a status that is none is replaced by the one of the action', () => {
  for (const status of ['', '5.1', '3.0.0', '5.01.1', '5.1.1\r\nX: y']) {
    assert.match(part(1, { recipients: [{ ...failed, status }] }), /^Status: 5\.0\.0$/m);
    assert.match(part(1, { recipients: [{ ...delayed, status }] }), /^Status: 4\.0\.0$/m);
  }
});

test('the first part says what happened, to whom, in whose words, and what to do', () => {
  assert.equal(
    part(0, {}),
    `This is the mail system at mx.example.org.

Your message could not be delivered to:

    bob@example.net (you wrote to Bob@alias.example)

  The mail server mx.example.net said:
    550-5.1.1 No such user
    550 5.1.1 Go away

  There is no such address. Check how you spelled it, or ask the recipient
  for the right one.

No further attempt will be made.

Your message:

    Subject: Hello
    Accepted: Thu, 01 Jan 1970 00:00:00 +0000
    Queue id: QUEUE1

This report was written by a program. If it does not help you, write to
postmaster@mx.example.org and give the queue id.
`,
  );
});

test('different fates stand in one report, the worst first', () => {
  const recipients = (['delivered', 'expanded', 'relayed', 'delayed', 'failed'] as const).map((action) => ({
    ...delayed,
    action,
    finalRecipient: `${action}@x.example`,
  }));
  const { header, parts } = report({ recipients });
  assert.match(header, /^Subject: Your message could not be delivered$/m);
  const order = [...(parts[0]?.body ?? '').matchAll(/^ {4}(\w+)@x\.example$/gm)].map(([, action]) => action);
  assert.deepEqual(order, ['failed', 'delayed', 'relayed', 'expanded', 'delivered']);
  assert.equal(parts[1]?.body.match(/^Action: /gm)?.length, 5);
});

test('each action has its subject', () => {
  const subjects = (['failed', 'delayed', 'relayed', 'expanded', 'delivered'] as const).map(
    (action) => /^Subject: (.*)$/m.exec(report({ recipients: [{ ...failed, action }] }).header)?.[1],
  );
  assert.equal(new Set(subjects).size, 5);
});

test('recipients with one fate are told together, at most a hundred by name', () => {
  const recipients = Array.from({ length: 1000 }, (_, index) => ({ ...failed, orcpt: '', finalRecipient: `user${index}@example.net` }));
  const { parts } = report({ recipients });
  assert.equal(parts[0]?.body.match(/said:/g)?.length, 1);
  assert.equal(parts[0]?.body.match(/user\d+@/g)?.length, 100);
  assert.match(parts[0]?.body ?? '', /and 900 more/);
  assert.equal(parts[1]?.body.match(/^Final-Recipient: /gm)?.length, 1000);
});

test('the whole message comes back only for a failure, if RET allows and it is not too long', () => {
  const { original } = request;
  assert.deepEqual(third({}), { type: 'message/rfc822', encoding: '7bit', body: original.octets.toString().replace(/\r\n/g, '\n') });
  const headers = {
    type: 'text/rfc822-headers',
    encoding: '7bit',
    body: 'From: alice@example.org\nMessage-ID: <m1@example.org>\nSubject: Hello\n',
  };
  assert.deepEqual(third({ original: { ...original, ret: 'hdrs' } }), headers);
  assert.deepEqual(third({ fullMaxOctets: original.octets.length - 1 }), headers);
  assert.equal(third({ fullMaxOctets: original.octets.length })?.type, 'message/rfc822');
  for (const action of ['delayed', 'delivered', 'relayed', 'expanded'] as const)
    assert.deepEqual(third({ recipients: [{ ...failed, action }] }), headers);
  assert.equal(third({ recipients: [delayed, failed], original: { ...original, ret: '' } })?.type, 'message/rfc822');
});

test('an 8-bit body comes back as it is, in a report that is 8BITMIME', () => {
  const octets = message('MIME-Version: 1.0\nContent-Type: text/plain\n\nGrüße\n');
  const dsn = buildDsn({ ...request, original: { octets, ret: 'full' } });
  assert.deepEqual([dsn.eightBit, dsn.smtputf8], [true, false]);
  assert.deepEqual(readReport(dsn.content).parts[2], {
    type: 'message/rfc822',
    encoding: '8bit',
    body: octets.toString().replace(/\r\n/g, '\n'),
  });
});

test('an 8-bit body that no 7-bit host could be sent comes back as its header', () => {
  const octets = message('MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=x\n\n--x\n\nGrüße\n--x--\n');
  const dsn = buildDsn({ ...request, original: { octets, ret: 'full' } });
  assert.equal(dsn.eightBit, false);
  assert.equal(readReport(dsn.content).parts[2]?.type, 'text/rfc822-headers');
});

test('long lines are recoded', () => {
  const octets = message(`MIME-Version: 1.0\n\n${'long '.repeat(500)}\n`);
  assert.match(
    third({ original: { octets, ret: 'full' } })?.body ?? '',
    /^MIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\n/,
  );
  const header = message(`Subject: ${'long'.repeat(500)}\n\nx\n`);
  assert.deepEqual(
    [third({ original: { octets: header, ret: 'full' } })?.type, third({ original: { octets: header, ret: 'full' } })?.encoding],
    ['text/rfc822-headers', 'quoted-printable'],
  );
});

test('raw 8-bit octets in the header of a message without SMTPUTF8 come back encoded', () => {
  const dsn = buildDsn({ ...request, original: { octets: message('Subject: Grüße\n\nx\n'), ret: 'full' } });
  assert.equal(dsn.eightBit, false);
  assert.deepEqual(readReport(dsn.content).parts[2], {
    type: 'text/rfc822-headers',
    encoding: 'quoted-printable',
    body: 'Subject: Gr=C3=BC=C3=9Fe\n',
  });
});

test('a report on a SMTPUTF8 message uses the global forms', () => {
  const dsn = buildDsn({ ...request, ...utf8 });
  assert.deepEqual([dsn.eightBit, dsn.smtputf8], [true, false]);
  const { parts } = readReport(dsn.content);
  assert.deepEqual(
    parts.map(({ type, encoding }) => `${type} ${encoding}`),
    ['text/plain; charset=utf-8 8bit', 'message/global-delivery-status 8bit', 'message/global 8bit'],
  );
  assert.match(parts[1]?.body ?? '', /^Original-Recipient: utf-8;jö\+rg@bücher\.example\nFinal-Recipient: utf-8;jörg@bücher\.example$/m);
  assert.equal(
    report({ ...utf8, original: { octets: message('Subject: Grüße\n\nx\n'), ret: 'hdrs' } }).parts[2]?.type,
    'message/global-headers',
  );
});

test('such a report to an ASCII address can be sent over 7 bits', () => {
  const { content } = buildDsn({ ...request, ...utf8 });
  const sevenBit = toSevenBit(content);
  assert.ok(sevenBit);
  assert.deepEqual(
    readReport(sevenBit).parts.map(({ type }) => type),
    readReport(content).parts.map(({ type }) => type),
  );
});

test('a UTF-8 address in the report header needs SMTPUTF8', () => {
  assert.equal(buildDsn({ ...request, to: 'jörg@bücher.example' }).smtputf8, true);
});

test('what ASCII can say goes in the forms that every reader knows', () => {
  const { parts } = report({ smtputf8: true });
  assert.deepEqual(
    parts.map(({ type }) => type),
    ['text/plain; charset=us-ascii', 'message/delivery-status', 'message/rfc822'],
  );
});

test('a UTF-8 recipient of a message without SMTPUTF8 is escaped', () => {
  const { content, eightBit } = buildDsn({ ...request, ...utf8, smtputf8: false, original: request.original });
  assert.equal(eightBit, false);
  assert.match(
    readReport(content).parts[1]?.body ?? '',
    /^Original-Recipient: utf-8;j\\x\{F6\}\\x\{2B\}rg@b\\x\{FC\}cher\.example\nFinal-Recipient: utf-8;j\\x\{F6\}rg/m,
  );
});

test('the subject of the original is shown decoded', () => {
  const octets = message('Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\nx\n');
  assert.match(part(0, { original: { octets, ret: 'hdrs' } }), /^ {4}Subject: Gr=C3=BC=C3=9Fe$/m);
});

test('a boundary that occurs in the original is made longer', () => {
  const octets = message('Subject: x\n\n--report1\n--report1.1\n--report1--\n');
  const { parts, header } = report({ original: { octets, ret: 'full' } });
  assert.match(header, /boundary="report1\.2"/);
  assert.equal(parts.length, 3);
});
