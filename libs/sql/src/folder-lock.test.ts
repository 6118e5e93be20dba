import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { holdFolder } from './index.ts';

const root = await mkdtemp(join(tmpdir(), 'angarium-lock-'));
after(() => rm(root, { recursive: true, force: true }));

test('a folder that is missing is made and held; a second hold names it', async () => {
  const folder = join(root, 'a', 'b');
  const lock = await holdFolder(folder);
  await assert.rejects(holdFolder(folder), (error: Error) => error.name === 'FolderHeld' && error.message.includes(folder));
  await lock.release();
  await lock.release();
  await (await holdFolder(folder)).release();
});

test('two folders are held at once', async () => {
  const [one, two] = await Promise.all([holdFolder(join(root, 'one')), holdFolder(join(root, 'two'))]);
  await Promise.all([one.release(), two.release()]);
});

test('another process keeps the folder until it is killed with -9, and leaves nothing that bars the next', async () => {
  const folder = join(root, 'killed');
  const program = `import { holdFolder } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
    await holdFolder(${JSON.stringify(folder)}); process.stdout.write('held'); setInterval(() => {}, 1e6);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  await assert.rejects(holdFolder(folder), { name: 'FolderHeld' });
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  await (await holdFolder(folder)).release();
  assert.deepEqual(await readdir(folder), ['lock.sqlite']);
});
