import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

const HEADER = 'number\tstatus\ttitle\tsections\tnote';

/** Runs the tool on a tree of these files. */
function check(t, files, ...options) {
  const root = mkdtempSync(join(tmpdir(), 'rfc-citations-'));
  t.after(() => rmSync(root, { recursive: true }));
  for (const [name, text] of Object.entries({ 'docs/rfc/index.tsv': `${HEADER}\n`, ...files })) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(import.meta.dirname, 'rfc-citations.mjs'), '--root', root, ...options],
    { encoding: 'utf8' },
  );
  return {
    status,
    stdout,
    faults: stderr.trimEnd().split('\n').filter(Boolean),
    index: () => readFileSync(join(root, 'docs/rfc/index.tsv'), 'utf8'),
  };
}

const SMTP = 'docs/rfc/index.tsv';
const row = (sections, status = 'Yes') => `${HEADER}\n5321\t${status}\tSMTP\t${sections}\t\n`;

test('a tree whose citations and index agree passes', (t) => {
  const code = '// RFC 5321 §4.4 and §4.5.3.1.8,\n//  §A.1; RFC 5321\n/**\n * RFC\n * 5321 §6.3\n */\n';
  assert.deepEqual(check(t, { 'libs/a/x.ts': code, [SMTP]: row('4.4 4.5.3.1.8 6.3 A.1') }).faults, []);
});

test('an RFC that is not listed goes red with file and line', (t) => {
  const { status, faults } = check(t, { 'services/a/x.ts': '\n// RFC 9999\n' });
  assert.equal(status, 1);
  assert.deepEqual(faults, ['services/a/x.ts:2: RFC 9999 is not in docs/rfc/index.tsv']);
});

test('a section that is not listed goes red', (t) => {
  const { status, faults } = check(t, { 'README.md': 'RFC 5321 §4.4, §4.5', [SMTP]: row('4.4') });
  assert.equal(status, 1);
  assert.deepEqual(faults, ['README.md:1: RFC 5321 §4.5 is not in docs/rfc/index.tsv']);
});

test('a listed section that nothing cites goes red', (t) => {
  const { status, faults } = check(t, { 'libs/x.ts': '// RFC 5321 §4.4', [SMTP]: row('4.4 4.4.1') });
  assert.equal(status, 1);
  assert.deepEqual(faults, ['docs/rfc/index.tsv:2: RFC 5321 §4.4.1 is cited nowhere']);
});

test('an RFC that is claimed and cited nowhere goes red, a planned one does not', (t) => {
  assert.deepEqual(check(t, { [SMTP]: row('') }).faults, ['docs/rfc/index.tsv:2: RFC 5321 is "Yes" and cited nowhere']);
  assert.equal(check(t, { [SMTP]: row('', 'Planned') }).status, 0);
});

test('an RFC that is planned and has sections goes red', (t) => {
  const { faults } = check(t, { 'libs/x.ts': '// RFC 5321 §4.4', [SMTP]: row('4.4', 'Planned') });
  assert.deepEqual(faults, ['docs/rfc/index.tsv:2: RFC 5321 is "Planned" and has sections: say Partial']);
});

test('the address type rfc822 is no citation', (t) => assert.equal(check(t, { 'libs/x.ts': "'rfc822;a@b'" }).status, 0));

test('other spellings go red, since they would not be seen', (t) => {
  const spellings = ['RFC5321', 'RFC-5321', 'RFC 5321 section 4.4', 'RFC 5321§4.4', 'RFC 5321, §4.4'];
  for (const spelling of spellings) assert.equal(check(t, { 'docs/x.md': spelling, [SMTP]: row('', 'No') }).faults.length, 1, spelling);
});

test('faults of the index itself go red', (t) => {
  for (const line of ['5321\tYes\tSMTP\t', '5321\tMaybe\tSMTP\t\t', 'x\tYes\tSMTP\t\t']) {
    assert.equal(check(t, { [SMTP]: `${HEADER}\n${line}\n` }).status, 1, line);
  }
  assert.equal(check(t, { [SMTP]: `${HEADER}\n5322\tNo\ta\t\t\n5321\tNo\tb\t\t\n` }).status, 1);
});

test('--fix adds cited sections to listed RFCs and nothing else', (t) => {
  const result = check(t, { 'libs/x.ts': '// RFC 5321 §4.10, RFC 5321 §4.9, RFC 822 §1', [SMTP]: row('4.4') }, '--fix');
  assert.equal(result.index(), row('4.4 4.9 4.10'));
  assert.deepEqual(result.faults.sort(), [
    'docs/rfc/index.tsv:2: RFC 5321 §4.4 is cited nowhere',
    'libs/x.ts:1: RFC 822 is not in docs/rfc/index.tsv',
  ]);
});

test('--list tells every place', (t) => {
  const { stdout } = check(t, { 'libs/x.ts': '// RFC 5321 §4.9\n// RFC 5321 §4.9, §4.10', [SMTP]: row('4.9 4.10') }, '--list');
  assert.equal(stdout, 'RFC 5321 §4.9\tlibs/x.ts:1\nRFC 5321 §4.9\tlibs/x.ts:2\nRFC 5321 §4.10\tlibs/x.ts:2\n');
});
