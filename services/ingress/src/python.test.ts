import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { contentOf, startIngress } from './testing/ingress.ts';

const SCRIPT = `
import smtplib, ssl, sys
host, submission, submissions, mx = '127.0.0.1', *map(int, sys.argv[1:])
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with smtplib.SMTP(host, submission) as client:
    client.starttls(context=context)
    client.login('ann', 'secret')
    print(client.sendmail('ann@here.example', ['x@there.example', 'bob@here.example'], 'From: ann@here.example\\nSubject: starttls\\n\\n.dot\\nhello'))
with smtplib.SMTP_SSL(host, submissions, context=context) as client:
    client.user, client.password = 'ann@here.example', 'secret'
    client.ehlo()
    print(client.auth('LOGIN', client.auth_login))
    print(client.sendmail('ann@here.example', ['bob@here.example', 'nobody@here.example'], 'From: ann@here.example\\nSubject: tls\\n\\nhello',
                          mail_options=['BODY=8BITMIME', 'RET=HDRS'], rcpt_options=['NOTIFY=SUCCESS']))
with smtplib.SMTP(host, mx) as client:
    try:
        client.sendmail('x@there.example', 'x@there.example', 'Subject: relay\\n\\nhello')
    except smtplib.SMTPRecipientsRefused as refused:
        print(refused.recipients)
`;

const hasPython = spawnSync('python3', ['--version']).status === 0;
if (!hasPython) console.error('NOT RUN: python3 is not on this machine, so smtplib did not try ingress');

test("Python's smtplib submits by STARTTLS and by TLS, and is refused relaying", { skip: !hasPython }, async (t) => {
  const server = await startIngress(t);
  const ports = [server.port('submission'), server.port('submissions'), server.port('mx')].map(String);
  const output = await new Promise<string>((resolve, reject) => {
    execFile('python3', ['-c', SCRIPT, ...ports], { timeout: 20_000 }, (error, stdout, stderr) =>
      error ? reject(new Error(stderr)) : resolve(stdout),
    );
  });
  assert.deepEqual(output.trim().split('\n'), [
    '{}',
    "(235, b'2.7.0 Authentication successful')",
    "{'nobody@here.example': (550, b'5.1.1 No such user here')}",
    "{'x@there.example': (550, b'5.7.1 Relaying denied')}",
  ]);
  const messages = await server.accepted();
  assert.deepEqual(messages.map(({ recipients }) => recipients.map(({ forwardPath }) => forwardPath)).sort(), [
    ['bob@here.example'],
    ['x@there.example', 'bob@here.example'],
  ]);
  const first = messages.find(({ recipients }) => recipients.length === 2);
  assert.match(contentOf(first), /with ESMTPSA\r\n[\s\S]*\r\n\r\n\.dot\r\nhello\r\n$/);
});
