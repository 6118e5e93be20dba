import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { type TestContext, test } from 'node:test';
import { blobContract } from './contract.ts';
import { openFileBlobs } from './file-blobs.ts';
import { type BlobFiles, diskFiles } from './files.ts';
import { type BlobStore, BlobStoreFull } from './port.ts';

type Step = 'write' | 'rename' | 'syncFolder' | 'makeFolder' | 'remove';

/** The disk, with faults and with a list of what was done to it. */
function createFailingFiles(root: string) {
  const steps: string[] = [];
  const state = { fault: undefined as ((step: Step, path: string) => string | undefined) | undefined };
  const take = async (step: Step, path: string) => {
    steps.push(`${step} ${relative(root, path)}`);
    const code = state.fault?.(step, path);
    if (code) throw Object.assign(new Error(`${code}: planted at ${step}`), { code });
  };
  const files: BlobFiles = {
    ...diskFiles,
    write: async (path, pieces) => {
      // A disk that fails has taken a part.
      await diskFiles.write(path, state.fault?.('write', path) ? [Buffer.concat(pieces).subarray(0, 1)] : pieces);
      await take('write', path);
    },
    rename: async (from, to) => {
      await take('rename', to);
      await diskFiles.rename(from, to);
    },
    syncFolder: async (path) => {
      await take('syncFolder', path);
      await diskFiles.syncFolder(path);
    },
    makeFolder: async (path) => {
      await take('makeFolder', path);
      await diskFiles.makeFolder(path);
    },
    remove: async (path) => {
      await take('remove', path);
      await diskFiles.remove(path);
    },
  };
  return { files, steps, state };
}

async function open(t?: TestContext) {
  const root = await mkdtemp(join(tmpdir(), 'angarium-blob-'));
  const close = () => rm(root, { recursive: true, force: true });
  t?.after(close);
  const folder = join(root, 'data/blobs');
  const failing = createFailingFiles(folder);
  const reopen = (): Promise<BlobStore> => openFileBlobs({ folder, files: failing.files, isShared: false });
  const unfinished = () => readdir(join(folder, '.unfinished'));
  return { ...failing, folder, unfinished, blobs: await reopen(), reopen, close };
}

const body = (text: string): Uint8Array => Buffer.from(text);

for (const code of ['ENOSPC', 'EDQUOT']) {
  blobContract(`files (${code})`, async () => {
    const opened = await open();
    const setFull = (isFull: boolean) => {
      opened.state.fault = (step) => (isFull && step === 'write' ? code : undefined);
    };
    return { ...opened, setFull };
  });
}

test('a blob is a plain file under its key', async (t) => {
  const { blobs, folder } = await open(t);
  await blobs.put('lane/7/id', body('plain'));
  assert.equal(await readFile(join(folder, 'lane/7/id'), 'utf8'), 'plain');
});

test('a put syncs the new folders into their parents, then the file, then its folder', async (t) => {
  const { blobs, steps } = await open(t);
  steps.length = 0;
  await blobs.put('lane/7/id', body('1'));
  const fresh = steps.find((step) => step.startsWith('write .unfinished/'));
  assert.deepEqual(steps, [
    'makeFolder lane',
    'syncFolder ',
    'makeFolder lane/7',
    'syncFolder lane',
    fresh,
    'rename lane/7/id',
    'syncFolder lane/7',
  ]);
});

test('a folder that was made but never synced is synced by the next put, in this process and in the next one', async (t) => {
  const { blobs, steps, state, reopen } = await open(t);
  state.fault = (step) => (step === 'syncFolder' ? 'EIO' : undefined);
  await assert.rejects(blobs.put('in/a', body('1')), { code: 'EIO' });
  state.fault = undefined;
  for (const store of [blobs, await reopen()]) {
    steps.length = 0;
    await store.put('in/b', body('1'));
    assert.deepEqual(steps.slice(0, 2), ['makeFolder in', 'syncFolder ']);
  }
});

test('nobody is told of success before the folder that another put made is on disk', async (t) => {
  const { blobs, files, steps } = await open(t);
  const held = Promise.withResolvers<void>();
  const { syncFolder } = files;
  files.syncFolder = async (path) => {
    if (path.endsWith('/blobs')) await held.promise;
    await syncFolder(path);
  };
  const puts = [blobs.put('in/a', body('1')), blobs.put('in/b', body('2'))];
  while (!steps.includes('makeFolder in')) await new Promise(setImmediate);
  assert.ok(!steps.some((step) => step.startsWith('rename')));
  held.resolve();
  await Promise.all(puts);
});

test('folder syncs that are asked for together are few', async (t) => {
  const { blobs, steps } = await open(t);
  await blobs.put('in/first', body('1'));
  steps.length = 0;
  await Promise.all(Array.from({ length: 100 }, (_, at) => blobs.put(`in/${at}`, body('1'))));
  const renames = steps.flatMap((step, at) => (step.startsWith('rename') ? [at] : []));
  const syncs = steps.flatMap((step, at) => (step === 'syncFolder in' ? [at] : []));
  assert.equal(renames.length, 100);
  assert.ok(syncs.length < 100, `${syncs.length} syncs`);
  assert.ok((syncs.at(-1) ?? 0) > (renames.at(-1) ?? 0), 'the last rename is synced');
});

