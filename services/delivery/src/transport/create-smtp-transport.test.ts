import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HostAnswer, HostScript } from '../../../../test/fixtures/smtp-host.ts';
import { HUGE, LARGE, outcomes, recipients, SMALL, startBench } from './fixtures/bench.ts';
import type { AttemptResult } from './port.ts';

/* One row per thing a host may do, with what becomes of each recipient. Two recipients, a and b, unless said otherwise. */

interface Row {
  readonly name: string;
  readonly answers: HostScript['answers'];
  readonly expect: readonly string[];
  readonly site?: AttemptResult['site'];
  readonly inDoubt?: true;
  readonly messages?: number;
  readonly connections?: number;
  readonly content?: Buffer;
}

const forB = (answer: HostAnswer) => (line: string) => (line.includes('<b@') ? answer : '250 ok');
const firstTime = (answer: HostAnswer, later: HostAnswer) => (_: string, count: number) => (count === 0 ? answer : later);

const ROWS: readonly Row[] = [
  { name: 'a host that takes it', answers: {}, expect: ['delivered 250 2.0.0', 'delivered 250 2.0.0'], messages: 1 },
  {
    name: 'RCPT 550 bounces that recipient alone',
    answers: { RCPT: forB('550 5.1.1 who?') },
    expect: ['delivered 250 2.0.0', 'bounced 550 5.1.1'],
    messages: 1,
  },
  {
    name: 'RCPT 450 defers that recipient alone',
    answers: { RCPT: forB('450 4.2.0 later') },
    expect: ['delivered 250 2.0.0', 'deferred 450 4.2.0'],
    messages: 1,
  },
  { name: 'RCPT 251 is taken', answers: { RCPT: '251 will forward' }, expect: ['delivered 250 2.0.0', 'delivered 250 2.0.0'], messages: 1 },
  { name: 'RCPT 552 of all counts as 452', answers: { RCPT: '552 too many' }, expect: ['deferred 552', 'deferred 552'], messages: 0 },
  {
    name: 'RCPT 452 of all defers',
    answers: { RCPT: '452 4.5.3 too many' },
    expect: ['deferred 452 4.5.3', 'deferred 452 4.5.3'],
    messages: 0,
  },
  {
    name: 'RCPT 452 after another was taken goes at once in a further transaction on the same connection',
    answers: { RCPT: (_, count) => (count === 1 ? '452 4.5.3 too many recipients' : '250 ok') },
    expect: ['delivered 250 2.0.0', 'delivered 250 2.0.0'],
    messages: 2,
    connections: 1,
  },
  {
    name: 'RCPT 552 after another was taken does too',
    answers: { RCPT: (_, count) => (count === 1 ? '552 5.5.3 too many recipients' : '250 ok') },
    expect: ['delivered 250 2.0.0', 'delivered 250 2.0.0'],
    messages: 2,
  },
  {
    name: 'RCPT 452 that stays defers',
    answers: { RCPT: forB('452 4.5.3 full') },
    expect: ['delivered 250 2.0.0', 'deferred 452 4.5.3'],
    messages: 1,
  },
  { name: 'MAIL 550 bounces all', answers: { MAIL: '550 5.7.1 no' }, expect: ['bounced 550 5.7.1', 'bounced 550 5.7.1'], messages: 0 },
  { name: 'MAIL 451 defers all', answers: { MAIL: '451 4.3.0 no' }, expect: ['deferred 451 4.3.0', 'deferred 451 4.3.0'], messages: 0 },
  { name: 'DATA 554 bounces', answers: { DATA: '554 5.5.1 no' }, expect: ['bounced 554 5.5.1', 'bounced 554 5.5.1'], messages: 0 },
  { name: 'DATA 451 defers', answers: { DATA: '451 4.3.0 no' }, expect: ['deferred 451 4.3.0', 'deferred 451 4.3.0'], messages: 0 },
  { name: 'DATA 250 is no way to answer', answers: { DATA: '250 ok' }, expect: ['deferred 0 4.5.0', 'deferred 0 4.5.0'], messages: 0 },
  { name: 'the dot 554 bounces', answers: { '.': '554 5.7.1 spam' }, expect: ['bounced 554 5.7.1', 'bounced 554 5.7.1'], messages: 0 },
  { name: 'the dot 552 bounces', answers: { '.': '552 5.2.2 full' }, expect: ['bounced 552 5.2.2', 'bounced 552 5.2.2'], messages: 0 },
  { name: 'the dot 451 defers', answers: { '.': '451 4.3.0 later' }, expect: ['deferred 451 4.3.0', 'deferred 451 4.3.0'], messages: 0 },
  {
    name: 'the dot 421 defers, and nothing is in doubt',
    answers: { '.': '421 4.3.2 bye' },
    expect: ['deferred 421 4.3.2', 'deferred 421 4.3.2'],
    messages: 0,
  },
  {
    name: 'no good recipient and 354 all the same is ended by an empty message',
    answers: { RCPT: '550 5.1.1 who?', '.': '554 5.5.1 no recipients' },
    expect: ['bounced 550 5.1.1', 'bounced 550 5.1.1'],
    messages: 0,
  },
  {
    name: 'greeting 554 defers',
    answers: { connect: '554 5.7.1 no' },
    expect: ['deferred 554 5.7.1', 'deferred 554 5.7.1'],
    site: 'failed',
  },
  {
    name: 'greeting 421 defers',
    answers: { connect: '421 4.3.2 shutting down' },
    expect: ['deferred 421 4.3.2', 'deferred 421 4.3.2'],
    site: 'failed',
  },
  {
    name: 'greeting 421 that asks for less throttles',
    answers: { connect: '421 4.7.0 too many connections' },
    expect: ['deferred 421 4.7.0', 'deferred 421 4.7.0'],
    site: 'throttled',
  },
  {
    name: 'greeting 521 of all hosts bounces (RFC 7504)',
    answers: { connect: '521 5.3.2 no mail here' },
    expect: ['bounced 521 5.3.2', 'bounced 521 5.3.2'],
  },
  {
    name: 'greeting 556 of all hosts bounces',
    answers: { connect: '556 5.1.10 no mail here' },
    expect: ['bounced 556 5.1.10', 'bounced 556 5.1.10'],
  },
  {
    name: 'EHLO 502 is followed by HELO',
    answers: { EHLO: '502 5.5.1 what?' },
    expect: ['delivered 250 2.0.0', 'delivered 250 2.0.0'],
    messages: 1,
  },
  {
    name: 'EHLO and HELO refused defers',
    answers: { EHLO: '550 no', HELO: '550 5.7.1 no' },
    expect: ['deferred 550 5.7.1', 'deferred 550 5.7.1'],
    site: 'failed',
  },
  { name: 'EHLO 421 defers', answers: { EHLO: '421 4.3.2 bye' }, expect: ['deferred 421 4.3.2', 'deferred 421 4.3.2'], site: 'failed' },
  { name: 'MAIL 421 defers', answers: { MAIL: '421 4.3.2 bye' }, expect: ['deferred 421 4.3.2', 'deferred 421 4.3.2'] },
  {
    name: 'RCPT 421 defers all that had no refusal of their own',
    answers: { RCPT: firstTime('550 5.1.1 who?', '421 4.3.2 bye') },
    expect: ['bounced 550 5.1.1', 'deferred 421 4.3.2'],
  },
  { name: 'DATA 421 defers', answers: { DATA: '421 4.3.2 bye' }, expect: ['deferred 421 4.3.2', 'deferred 421 4.3.2'] },
  {
    name: 'RCPT 450 for its rate throttles the site',
    answers: { RCPT: '450 4.7.1 slow down please' },
    expect: ['deferred 450 4.7.1', 'deferred 450 4.7.1'],
    site: 'throttled',
  },
  {
    name: 'a connection lost at the greeting',
    answers: { connect: { and: 'drop' } },
    expect: ['deferred 0 4.4.2', 'deferred 0 4.4.2'],
    site: 'failed',
  },
  {
    name: 'a connection reset at EHLO',
    answers: { EHLO: { and: 'reset' } },
    expect: ['deferred 0 4.4.2', 'deferred 0 4.4.2'],
    site: 'failed',
  },
  {
    name: 'a connection lost at MAIL',
    answers: { MAIL: { and: 'drop' } },
    expect: ['deferred 0 4.4.2', 'deferred 0 4.4.2'],
    site: 'failed',
  },
  { name: 'a connection lost at RCPT', answers: { RCPT: { and: 'drop' } }, expect: ['deferred 0 4.4.2', 'deferred 0 4.4.2'] },
  { name: 'a connection lost at DATA', answers: { DATA: { and: 'drop' } }, expect: ['deferred 0 4.4.2', 'deferred 0 4.4.2'] },
  {
    name: 'a connection lost in the midst of the message',
    answers: { chunk: { and: 'reset' } },
    content: HUGE,
    expect: ['deferred 0 4.4.2', 'deferred 0 4.4.2'],
  },
  {
    name: 'a connection lost after the dot is in doubt',
    answers: { '.': { and: 'drop' } },
    expect: ['deferred 0 4.4.2', 'deferred 0 4.4.2'],
    inDoubt: true,
  },
  {
    name: 'a connection reset after the dot of a large message is in doubt',
    answers: { '.': { and: 'reset' } },
    content: LARGE,
    expect: ['deferred 0 4.4.2', 'deferred 0 4.4.2'],
    inDoubt: true,
  },
  {
    name: 'half a reply to the dot is in doubt',
    answers: { '.': { raw: '250-2.0.0 o', and: 'drop' } },
    expect: ['deferred 0 4.4.2', 'deferred 0 4.4.2'],
    inDoubt: true,
  },
  {
    name: 'a refused recipient keeps its verdict when the dot is in doubt',
    answers: { RCPT: forB('550 5.1.1 who?'), '.': { and: 'drop' } },
    expect: ['deferred 0 4.4.2', 'bounced 550 5.1.1'],
    inDoubt: true,
  },
  {
    name: 'reply code 199 at the greeting',
    answers: { connect: '199 hm' },
    expect: ['deferred 0 4.5.0', 'deferred 0 4.5.0'],
    site: 'failed',
  },
  { name: 'reply code 199 to MAIL', answers: { MAIL: '199 hm' }, expect: ['deferred 0 4.5.0', 'deferred 0 4.5.0'] },
  { name: 'reply code 999 to RCPT', answers: { RCPT: '999 hm' }, expect: ['deferred 0 4.5.0', 'deferred 0 4.5.0'] },
  { name: 'reply code 354 to RCPT', answers: { RCPT: '354 hm' }, expect: ['deferred 0 4.5.0', 'deferred 0 4.5.0'] },
  {
    name: 'words instead of a reply to DATA',
    answers: { DATA: { raw: 'hello there\r\n' } },
    expect: ['deferred 0 4.5.0', 'deferred 0 4.5.0'],
  },
  {
    name: 'words instead of a reply to the dot are in doubt',
    answers: { '.': { raw: 'got it!\r\n' } },
    expect: ['deferred 0 4.5.0', 'deferred 0 4.5.0'],
    inDoubt: true,
  },
  {
    name: 'lines that contradict each other in the reply to the dot are in doubt',
    answers: { '.': { raw: '250-ok\r\n550 no\r\n' } },
    expect: ['deferred 0 4.5.0', 'deferred 0 4.5.0'],
    inDoubt: true,
  },
  {
    name: 'a reply to the dot that comes before the dot is not believed',
    answers: { DATA: { raw: '354 go ahead\r\n250 2.0.0 thanks\r\n' } },
    expect: ['deferred 250 2.0.0', 'deferred 250 2.0.0'],
    messages: 0,
  },
  {
    name: 'a refusal in the midst of the message is the verdict',
    answers: { chunk: firstTime('552 5.3.4 too big', { and: 'stall' }) },
    content: HUGE,
    expect: ['bounced 552 5.3.4', 'bounced 552 5.3.4'],
  },
  { name: 'a large message', answers: {}, content: LARGE, expect: ['delivered 250 2.0.0', 'delivered 250 2.0.0'], messages: 1 },
  {
    name: 'a reply without end is cut off',
    answers: { MAIL: { raw: `250-${'x'.repeat(100_000)}` } },
    expect: ['deferred 0 4.5.0', 'deferred 0 4.5.0'],
  },
  {
    name: 'lines without end are cut off',
    answers: { MAIL: { raw: '250-xxxxxxxxxxxxxxxx\r\n'.repeat(10_000) } },
    expect: ['deferred 0 4.5.0', 'deferred 0 4.5.0'],
  },
  {
    name: 'a flood of empty lines is cut off',
    answers: { MAIL: { raw: '\r\n'.repeat(200_000) } },
    expect: ['deferred 0 4.5.0', 'deferred 0 4.5.0'],
  },
];

for (const offers of [['PIPELINING', 'DSN'], []]) {
  for (const row of ROWS) {
    test(`${offers.length > 0 ? 'pipelined' : 'one by one'}: ${row.name}`, async (t) => {
      const { hosts, send } = await startBench(t, [{ offers, answers: row.answers ?? {} }]);
      const result = await send({ recipients: recipients('a@test.test', 'b@test.test'), content: row.content ?? SMALL });
      assert.deepEqual(outcomes(result), row.expect);
      assert.equal(result.inDoubt, row.inDoubt ?? false);
      assert.equal(result.spent, true);
      if (row.site) assert.equal(result.site, row.site);
      if (row.messages !== undefined) assert.equal(hosts[0]?.messages.length, row.messages);
      if (row.connections !== undefined) assert.equal(hosts[0]?.connections(), row.connections);
    });
  }
}
