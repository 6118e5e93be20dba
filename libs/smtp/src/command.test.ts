import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NOTIFY, parseMail, parseRcpt } from './index.ts';

const mail = (argument: string) => parseMail(argument, { auth: true });
const rcpt = (argument: string, smtputf8 = false) => parseRcpt(argument, { smtputf8 });
const mailValue = (argument: string) => {
  const parsed = mail(argument);
  assert.ok(parsed.ok, argument);
  return parsed.value;
};
const refusal = (parsed: ReturnType<typeof mail> | ReturnType<typeof rcpt>) =>
  parsed.ok ? 'taken' : `${parsed.reply.code} ${parsed.reply.enhanced}`;

test('MAIL with every parameter', () => {
  assert.deepEqual(mailValue('from:<ann@here.example> SIZE=1000 body=8BITMIME SMTPUTF8 RET=hdrs ENVID=a+2Bb AUTH=c+2Bd@e'), {
    reversePath: { localPart: 'ann', domain: 'here.example' },
    smtputf8: true,
    body: '8BITMIME',
    octets: 1000,
    ret: 'HDRS',
    envid: 'a+b',
  });
});

test('the null reverse-path', () => {
  assert.deepEqual(mailValue('FROM:<>'), {
    reversePath: undefined,
    smtputf8: false,
    body: undefined,
    octets: undefined,
    ret: undefined,
    envid: '',
  });
  assert.equal(mailValue('FROM:<> AUTH=<>').reversePath, undefined);
});

test('source routes are dropped; blanks before the path and at the end are taken', () => {
  for (const argument of ['FROM:<@a.example:x@y>', 'FROM:<@a.example,@b.example:x@y>', 'FROM: <x@y>', 'FROM:\t <x@y> \t', 'From:<x@y>']) {
    assert.deepEqual(mailValue(argument).reversePath, { localPart: 'x', domain: 'y' }, argument);
  }
});

test('quoted local parts and literals may hold what ends a path elsewhere', () => {
  assert.equal(mailValue('FROM:<"a>b\\" SIZE=1"@y> SIZE=2').octets, 2);
  assert.deepEqual(mailValue('FROM:<"a>b"@[x:c>d]>').reversePath, { localPart: '"a>b"', domain: '[x:c>d]' });
});

const REFUSED_MAIL: readonly (readonly [string, string])[] = [
  ['', '501 5.5.4'],
  ['FROM', '501 5.5.4'],
  ['FROM :<a@b>', '501 5.5.4'],
  ['TO:<a@b>', '501 5.5.4'],
  ['FROM:a@b', '501 5.5.4'],
  ['FROM:<a@b', '501 5.5.4'],
  ['FROM:<a@b>>', '501 5.5.4'],
  ['FROM:<a@b>SIZE=1', '501 5.5.4'],
  ['FROM:<a@b>  SIZE=1', '501 5.5.4'],
  ['FROM:x <a@b>', '501 5.5.4'],
  ['FROM:< a@b>', '501 5.1.7'],
  ['FROM:<a b@c>', '501 5.1.7'],
  ['FROM:<postmaster>', '501 5.1.7'],
  ['FROM:<@a:b>', '501 5.1.7'],
  ['FROM:<@-:a@b>', '501 5.1.7'],
  ['FROM:<@a,b:a@b>', '501 5.1.7'],
  ['FROM:<ü@b>', '553 5.6.7'],
  ['FROM:<a@ü.example>', '553 5.6.7'],
  ['FROM:<a@b> SIZE', '501 5.5.4'],
  ['FROM:<a@b> SIZE=', '501 5.5.4'],
  ['FROM:<a@b> SIZE=-1', '501 5.5.4'],
  ['FROM:<a@b> SIZE=1e3', '501 5.5.4'],
  [`FROM:<a@b> SIZE=${'1'.repeat(21)}`, '501 5.5.4'],
  ['FROM:<a@b> SIZE=1 size=1', '501 5.5.4'],
  ['FROM:<a@b> BODY=BINARYMIME', '501 5.5.4'],
  ['FROM:<a@b> BODY', '501 5.5.4'],
  ['FROM:<a@b> SMTPUTF8=1', '501 5.5.4'],
  ['FROM:<a@b> RET=NONE', '501 5.5.4'],
  ['FROM:<a@b> ENVID', '501 5.5.4'],
  ['FROM:<a@b> ENVID=+', '501 5.5.4'],
  ['FROM:<a@b> ENVID=+0D+0A', '501 5.5.4'],
  ['FROM:<a@b> ENVID=a+2b', '501 5.5.4'],
  ['FROM:<a@b> ENVID=+C3+BC', '501 5.5.4'],
  [`FROM:<a@b> ENVID=${'a'.repeat(101)}`, '501 5.5.4'],
  ['FROM:<a@b> AUTH=x', '501 5.5.4'],
  ['FROM:<a@b> AUTH', '501 5.5.4'],
  ['FROM:<a@b> A=B=C', '501 5.5.4'],
  ['FROM:<a@b> -A=B', '501 5.5.4'],
  ['FROM:<a@b> =B', '501 5.5.4'],
  ['FROM:<a@b> NOTIFY=NEVER', '555 5.5.4'],
  ['FROM:<a@b> X=Y', '555 5.5.4'],
  ['FROM:<a@b> __proto__=Y', '501 5.5.4'],
  ['FROM:<a@b> constructor=Y', '555 5.5.4'],
];
test('MAIL is refused with the right code', () => {
  for (const [argument, expected] of REFUSED_MAIL) assert.equal(refusal(mail(argument)), expected, argument);
  assert.equal(refusal(parseMail('FROM:<a@b> AUTH=<>', { auth: false })), '555 5.5.4');
});