test('a failed folder sync fails everybody who waits for that folder, and the next put syncs anew', async (t) => {
  const { blobs, state, files } = await open(t);
  await blobs.put('in/first', body('1'));
  const { syncFolder } = files;
  const held = Promise.withResolvers<void>();
  let syncs = 0;
  files.syncFolder = async (path) => {
    syncs++;
    await held.promise;
    await syncFolder(path);
  };
  let renames = 0;
  const { rename } = files;
  files.rename = async (from, to) => {
    await rename(from, to);
    renames++;
  };
  state.fault = (step) => (step === 'syncFolder' ? 'EIO' : undefined);
  const puts = ['a', 'b', 'c'].map((name) => blobs.put(`in/${name}`, body('1')));
  while (renames < 3 || syncs < 1) await new Promise(setImmediate);
  await new Promise(setImmediate);
  held.resolve();
  for (const { status } of await Promise.allSettled(puts)) assert.equal(status, 'rejected');
  assert.equal(syncs, 1);
  state.fault = undefined;
  await blobs.put('in/a', body('2'));
  assert.equal(syncs, 2);
});

for (const step of ['write', 'rename'] as const) {
  test(`a put that fails at ${step} leaves the old body and nothing unfinished`, async (t) => {
    const { blobs, state, unfinished } = await open(t);
    await blobs.put('a', body('old'));
    state.fault = (at) => (at === step ? 'EIO' : undefined);
    await assert.rejects(blobs.put('a', body('new')), (error: unknown) => !(error instanceof BlobStoreFull));
    assert.deepEqual(await unfinished(), []);
    assert.equal(Buffer.from((await blobs.get('a')) ?? []).toString(), 'old');
  });
}

test('a full disk is told as full wherever it shows, even when nothing can be cleaned up', async (t) => {
  const { blobs, state, reopen, unfinished } = await open(t);
  for (const full of ['write', 'rename', 'syncFolder', 'makeFolder'] as const) {
    state.fault = (step) => (step === full ? 'ENOSPC' : step === 'remove' ? 'EIO' : undefined);
    await assert.rejects(blobs.put(`${full}/a`, body('x')), BlobStoreFull);
  }
  assert.ok((await unfinished()).length > 0);
  state.fault = undefined;
  await reopen();
  assert.deepEqual(await unfinished(), []);
});

test('what a killed process left unfinished is removed at the start and never listed', async (t) => {
  const { folder, reopen, unfinished } = await open(t);
  await writeFile(join(folder, '.unfinished/half'), 'half');
  const blobs = await reopen();
  assert.deepEqual(await unfinished(), []);
  await writeFile(join(folder, '.unfinished/other'), 'other');
  for await (const { key } of blobs.list('')) assert.fail(key);
});

test('in a shared folder an opening leaves alone what another one is writing', async (t) => {
  const { blobs, folder, files, unfinished } = await open(t);
  const written = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const { rename } = files;
  files.rename = async (from, to) => {
    written.resolve();
    await held.promise;
    await rename(from, to);
  };
  const put = blobs.put('in/a', body('1'));
  await written.promise;
  const other = await openFileBlobs({ folder, isShared: true });
  assert.equal((await unfinished()).length, 1);
  held.resolve();
  await put;
  assert.equal(Buffer.from((await other.get('in/a')) ?? []).toString(), '1');
});

test('in a shared folder what nobody has written to for an hour is removed', async (t) => {
  const { folder, unfinished } = await open(t);
  const nowMs = Date.now();
  for (const [name, ageMs] of Object.entries({ fresh: 3_590_000, old: 3_610_000 })) {
    const path = join(folder, '.unfinished', name);
    await writeFile(path, 'half');
    await utimes(path, new Date(nowMs), new Date(nowMs - ageMs));
  }
  await openFileBlobs({ folder, isShared: true, nowMs: () => nowMs });
  assert.deepEqual(await unfinished(), ['fresh']);
});

test('an opening goes on when a file that it is about to remove is finished meanwhile', async (t) => {
  const { folder, files, unfinished } = await open(t);
  for (const name of ['seen', 'removed']) await writeFile(join(folder, '.unfinished', name), 'half');
  const takeAway = (gone: string) => async (path: string) => {
    if (path.endsWith(gone)) await rm(path);
  };
  const early = takeAway('seen');
  const late = takeAway('removed');
  const racing: BlobFiles = {
    ...files,
    stat: async (path) => {
      await early(path);
      return stat(path);
    },
    remove: async (path) => {
      await late(path);
      await files.remove(path);
    },
  };
  await openFileBlobs({ folder, files: racing, isShared: false });
  assert.deepEqual(await unfinished(), []);
});

test('a read that fails for another reason than absence is an error, not an unknown key', async (t) => {
  const { folder, files } = await open(t);
  const read = () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }));
  const blobs = await openFileBlobs({ folder, files: { ...files, read }, isShared: false });
  await assert.rejects(blobs.get('a'), { code: 'EIO' });
});
