import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Listing } from '../store/maildrop.ts';
import { createPop3Session, type Effect, type Pop3Session } from './session.ts';

const LISTING: Listing = { uidvalidity: 7, uids: [3, 5, 8], octets: [100, 200, 300] };
const LIMITS = { maxErrors: 5, maxAuthFailures: 2 };

const begin = (isSecure = true): Pop3Session => createPop3Session({ ...LIMITS, isSecure });
function begun(): Pop3Session {
  const session = begin();
  session.onLogin({ is: 'open', listing: LISTING });
  return session;
}

const say = (session: Pop3Session, text: string): readonly Effect[] => session.onLine({ is: 'line', text });
/** Effects as a transcript. */
const shown = (effects: readonly Effect[]): string[] =>
  effects.map((effect) => {
    if (effect.do === 'reply') return `${effect.ok ? '+OK' : '-ERR'} ${effect.text}`;
    if (effect.do === 'lines') return ['+OK', ...effect.lines].join('|');
    if (effect.do === 'login') return `login ${effect.credentials.login} ${effect.credentials.password}`;
    if (effect.do === 'retrieve') return `retrieve ${effect.uid} ${effect.bodyLines ?? 'all'}`;
    if (effect.do === 'update') return `update ${effect.uids.join()}`;
    return effect.do;
  });
const talk = (session: Pop3Session, ...lines: readonly string[]): string[] => lines.flatMap((line) => shown(say(session, line)));
const isError = (effects: readonly Effect[]) => effects[0]?.do === 'reply' && !effects[0].ok;

test('what is offered follows from TLS and phase', () => {
  const common = '+OK|TOP|UIDL|RESP-CODES|AUTH-RESP-CODE|PIPELINING|EXPIRE NEVER';
  assert.deepEqual(talk(begin(false), 'CAPA'), [`${common}|STLS|IMPLEMENTATION Angarium`]);
  assert.deepEqual(talk(begin(), 'CAPA'), [`${common}|USER|SASL PLAIN|IMPLEMENTATION Angarium`]);
  assert.deepEqual(talk(begun(), 'capa'), [`${common}|USER|SASL PLAIN|IMPLEMENTATION Angarium`]);
});

test('no login without TLS, in no form', () => {
  const session = begin(false);
  for (const line of ['USER a', 'PASS b', 'AUTH PLAIN AGEAYg==']) {
    assert.deepEqual(talk(session, line), ['-ERR [SYS/PERM] no login without TLS: use STLS first']);
  }
  session.secured();
  assert.deepEqual(talk(session, 'USER a', 'PASS b'), ['+OK now the password', 'login a b']);
});

test('what was said before TLS is forgotten', () => {
  const session = begin();
  say(session, 'USER a');
  session.secured();
  assert.deepEqual(talk(session, 'PASS b'), ['-ERR USER comes first']);
});

test('USER and PASS log in; a password may hold blanks and UTF-8', () => {
  const password = Buffer.from(' pä ss ').toString('latin1');
  assert.deepEqual(talk(begin(), 'user me@example.org', `pass ${password}`), ['+OK now the password', 'login me@example.org  pä ss ']);
});

test('AUTH PLAIN logs in with an initial response and after a challenge, and can be cancelled', () => {
  const response = Buffer.from('\0me\0secret').toString('base64');
  assert.deepEqual(talk(begin(), `AUTH plain ${response}`), ['login me secret']);
  assert.deepEqual(talk(begin(), 'AUTH PLAIN', response), ['challenge', 'login me secret']);
  const session = begin();
  assert.equal(session.maxLineOctets, 255);
  assert.deepEqual(talk(session, 'AUTH PLAIN'), ['challenge']);
  assert.equal(session.maxLineOctets, 2048);
  assert.deepEqual(talk(session, '*', 'QUIT'), ['-ERR cancelled', '+OK bye', 'close']);
  assert.ok(isError(say(begin(), 'AUTH CRAM-MD5')));
  assert.ok(isError(say(begin(), 'AUTH')));
});

test('wrong passwords end the session at maxAuthFailures', () => {
  const session = begin();
  assert.deepEqual(shown(session.onLogin({ is: 'wrong' })), ['-ERR [AUTH] wrong name or password']);
  assert.deepEqual(shown(session.onLogin({ is: 'wrong' })), ['-ERR [AUTH] wrong name or password', 'close']);
});

test('why else a login fails is told by response codes', () => {
  for (const [is, code] of [
    ['inUse', 'IN-USE'],
    ['limited', 'SYS/TEMP'],
    ['unavailable', 'SYS/TEMP'],
  ] as const) {
    assert.match(shown(begin().onLogin({ is }))[0] ?? '', new RegExp(`^-ERR \\[${code}\\] `));
  }
});

test('STAT, LIST and UIDL tell of what is not marked', () => {
  const session = begun();
  assert.deepEqual(talk(session, 'STAT', 'LIST', 'UIDL', 'LIST 2', 'UIDL 3'), [
    '+OK 3 600',
    '+OK|1 100|2 200|3 300',
    '+OK|1 7.3|2 7.5|3 7.8',
    '+OK 2 200',
    '+OK 3 7.8',
  ]);
  say(session, 'DELE 2');
  assert.deepEqual(talk(session, 'STAT', 'LIST', 'UIDL'), ['+OK 2 400', '+OK|1 100|3 300', '+OK|1 7.3|3 7.8']);
  for (const line of ['LIST 2', 'UIDL 2', 'RETR 2', 'TOP 2 0']) assert.deepEqual(talk(begunWithout2(), line), ['-ERR no such message']);
});
function begunWithout2(): Pop3Session {
  const session = begun();
  say(session, 'DELE 2');
  return session;
}

