import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Logger } from './logger.ts';
import { silentLogger } from './logger.ts';
import { watchTls } from './tls.ts';

const folder = await mkdtemp(join(tmpdir(), 'tls-'));
after(() => rm(folder, { recursive: true }));
const file = (name: string) => join(folder, name);
const fixture = (name: string) => new URL(`fixtures/${name}`, import.meta.url);

/** A clock that turns only when told to. */
function handClock() {
  let pending: (() => void) | undefined;
  return {
    clock: {
      nowMs: () => 0,
      after: (_delayMs: number, run: () => void) => {
        pending = run;
        return () => {
          pending = undefined;
        };
      },
    },
    turn: async () => {
      const run = pending;
      pending = undefined;
      run?.();
      while (pending === undefined) await new Promise(setImmediate);
    },
  };
}

test('a changed pair is taken, a bad one is told once and the old one stays', async () => {
  const place = async (certificate: string, key: string) => {
    await copyFile(fixture(certificate), file('in-force.crt'));
    await copyFile(fixture(key), file('in-force.key'));
  };
  await place('one.crt', 'one.key');
  const events: string[] = [];
  const logger: Logger = { ...silentLogger, info: (_, event) => events.push(event), error: (_, event) => events.push(event) };
  const { clock, turn } = handClock();
  const tls = await watchTls({ certificateFile: file('in-force.crt'), keyFile: file('in-force.key'), reloadMs: 1 }, { clock, logger });
  const first = tls.current().cert;
  let changes = 0;
  tls.onChange(() => changes++);

  await place('two.crt', 'one.key');
  await turn();
  await turn();
  assert.deepEqual(events, ['tls.certificate.refused']);
  assert.equal(tls.current().cert, first);

  await place('two.crt', 'two.key');
  await turn();
  assert.deepEqual(events, ['tls.certificate.refused', 'tls.certificate.reloaded']);
  assert.notDeepEqual(tls.current().cert, first);
  assert.equal(changes, 1);

  await writeFile(file('in-force.crt'), 'not a certificate');
  await turn();
  assert.equal(changes, 1);

  // A pair that belongs together and that TLS refuses all the same, for its short key.
  await place('weak.crt', 'weak.key');
  const inForce = tls.current().cert;
  await turn();
  assert.equal(changes, 1);
  assert.equal(tls.current().cert, inForce);
  tls.close();
});

test('a first pair that cannot be used is an error', async () => {
  await writeFile(file('bad.crt'), 'x');
  await writeFile(file('bad.key'), 'x');
  await assert.rejects(
    watchTls(
      { certificateFile: file('bad.crt'), keyFile: file('bad.key'), reloadMs: 1 },
      { clock: handClock().clock, logger: silentLogger },
    ),
  );
});