test('SIZE takes 20 digits and ENVID 100 octets', () => {
  assert.equal(mailValue(`FROM:<a@b> SIZE=${'9'.repeat(20)}`).octets, 1e20);
  assert.equal(mailValue(`FROM:<a@b> ENVID=${'a'.repeat(100)}`).envid.length, 100);
});

test('a path of 256 octets with its route is taken, one more is not', () => {
  const route = (length: number) => `FROM:<@${`${'a'.repeat(60)}.`.repeat(4)}${'b'.repeat(length)}:x@y>`;
  assert.equal(refusal(mail(route(5))), 'taken');
  assert.equal(route(5).length - 'FROM:'.length, 256);
  assert.equal(refusal(mail(route(6))), '501 5.1.7');
});

test('RCPT with every parameter, and postmaster without a domain', () => {
  assert.deepEqual(rcpt('TO:<Postmaster>'), { ok: true, value: { forwardPath: 'postmaster', notify: 0, orcpt: '' } });
  assert.deepEqual(rcpt('TO:<b@c> NOTIFY=success,DELAY ORCPT=rfc822;Bob+2Bx@d'), {
    ok: true,
    value: { forwardPath: { localPart: 'b', domain: 'c' }, notify: NOTIFY.SUCCESS | NOTIFY.DELAY, orcpt: 'rfc822;Bob+x@d' },
  });
});

const REFUSED_RCPT: readonly (readonly [string, string])[] = [
  ['TO:<>', '501 5.1.3'],
  ['TO:<bob>', '501 5.1.3'],
  ['TO:<@a:postmaster>', '501 5.1.3'],
  ['FROM:<a@b>', '501 5.5.4'],
  ['TO:<a@b> NOTIFY', '501 5.5.4'],
  ['TO:<a@b> NOTIFY=', '501 5.5.4'],
  ['TO:<a@b> NOTIFY=NEVER,DELAY', '501 5.5.4'],
  ['TO:<a@b> NOTIFY=OFTEN', '501 5.5.4'],
  ['TO:<a@b> NOTIFY=DELAY,', '501 5.5.4'],
  ['TO:<a@b> NOTIFY=NEVER NOTIFY=NEVER', '501 5.5.4'],
  ['TO:<a@b> ORCPT', '501 5.5.4'],
  ['TO:<a@b> ORCPT=a@b', '501 5.5.4'],
  ['TO:<a@b> ORCPT=;a@b', '501 5.5.4'],
  ['TO:<a@b> ORCPT=rfc822;', '501 5.5.4'],
  ['TO:<a@b> ORCPT=rfc822;+00', '501 5.5.4'],
  ['TO:<a@b> ORCPT=rfc822;ü@b', '501 5.5.4'],
  [`TO:<a@b> ORCPT=rfc822;${'a'.repeat(494)}`, '501 5.5.4'],
  ['TO:<a@b> SIZE=1', '555 5.5.4'],
  ['TO:<ü@b>', '553 5.6.7'],
];
test('RCPT is refused with the right code', () => {
  for (const [argument, expected] of REFUSED_RCPT) assert.equal(refusal(rcpt(argument)), expected, argument);
  assert.equal(refusal(rcpt(`TO:<a@b> ORCPT=rfc822;${'a'.repeat(493)}`)), 'taken');
  assert.equal(refusal(rcpt('TO:<ü@b> ORCPT=utf-8;ü@b', true)), 'taken');
});

const PIECES = [
  'FROM:',
  'TO:',
  '<',
  '>',
  '<a@b>',
  '"',
  '\\',
  '[',
  ']',
  '@',
  ',',
  ':',
  ' ',
  '\t',
  'SIZE=1',
  'NOTIFY=NEVER',
  'ORCPT=rfc822;a',
  '=',
  '+',
  '+41',
  'ü',
  '\0',
  '\r',
  'postmaster',
];
test('any argument is either refused with one short printable line or holds nothing but what was parsed', () => {
  const argument = fc.oneof(
    fc.array(fc.constantFrom(...PIECES), { maxLength: 20 }).map((parts) => parts.join('')),
    fc.string({ unit: 'binary' }),
  );
  fc.assert(
    fc.property(argument, fc.boolean(), (sent, smtputf8) => {
      for (const parsed of [mail(sent), mail(`FROM:${sent}`), rcpt(sent, smtputf8), rcpt(`TO:${sent}`, smtputf8)]) {
        if (!parsed.ok) assert.match(parsed.reply.text, /^[\x20-\x7e]{1,80}$/);
        else assert.doesNotMatch(JSON.stringify(parsed.value), /\\u00[01]|\\[rnt]/);
      }
    }),
    { numRuns: 2000 },
  );
});

test('a megabyte of anything is judged at once', () => {
  const before = process.threadCpuUsage();
  for (const piece of ['<', '"', '\\', ' ', '\t', '@a,', ' SIZE=1', '+41', ',', 'NEVER,', '\\x{41}', '[']) {
    const long = piece.repeat(1_000_000 / piece.length);
    for (const sent of [`FROM:${long}`, `FROM:<${long}>`, `FROM:<a@b>${long}`, `FROM:<a@b> ENVID=${long}`]) mail(sent);
    for (const sent of [`TO:<a@b> NOTIFY=${long}`, `TO:<a@b> ORCPT=utf-8;${long}`, `TO:<a@b> ORCPT=${long};a`]) rcpt(sent);
  }
  assert.ok(process.threadCpuUsage(before).user < 3_000_000);
});
