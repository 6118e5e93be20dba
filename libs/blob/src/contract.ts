import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type BlobEntry, type BlobStore, BlobStoreFull } from './port.ts';

/** What the suite needs of a store that an engine's test opens for it, empty each time. */
export interface OpenedBlobs {
  readonly blobs: BlobStore;
  /** Opens the store again over what is durable. */
  reopen(): Promise<BlobStore>;
  /** Lets every put find no room, or room again; left out: the engine cannot be told. */
  setFull?(isFull: boolean): void;
  /** Gives everything back. */
  close(): Promise<void>;
}

const TIMEOUT_MS = 30_000;
const octetsOf = (text: string): Uint8Array => Buffer.from(text);
const text = (body: Uint8Array | undefined): string | undefined => (body ? Buffer.from(body).toString() : undefined);
const KEY_OF_200 = `${'a'.repeat(150)}/${'b'.repeat(49)}`;
const BAD_KEYS: readonly string[] = [
  '',
  '/',
  '/a',
  'a/',
  'a//b',
  '.',
  '..',
  '../a',
  'a/../b',
  'a/..',
  '.a',
  'a/.b',
  'a b',
  'a\0b',
  'a\nb',
  'a\\b',
  'ä',
  `${KEY_OF_200}b`,
];

async function listed(blobs: BlobStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of blobs.list(prefix)) keys.push(key);
  return keys.sort();
}

const fill = (blobs: BlobStore, keys: readonly string[]): Promise<unknown> =>
  Promise.all(keys.map((key) => blobs.put(key, octetsOf(`body of ${key}`))));

type Body = (opened: OpenedBlobs, t: TestContext) => Promise<void>;

