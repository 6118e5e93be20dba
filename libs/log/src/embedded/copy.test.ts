import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { copyEmbeddedLog } from './copy.ts';
import { DamagedLog } from './damage.ts';
import { diskFiles, type LogFiles } from './files.ts';
import { type Bench, createBench, readAll, text } from './fixtures/bench.ts';

async function bench(t: TestContext, options: Parameters<typeof createBench>[0] = {}): Promise<Bench> {
  const made = await createBench(options);
  t.after(() => made.close());
  return made;
}
const append = ({ log }: Bench, value: string, partition = 0): Promise<number> => log.append('mail.lane', partition, [text(value)]);

for (const clearOctets of [0, 64 * 1024]) {
  test(`copies made while records are appended and trimmed hold all that was acknowledged before (cleared ahead: ${clearOctets})`, async (t) => {
    const made = await bench(t, { segmentOctets: 8 * 1024, clearOctets });
    const { log } = made;
    const acknowledged: string[] = [];
    let [isOver, low] = [false, 0];
    const appending = (async () => {
      for (let at = 0; !isOver; at++) {
        await log.append('mail.lane', 0, [text(`${at} ${'x'.repeat(at % 700)}`)]);
        acknowledged.push(String(at));
        if (at % 50 !== 49) continue;
        low = at - 40;
        await log.trim('mail.lane', 0, low);
      }
    })();
    for (let round = 0; round < 10; round++) {
      while (acknowledged.length < round * 40 + 20) await new Promise(setImmediate);
      const [known, trimmed] = [acknowledged.length, low];
      const target = join(made.folder, `copy-${round}`);
      await copyEmbeddedLog(made.folder, target);
      const copy = await made.open({ folder: target });
      const found = (await readAll(copy)).map((value) => value.split(' ')[0]);
      await copy.close();
      const first = Number(found[0]);
      assert.ok(first >= trimmed && first <= low + 1, `${first} of ${trimmed} to ${low}`);
      assert.deepEqual(
        found,
        found.map((_, at) => String(first + at)),
      );
      assert.ok(Number(found.at(-1)) >= known - 1, `${found.at(-1)} of ${known}`);
    }
    isOver = true;
    await appending;
  });
}

test('a segment that a trim removes under the copy is in it', async (t) => {
  const made = await bench(t, { segmentOctets: 1 });
  for (let at = 0; at < 5; at++) await append(made, String(at));
  let isTrimmed = false;
  const files: LogFiles = {
    ...diskFiles,
    open: async (path, o) => {
      if (o.isNew && !isTrimmed) {
        isTrimmed = true;
        await made.log.trim('mail.lane', 0, 5);
        await append(made, 'more');
        await append(made, 'most');
        while ((await made.segments()).length > 2) await new Promise(setImmediate);
      }
      return diskFiles.open(path, o);
    },
  };
  const target = join(made.folder, 'copy');
  await copyEmbeddedLog(made.folder, target, files);
  assert.deepEqual((await readAll(await made.open({ folder: target }))).slice(0, 5), ['0', '1', '2', '3', '4']);
});

test('a batch that was written between two reads of the newest segment does not leave a hole', async (t) => {
  const made = await bench(t);
  for (let at = 0; at < 3; at++) await append(made, String(at));
  const [name = ''] = await made.segments();
  const whole = await readFile(join(made.folder, name));
  const hole = whole.indexOf('1', whole.lastIndexOf('0'));
  let reads = 0;
  const files: LogFiles = {
    ...diskFiles,
    open: async (path, o) => {
      const file = await diskFiles.open(path, o);
      const read: typeof file.read = async (position, octets) => {
        const found = await file.read(position, octets);
        if (reads++ === 0) found.fill(0, hole, hole + 1);
        return found;
      };
      return o.isNew ? file : { ...file, read };
    },
  };
  const target = join(made.folder, 'copy');
  await copyEmbeddedLog(made.folder, target, files);
  assert.ok(reads > 1);
  assert.deepEqual(await readAll(await made.open({ folder: target })), ['0']);
});

test('damage below what is on disk ends the copy, and is not taken for the end of the log', async (t) => {
  const made = await bench(t);
  for (let at = 0; at < 3; at++) await append(made, `value ${at}`);
  const [name = ''] = await made.segments();
  const path = join(made.folder, name);
  const file = await readFile(path);
  file.write('X', file.indexOf('value 1'));
  await writeFile(path, file);
  await assert.rejects(copyEmbeddedLog(made.folder, join(made.folder, 'copy')), DamagedLog);
});