test('RSET takes all marks back', () => {
  assert.deepEqual(talk(begun(), 'DELE 1', 'DELE 3', 'RSET', 'STAT', 'QUIT'), [
    '+OK marked, deleted at QUIT',
    '+OK marked, deleted at QUIT',
    '+OK 3 messages (600 octets)',
    '+OK 3 600',
    'update ',
    'close',
  ]);
});

test('QUIT deletes what is marked', () => {
  assert.deepEqual(talk(begun(), 'DELE 3', 'DELE 1', 'QUIT').slice(2), ['update 8,3', 'close']);
});

test('RETR and TOP name the message by its UID', () => {
  assert.deepEqual(talk(begun(), 'RETR 2', 'TOP 3 10', 'TOP 1 0'), ['retrieve 5 all', 'retrieve 8 10', 'retrieve 3 0']);
});

test('what is no message number is none', () => {
  for (const argument of ['', '0', '4', '-1', '01', '1 1', '1.0', '99999999999', 'x', ' 1', '__proto__']) {
    for (const verb of ['RETR', 'DELE']) assert.ok(isError(say(begun(), `${verb} ${argument}`)), `${verb} ${argument}`);
  }
  for (const argument of ['', '1', '1 ', '1 -1', '1 x', '1 1 1', '1  1', '1 9999999999'])
    assert.ok(isError(say(begun(), `TOP ${argument}`)), argument);
});

test('commands of the other phase, unknown ones and needless arguments are refused', () => {
  for (const line of [
    'STAT',
    'LIST',
    'RETR 1',
    'DELE 1',
    'NOOP',
    'RSET',
    'toString',
    '__proto__',
    '',
    ' ',
    'CAPA x',
    'QUIT now',
    'STLS x',
  ]) {
    assert.ok(isError(say(begin(false), line)), line);
  }
  for (const line of ['USER a', 'PASS a', 'AUTH PLAIN', 'STLS', 'NOOP x', 'STAT 1', 'QUIT x']) assert.ok(isError(say(begun(), line)), line);
  assert.ok(isError(say(begin(true), 'STLS')));
});

test('control characters, bare LF and lines too long are refused', () => {
  for (const text of ['NOOP\0', 'NO\rOP', 'NOOP\t', '\x7f']) assert.ok(isError(say(begun(), text)));
  assert.deepEqual(shown(begun().onLine({ is: 'bareLf' })), ['-ERR lines end with CRLF']);
  assert.deepEqual(shown(begun().onLine({ is: 'tooLong' })), ['-ERR line too long']);
});

test('the session ends at maxErrors refused commands', () => {
  assert.deepEqual(talk(begun(), 'x', 'x', 'x', 'x'), Array(4).fill('-ERR no such command here'));
  assert.deepEqual(talk(begun(), 'x', 'x', 'x', 'x', 'x').at(-1), 'close');
});

const command = fc.oneof(
  fc.constantFrom('STAT', 'LIST', 'UIDL', 'RSET', 'NOOP', 'CAPA'),
  fc.tuple(fc.constantFrom('RETR', 'DELE', 'LIST', 'UIDL', 'DELE'), fc.nat(12)).map(([verb, number]) => `${verb} ${number}`),
  fc.string({ unit: 'binary', maxLength: 20 }),
);

test('whatever is said, QUIT deletes exactly what was marked since the last RSET, and STAT agrees with LIST', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 1000 }), { maxLength: 10 }), fc.array(command, { maxLength: 40 }), (octets, lines) => {
      const session = createPop3Session({ maxErrors: 1000, maxAuthFailures: 2, isSecure: true });
      const uids = octets.map((_, index) => index * 2 + 1);
      session.onLogin({ is: 'open', listing: { uidvalidity: 1, uids, octets } });
      const marked = new Set<number>();
      for (const line of lines) {
        if (/^QUIT$/i.test(line)) continue;
        const effects = say(session, line);
        if (isError(effects)) continue;
        const dele = /^DELE (\d+)$/i.exec(line);
        if (dele) marked.add(Number(dele[1]) - 1);
        if (/^RSET$/i.test(line)) marked.clear();
        assert.ok(effects.every((effect) => effect.do !== 'update'));
      }
      const left = octets.flatMap((each, index) => (marked.has(index) ? [] : [`${index + 1} ${each}`]));
      const sum = octets.reduce((total, each, index) => total + (marked.has(index) ? 0 : each), 0);
      assert.deepEqual(talk(session, 'LIST', 'STAT'), [['+OK', ...left].join('|'), `+OK ${left.length} ${sum}`]);
      assert.deepEqual(talk(session, 'QUIT'), [`update ${[...marked].map((index) => uids[index]).join()}`, 'close']);
    }),
  );
});

test('no reply repeats what the client said', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1 }), fc.boolean(), (text, isOpen) => {
      for (const effect of say(isOpen ? begun() : begin(), text)) {
        if (effect.do === 'reply') assert.match(effect.text, /^[ -~]*$/);
      }
    }),
  );
});
