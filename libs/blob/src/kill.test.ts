import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { openFileBlobs } from './file-blobs.ts';

/** Puts bodies of one repeated octet over and over until it is killed, and says which puts are durable. */
const PROGRAM = `
  import { writeSync } from 'node:fs';
  import { openFileBlobs } from ${JSON.stringify(new URL('./file-blobs.ts', import.meta.url).href)};
  const blobs = await openFileBlobs({ folder: process.argv[1], isShared: false });
  const putForEver = async (key) => {
    for (let round = 1; ; round++) {
      await blobs.put(key, Buffer.alloc(round % 2 ? 300_000 : 1_000, round % 256));
      await blobs.put('fresh/' + key + '/' + round, Buffer.alloc(2_000, round % 256));
      writeSync(1, key + ' ' + round + ';\\n');
    }
  };
  await Promise.all(['a', 'b', 'c'].map(putForEver));
`;

async function putAndKill(folder: string, wanted: number): Promise<Map<string, number>> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const durable = new Map<string, number>();
  let seen = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [, key, round] = /^(\w) (\d+);$/.exec(line) ?? [];
    if (key && round) durable.set(key, Number(round));
    if (++seen === wanted) child.kill('SIGKILL');
  }
  assert.deepEqual(await ended, [null, 'SIGKILL']);
  return durable;
}

/** Puts a thousand bodies, and is done. */
const SHARING = `
  import { openFileBlobs } from ${JSON.stringify(new URL('./file-blobs.ts', import.meta.url).href)};
  const blobs = await openFileBlobs({ folder: process.argv[1], isShared: true });
  for (let round = 0; round < 100; round++)
    await Promise.all(Array.from({ length: 10 }, (_, at) => blobs.put('shared/' + round + '/' + at, Buffer.alloc(20_000, at))));
`;

test('a process that opens a shared folder again and again leaves the puts of another one alone', { timeout: 60_000 }, async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'angarium-blob-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  const child = spawn(process.execPath, ['--input-type=module', '-e', SHARING, root], { stdio: 'inherit' });
  const ended = once(child, 'exit');
  let blobs = await openFileBlobs({ folder: root, isShared: true });
  while (child.exitCode === null) blobs = await openFileBlobs({ folder: root, isShared: true });
  assert.deepEqual(await ended, [0, null]);
  assert.equal((await blobs.get('shared/99/9'))?.length, 20_000);
});

test('after kill -9 every key has a whole body, the last durable one or a later one, and nothing unfinished is left', {
  timeout: 60_000,
}, async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'angarium-blob-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  for (let kill = 0; kill < 3; kill++) {
    const folder = join(root, String(kill));
    const durable = await putAndKill(folder, 40 + kill * 7);
    const blobs = await openFileBlobs({ folder, isShared: false });
    assert.deepEqual(await readdir(join(folder, '.unfinished')), []);
    for (const [key, round] of durable) {
      const body = (await blobs.get(key)) ?? new Uint8Array(0);
      assert.equal(new Set(body).size, 1);
      assert.ok(body[0] === round % 256 || body[0] === (round + 1) % 256, `${key}: ${body[0]} after ${round}`);
      assert.equal(body.length, (body[0] ?? 0) % 2 ? 300_000 : 1_000);
      for (let one = 1; one <= round; one++) assert.equal((await blobs.get(`fresh/${key}/${one}`))?.length, 2_000);
    }
    assert.equal(durable.size, 3);
  }
});
