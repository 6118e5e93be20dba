import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOTIFY } from '@angarium/smtp';
import { HUGE, LARGE, outcomes, recipients, SMALL, startBench } from './fixtures/bench.ts';

const ALL = ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'DSN', 'SIZE 100000000', 'ENHANCEDSTATUSCODES'];
const without = (...names: readonly string[]) => ALL.filter((offer) => !names.includes(offer));
const command = (lines: readonly string[], verb: string): readonly string[] =>
  lines.filter((line) => line.includes(` ${verb}`)).map((line) => line.replace(/^\d+ /, ''));

const EIGHT_BIT = Buffer.from(
  'Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n',
);
const UTF8_HEADER = Buffer.from('Subject: Grüße\r\n\r\nhello\r\n');

test('MAIL, all RCPT and DATA leave in one segment where PIPELINING is offered, else one by one', async (t) => {
  const one = await startBench(t, [{ offers: ALL }]);
  await one.send({ recipients: recipients('a@test.test', 'b@test.test') });
  assert.equal(one.hosts[0]?.segments[1], 'MAIL FROM:<from@us.test> SIZE=25\r\nRCPT TO:<a@test.test>\r\nRCPT TO:<b@test.test>\r\nDATA\r\n');
  const each = await startBench(t, [{ offers: [] }]);
  await each.send({ recipients: recipients('a@test.test', 'b@test.test') });
  assert.deepEqual(each.hosts[0]?.segments.slice(1), [
    'MAIL FROM:<from@us.test>\r\n',
    'RCPT TO:<a@test.test>\r\n',
    'RCPT TO:<b@test.test>\r\n',
    'DATA\r\n',
  ]);
});

test('DSN parameters go to a host that offers DSN, each recipient its own', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: ALL }]);
  const result = await send({
    envid: 'QQ 1+',
    ret: 'hdrs',
    recipients: [
      { address: 'a@test.test', notify: NOTIFY.SUCCESS | NOTIFY.DELAY, orcpt: 'rfc822;first+a@test.test' },
      { address: 'b@test.test', notify: NOTIFY.NEVER, orcpt: '' },
      { address: 'c@test.test', notify: 0, orcpt: 'utf-8;bü@test.test' },
    ],
  });
  assert.ok(result.recipients.every(({ relayed, result: outcome }) => outcome === 'delivered' && !relayed));
  assert.deepEqual(command(hosts[0]?.lines ?? [], 'MAIL'), ['MAIL FROM:<from@us.test> SIZE=25 RET=HDRS ENVID=QQ+201+2B']);
  assert.deepEqual(command(hosts[0]?.lines ?? [], 'RCPT'), [
    'RCPT TO:<a@test.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;first+2Ba@test.test',
    'RCPT TO:<b@test.test> NOTIFY=NEVER',
    'RCPT TO:<c@test.test> ORCPT=utf-8;b\\x{FC}@test.test',
  ]);
});

test('to a host without DSN they do not go, and what it takes is relayed', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: without('DSN') }]);
  const result = await send({
    envid: 'x',
    ret: 'full',
    recipients: [{ address: 'a@test.test', notify: NOTIFY.SUCCESS, orcpt: 'rfc822;a@test.test' }],
  });
  assert.equal(result.recipients[0]?.relayed, true);
  assert.deepEqual(command(hosts[0]?.lines ?? [], 'RCPT'), ['RCPT TO:<a@test.test>']);
  assert.deepEqual(command(hosts[0]?.lines ?? [], 'MAIL'), ['MAIL FROM:<from@us.test> SIZE=25']);
});

test('the null reverse-path and quoted local parts go as they are', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: [] }]);
  await send({ reversePath: '', recipients: recipients('"a <b> c"@test.test') });
  assert.deepEqual(command(hosts[0]?.lines ?? [], 'MAIL'), ['MAIL FROM:<>']);
  assert.deepEqual(command(hosts[0]?.lines ?? [], 'RCPT'), ['RCPT TO:<"a <b> c"@test.test>']);
});

test('an address that would break a line becomes no command', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: [] }]);
  const result = await send({ recipients: recipients('a@test.test>\r\nRSET', 'b@test.test') });
  assert.deepEqual(outcomes(result), ['bounced 553 5.1.3', 'delivered 250 2.0.0']);
  assert.deepEqual(outcomes(await send({ reversePath: 'x\r\ny@us.test' })), ['bounced 553 5.1.7']);
  assert.deepEqual(command(hosts[0]?.lines ?? [], 'RSET'), []);
});

test('a message over the size that the host announces is not tried', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: ['SIZE 24'] }]);
  assert.deepEqual(outcomes(await send()), ['bounced 552 5.3.4']);
  assert.deepEqual(command(hosts[0]?.lines ?? [], 'MAIL'), []);
  const exact = await startBench(t, [{ offers: ['SIZE 25'] }]);
  assert.deepEqual(outcomes(await exact.send()), ['delivered 250 2.0.0']);
  const none = await startBench(t, [{ offers: ['SIZE 0'] }]);
  assert.deepEqual(outcomes(await none.send()), ['delivered 250 2.0.0']);
});

test('the content arrives octet by octet, dots and all', async (t) => {
  for (const content of [Buffer.from('.\r\n..\r\n.a\r\n'), LARGE, Buffer.from(`\r\n${'.line\r\n'.repeat(10_000)}`)]) {
    const { hosts, send } = await startBench(t, [{ offers: ALL }]);
    assert.deepEqual(outcomes(await send({ content })), ['delivered 250 2.0.0']);
    assert.equal(hosts[0]?.messages[0]?.content, content.toString('latin1'));
  }
});