const bodies: Readonly<Record<string, Body>> = {
  'get returns the octets that were put, also of an empty and of a big blob, also after a reopen': async ({ blobs, reopen }) => {
    const all = [new Uint8Array(0), Uint8Array.of(0, 255, 13, 10), Buffer.alloc(3 * 1024 ** 2, 'four')];
    for (const [at, body] of all.entries()) await blobs.put(`k${at}`, body);
    for (const open of [blobs, await reopen()])
      for (const [at, body] of all.entries()) assert.ok(Buffer.from(body).equals((await open.get(`k${at}`)) ?? octetsOf('missing')));
  },
  'an unknown key is undefined, also below a folder that is there': async ({ blobs }) => {
    assert.equal(await blobs.get('nope'), undefined);
    await blobs.put('a/b', octetsOf('1'));
    assert.equal(await blobs.get('a/c'), undefined);
    assert.equal(await blobs.get('a'), undefined);
    assert.equal(await blobs.get('a/b/c'), undefined);
  },
  'a body in pieces is one blob': async ({ blobs, reopen }) => {
    await blobs.put('a', ['one ', '', 'two ', 'x'.repeat(100_000), ' three'].map(octetsOf));
    await blobs.put('none', []);
    for (const open of [blobs, await reopen()]) {
      assert.equal(text(await open.get('a')), `one two ${'x'.repeat(100_000)} three`);
      assert.equal(text(await open.get('none')), '');
    }
  },
  'a put replaces the blob as a whole': async ({ blobs, reopen }) => {
    await blobs.put('a', octetsOf('a long body'));
    await blobs.put('a', octetsOf('short'));
    assert.equal(text(await blobs.get('a')), 'short');
    assert.equal(text(await (await reopen()).get('a')), 'short');
  },
  'what the caller does to the body after the put does not touch the blob': async ({ blobs }) => {
    const body = octetsOf('mine');
    await blobs.put('a', body);
    body.fill(0);
    assert.equal(text(await blobs.get('a')), 'mine');
  },
  'puts side by side: each is there, and of one key one whole body': async ({ blobs, reopen }) => {
    const keys = Array.from({ length: 60 }, (_, at) => `many/${at % 4}/${at}`);
    const same = Array.from({ length: 10 }, (_, at) => String(at).repeat(5000));
    await Promise.all([fill(blobs, keys), ...same.map((body) => blobs.put('one', octetsOf(body)))]);
    const again = await reopen();
    for (const key of keys) assert.equal(text(await again.get(key)), `body of ${key}`);
    assert.ok(same.includes(text(await again.get('one')) ?? ''));
    assert.deepEqual(await listed(again, ''), [...keys, 'one'].sort());
  },
  'a deleted blob is gone; deleting an unknown one is a no-op': async ({ blobs, reopen }) => {
    await fill(blobs, ['a/b', 'a/c']);
    for (const key of ['a/b', 'a/b', 'nope', 'a/nope', 'a', 'a/c/d']) await blobs.delete(key);
    assert.equal(await blobs.get('a/b'), undefined);
    assert.deepEqual(await listed(await reopen(), ''), ['a/c']);
    await blobs.put('a/b', octetsOf('again'));
    assert.equal(text(await blobs.get('a/b')), 'again');
  },
  'a listing has every key with the prefix and no other': async ({ blobs }) => {
    await fill(blobs, ['in/a1', 'in/a2', 'in/b', 'inn', 'lane/1/a', 'lane/12/a', KEY_OF_200]);
    assert.deepEqual(await listed(blobs, 'in/'), ['in/a1', 'in/a2', 'in/b']);
    assert.deepEqual(await listed(blobs, 'in/a'), ['in/a1', 'in/a2']);
    assert.deepEqual(await listed(blobs, 'in'), ['in/a1', 'in/a2', 'in/b', 'inn']);
    assert.deepEqual(await listed(blobs, 'lane/1'), ['lane/1/a', 'lane/12/a']);
    assert.deepEqual(await listed(blobs, 'lane/1/'), ['lane/1/a']);
    assert.equal((await listed(blobs, '')).length, 7);
    for (const none of ['nope', 'nope/', 'in/a1/', '../', '/', 'in//', '.', '..', './in']) assert.deepEqual(await listed(blobs, none), []);
  },
  'a listing tells the octets, and an instant that a later put does not undercut': async ({ blobs }) => {
    const entryOf = async (key: string): Promise<BlobEntry> => {
      for await (const entry of blobs.list(key)) return entry;
      throw new Error(`${key} is not listed`);
    };
    await blobs.put('a', octetsOf('12345'));
    const first = await entryOf('a');
    await blobs.put('a', octetsOf('123'));
    const second = await entryOf('a');
    assert.deepEqual([first.octets, second.octets], [5, 3]);
    assert.ok(second.storedAtMs >= first.storedAtMs);
  },
  'blobs may be deleted while they are listed': async ({ blobs }) => {
    await fill(
      blobs,
      Array.from({ length: 300 }, (_, at) => `sweep/${at % 3}/${at}`),
    );
    for await (const { key } of blobs.list('sweep/')) await blobs.delete(key);
    assert.deepEqual(await listed(blobs, ''), []);
  },
  'a listing may be left early': async ({ blobs }) => {
    await fill(blobs, ['a/1', 'a/2']);
    for await (const { key } of blobs.list('a/')) {
      assert.ok(key.startsWith('a/'));
      break;
    }
    assert.deepEqual(await listed(blobs, 'a/'), ['a/1', 'a/2']);
  },
  'a key outside the grammar is a range error and writes nothing': async ({ blobs }) => {
    for (const key of BAD_KEYS) {
      await assert.rejects(async () => blobs.put(key, octetsOf('x')), RangeError, JSON.stringify(key));
      await assert.rejects(async () => blobs.get(key), RangeError, JSON.stringify(key));
      await assert.rejects(async () => blobs.delete(key), RangeError, JSON.stringify(key));
    }
    assert.deepEqual(await listed(blobs, ''), []);
    for (const key of ['a', '-', '_a', 'a.b..c', '0/1/2', KEY_OF_200]) await blobs.put(key, octetsOf(key));
  },
  'a full store says so, keeps what it has, and takes puts again when there is room': async ({ blobs, setFull }, t) => {
    if (!setFull) return t.skip('this engine cannot be told to be full');
    await blobs.put('old', octetsOf('old'));
    setFull(true);
    for (const key of ['old', 'new', 'folder/new']) await assert.rejects(blobs.put(key, octetsOf('x')), BlobStoreFull);
    assert.equal(text(await blobs.get('old')), 'old');
    assert.equal(await blobs.get('new'), undefined);
    await blobs.delete('old');
    setFull(false);
    for (const key of ['old', 'new', 'folder/new']) await blobs.put(key, octetsOf('room'));
    assert.deepEqual(await listed(blobs, ''), ['folder/new', 'new', 'old']);
  },
};

/** What every engine must do. `open` gives an empty store. */
export function blobContract(engine: string, open: () => Promise<OpenedBlobs>): void {
  for (const [name, body] of Object.entries(bodies)) {
    test(`${engine}: ${name}`, { timeout: TIMEOUT_MS }, async (t) => {
      const opened = await open();
      t.after(() => opened.close());
      await body(opened, t);
    });
  }
}
