import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDirectory } from '@angarium/directory';
import { type DirectoryAdmin, Refused, Unavailable } from '@angarium/rpc';
import { loadConfig } from '@angarium/runtime';
import { firstAccount } from './first-account.ts';

/** The directory, whose n-th change and every later one dies with the process. */
function killedAt(admin: DirectoryAdmin, step: number): DirectoryAdmin {
  let left = step;
  return new Proxy(admin, {
    get: (target, name: keyof DirectoryAdmin) => {
      if (name.startsWith('list')) return target[name];
      if (left-- <= 0) throw new Error('killed');
      return target[name];
    },
  });
}

for (const step of [0, 1, 2]) {
  test(`a first start that is killed at its change ${step} is finished by the next one, and its account works`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'angarium-first-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const loaded = loadConfig({ environment: {} });
    assert.equal(loaded.is, 'valid');
    const config = { ...loaded.config, hostname: 'first.example', dataFolder: folder };
    const open = await openDirectory({
      database: join(folder, 'directory.sqlite'),
      nowMs: () => 0,
      ...config.routing,
      errors: { refused: (reason, text) => new Refused(reason, text), unavailable: (text, cause) => new Unavailable(text, { cause }) },
    });
    t.after(() => open.close());
    const killed = firstAccount(config, open.directory, killedAt(open.admin, step));
    if (step < 2) await assert.rejects(killed, /killed/);
    else await killed;
    const account = await firstAccount(config, open.directory, open.admin);
    assert.equal(account?.address, 'me@first.example');
    const { accepted } = await open.directory.authenticate({ login: account.address, password: account.password });
    assert.ok(accepted);
    // Whoever takes it away does not get it back.
    await open.admin.removeAccount({ address: account.address });
    assert.equal(await firstAccount(config, open.directory, open.admin), undefined);
  });
}