test('8-bit content goes as it is to a host that offers 8BITMIME, and is declared', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: ALL }]);
  assert.deepEqual(outcomes(await send({ eightBit: true, content: EIGHT_BIT })), ['delivered 250 2.0.0']);
  assert.match(command(hosts[0]?.lines ?? [], 'MAIL')[0] ?? '', / BODY=8BITMIME/);
  assert.equal(hosts[0]?.messages[0]?.content, EIGHT_BIT.toString('latin1'));
});

test('8-bit content is converted for a host without 8BITMIME, and its new size declared', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: without('8BITMIME', 'SMTPUTF8') }]);
  assert.deepEqual(outcomes(await send({ eightBit: true, content: EIGHT_BIT })), ['delivered 250 2.0.0']);
  const content = hosts[0]?.messages[0]?.content ?? '';
  assert.match(content, /^Content-Transfer-Encoding: quoted-printable\r\n/im);
  assert.match(content, /Gr=C3=BC=C3=9Fe/);
  assert.deepEqual(command(hosts[0]?.lines ?? [], 'MAIL'), [`MAIL FROM:<from@us.test> SIZE=${content.length}`]);
});

test('8-bit content that cannot be converted bounces 5.6.3 and is never sent raw', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: without('8BITMIME', 'SMTPUTF8') }]);
  assert.deepEqual(outcomes(await send({ eightBit: true, content: UTF8_HEADER })), ['bounced 554 5.6.3']);
  assert.deepEqual(command(hosts[0]?.lines ?? [], 'MAIL'), []);
});

test('SMTPUTF8 is asked for where an address or the header needs it, and only there', async (t) => {
  const rows = [
    [{ recipients: recipients('ü@test.test') }, true],
    [{ reversePath: 'ü@us.test' }, true],
    [{ smtputf8: true, headerUtf8: true, content: UTF8_HEADER }, true],
    [{ smtputf8: true }, false],
    [{ eightBit: true, headerUtf8: true, content: UTF8_HEADER }, false],
  ] as const;
  for (const [job, asked] of rows) {
    const { hosts, send } = await startBench(t, [{ offers: ALL }]);
    assert.deepEqual(outcomes(await send(job)), ['delivered 250 2.0.0']);
    assert.equal(/ SMTPUTF8/.test(command(hosts[0]?.lines ?? [], 'MAIL')[0] ?? ''), asked, JSON.stringify(job));
  }
});

test('to a host without SMTPUTF8 goes what does not need it; the rest bounces, each recipient for its own reason', async (t) => {
  const { hosts, send } = await startBench(t, [{ offers: without('SMTPUTF8') }]);
  const result = await send({ smtputf8: true, recipients: recipients('a@test.test', 'ü@test.test', 'b@bücher.test') });
  assert.deepEqual(outcomes(result), ['delivered 250 2.0.0', 'bounced 553 5.6.7', 'delivered 250 2.0.0']);
  assert.deepEqual(command(hosts[0]?.lines ?? [], 'RCPT'), ['RCPT TO:<a@test.test>', 'RCPT TO:<b@xn--bcher-kva.test>']);
  assert.deepEqual(outcomes(await send({ smtputf8: true, reversePath: 'ü@us.test' })), ['bounced 553 5.6.7']);
  assert.deepEqual(outcomes(await send({ smtputf8: true, headerUtf8: true, content: UTF8_HEADER })), ['bounced 553 5.6.9']);
  assert.deepEqual(outcomes(await send({ smtputf8: true, reversePath: 'a@bücher.test' })), ['delivered 250 2.0.0']);
  assert.equal(hosts[0]?.connections(), 1);
});

for (const content of [SMALL, LARGE]) {
  test(`the last question comes before the final dot of a ${content.length < 16_384 ? 'small' : 'large'} message; no means no message`, async (t) => {
    const { hosts, send } = await startBench(t, [{ offers: ALL }, {}]);
    let dots = 0;
    const result = await send({ content, mayFinish: () => false, onDot: () => dots++ });
    assert.deepEqual(outcomes(result), ['deferred 0 4.0.0']);
    assert.deepEqual([result.spent, result.inDoubt, dots], [false, false, 0]);
    assert.deepEqual(
      hosts.map((host) => host.messages.length),
      [0, 0],
    );
    assert.equal(hosts[1]?.connections(), 0);
  });

  test(`a ${content.length < 16_384 ? 'small' : 'large'} message is in doubt from its dot on, and not before`, async (t) => {
    const order: string[] = [];
    const received = () => {
      order.push('received');
      return '250 ok';
    };
    const { send } = await startBench(t, [{ offers: ALL, answers: { '.': received } }]);
    await send({ content, mayFinish: () => order.push('asked') > 0, onDot: () => order.push('dot') });
    assert.deepEqual(order, ['asked', 'dot', 'received']);
  });
}

test('the last question is asked when the host has taken all but the end of a large message', async (t) => {
  let received = 0;
  let atQuestion = 0;
  const chunk = (piece: string) => {
    received += piece.length;
    return {};
  };
  const mayFinish = () => {
    atQuestion = received;
    return true;
  };
  const { send } = await startBench(t, [{ offers: ALL, answers: { chunk } }]);
  assert.deepEqual(outcomes(await send({ content: HUGE, mayFinish })), ['delivered 250 2.0.0']);
  // What is not there yet is in the buffers of the kernel.
  assert.ok(atQuestion > HUGE.length - 8 * 1024 ** 2, `${atQuestion} of ${HUGE.length}`);
});
