import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { message, startTestMailbox, type TestMailbox, to } from '../testing/fixture.ts';

const run = promisify(execFile);
const ANN = 'ann@example.org';
let box: TestMailbox;

before(async () => {
  box = await startTestMailbox({ accounts: [ANN] });
});
after(() => box.close());

/** False, and the test is skipped with a word, where the program is missing. */
async function has(program: string, context: TestContext): Promise<boolean> {
  const isThere = await run('sh', ['-c', 'command -v "$0"', program]).then(
    () => true,
    () => false,
  );
  if (!isThere) context.skip(`MISSING PROGRAM: ${program}; this client was not tried`);
  return isThere;
}

const POPLIB = `
import poplib, ssl, sys
context = ssl._create_unverified_context()
def session(pop):
    pop.user('${ANN}'); pop.pass_('right'); return pop
pop = poplib.POP3('127.0.0.1', int(sys.argv[1]))
assert 'STLS' in pop.capa() and 'USER' not in pop.capa()
try:
    pop.user('${ANN}'); assert False
except poplib.error_proto: pass
pop.stls(context)
assert 'USER' in pop.capa()
session(pop)
count, octets = pop.stat()
answer, lines, _ = pop.retr(1)
assert sum(len(line) + 2 for line in lines) == octets, (lines, octets)
assert lines[-2:] == [b'.', b'.dots']
assert pop.top(1, 0)[1][-1] == b''
uidl = pop.uidl()[1]
pop.quit()
pop = session(poplib.POP3_SSL('127.0.0.1', int(sys.argv[2]), context=context))
assert pop.uidl()[1] == uidl
pop.dele(1); pop.rset(); pop.dele(1); pop.quit()
pop = session(poplib.POP3_SSL('127.0.0.1', int(sys.argv[2]), context=context))
assert pop.stat() == (0, 0)
pop.quit()
print('done')
`;

const portOf = (address = '') => address.split(':')[1] ?? '';

test("Python's poplib reads and deletes over STLS and TLS", async (context) => {
  if (!(await has('python3', context))) return;
  await box.deliver({ queueId: 'python', content: message('Subject: dots\n\n.\n.dots\n'), recipients: to(ANN) });
  const { pop3, pop3s } = box.service.addresses;
  const { stdout } = await run('python3', ['-c', POPLIB, portOf(pop3[0]), portOf(pop3s[0])]);
  assert.equal(stdout, 'done\n');
});

test('curl lists and reads over STLS and TLS, with USER and with AUTH PLAIN', async (context) => {
  if (!(await has('curl', context))) return;
  await box.deliver({ queueId: 'curl', content: message('Subject: for curl\n\nbody\n'), recipients: to(ANN) });
  const { pop3, pop3s } = box.service.addresses;
  const curl = async (...args: readonly string[]) => (await run('curl', ['-sS', '--insecure', '--user', `${ANN}:right`, ...args])).stdout;
  assert.match(await curl('--ssl-reqd', `pop3://${pop3[0]}/`), /^1 \d+\r\n$/);
  for (const login of ['+LOGIN', 'AUTH=PLAIN']) {
    assert.match(
      await curl('--login-options', login === '+LOGIN' ? 'AUTH=*' : login, `pop3s://${pop3s[0]}/1`),
      /Subject: for curl\r\n\r\nbody\r\n/,
    );
  }
  assert.match(await curl('--login-options', 'AUTH=PLAIN', '--sasl-ir', `pop3s://${pop3s[0]}/1`), /Subject: for curl/);
});
