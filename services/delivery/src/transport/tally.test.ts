import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeJob, recipients } from './fixtures/bench.ts';
import { isThrottling, ownReply } from './outcome.ts';
import type { SmtpPlan } from './plan.ts';
import { Tally } from './tally.ts';

const tally = () => new Tally(makeJob({} as SmtpPlan, { recipients: recipients('a@test.test', 'b@test.test') }));
const remote = (code: number) => ({ code, enhanced: '', text: 'no', remoteHost: 'mx.test' });
const ok = { code: 250, enhanced: '', text: '' };

test('trouble of our own with one host spends no attempt, whatever the others did', () => {
  const account = tally();
  account.hostFailed({ reply: ownReply('4.4.1', 'EMFILE'), ownFault: true });
  account.hostFailed({ reply: ownReply('4.4.1', 'ECONNREFUSED'), ownFault: false });
  const { spent, recipients: results } = account.conclude({ allHostsAsked: true });
  assert.equal(spent, false);
  assert.deepEqual(
    results.map(({ result }) => result),
    ['deferred', 'deferred'],
  );
});

test('trouble of our own that was got over counts for nothing', () => {
  const account = tally();
  account.hostFailed({ reply: ownReply('4.4.1', 'EMFILE'), ownFault: true });
  account.transacted({ mail: ok, recipients: [ok, ok], final: ok, dotted: true, withheld: false }, [0, 1], {
    host: 'mx.test',
    relayed: false,
  });
  assert.equal(account.conclude({ allHostsAsked: true }).spent, true);
});

test('without any host recipients are deferred, not lost', () => {
  const { recipients: results, site } = tally().conclude({ allHostsAsked: true });
  assert.deepEqual(
    results.map(({ address, result }) => [address, result]),
    [
      ['a@test.test', 'deferred'],
      ['b@test.test', 'deferred'],
    ],
  );
  assert.equal(site, 'failed');
});

test('the last word of a host says more than ours about a connection', () => {
  const account = tally();
  account.hostFailed({ reply: remote(421), ownFault: false });
  account.hostFailed({ reply: ownReply('4.4.1', 'ECONNREFUSED'), ownFault: false });
  assert.equal(account.conclude({ allHostsAsked: true }).recipients[0]?.reply.code, 421);
});

test('521 and 556 bounce only where all hosts say so', () => {
  for (const [codes, allHostsAsked, expected] of [
    [[521, 556], true, 'bounced'],
    [[521, 556], false, 'deferred'],
    [[521, 554], true, 'deferred'],
  ] as const) {
    const account = tally();
    for (const code of codes) account.hostFailed({ reply: remote(code), ownFault: false });
    assert.equal(account.conclude({ allHostsAsked }).recipients[0]?.result, expected);
  }
});

test('throttling is what says so', () => {
  for (const text of [
    'Too many connections from your IP',
    'rate limited',
    'temporarily deferred due to user complaints',
    'slow down',
    'server busy',
  ])
    assert.ok(isThrottling({ code: 421, text }), text);
  assert.ok(!isThrottling({ code: 421, text: 'shutting down' }));
  assert.ok(!isThrottling({ code: 452, text: 'Too many recipients' }));
  assert.ok(!isThrottling({ code: 450, text: 'greylisted, try again later' }));
  assert.ok(!isThrottling({ code: 450, text: 'corporate server moderate' }));
  assert.ok(!isThrottling({ code: 550, text: 'too many connections' }));
});
