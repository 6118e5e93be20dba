import { copyFile } from 'node:fs/promises';
import { damagedAt } from './damage.ts';
import { diskFiles, type LogFiles, type SegmentFile } from './files.ts';
import { lastBatchFrom, wholeOctets } from './format.ts';
import { idOf, Segments } from './segments.ts';

interface Source {
  readonly id: number;
  readonly path: string;
  readonly file: SegmentFile;
}

const PIECE_OCTETS = 4 * 1024 ** 2;
/** Segments come and go every so many megabytes: a second look finds the same ones. */
const LOOKS_MAX = 100;

const idsIn = async (folder: string, files: LogFiles): Promise<readonly number[]> =>
  (await files.list(folder)).flatMap((name) => idOf(name, 'seg') ?? []).sort((one, other) => one - other);

const closeAll = (sources: readonly Source[]) => Promise.all(sources.map(({ file }) => file.close()));

/** All segments of one instant, oldest first. They stay readable when a trim removes them. */
async function openSources(folder: string, files: LogFiles): Promise<readonly Source[]> {
  const paths = new Segments(folder, files);
  for (let look = 0; look < LOOKS_MAX; look++) {
    const ids = await idsIn(folder, files);
    const sources: Source[] = [];
    try {
      for (const id of ids) sources.push({ id, path: paths.path(id), file: await files.open(paths.path(id), { isNew: false }) });
      if (String(await idsIn(folder, files)) === String(ids)) return sources;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        await closeAll(sources);
        throw error;
      }
    }
    await closeAll(sources);
  }
  throw new Error(`${folder}: its segments change too fast to be copied`);
}

const readWhole = async ({ file }: Source): Promise<Buffer> => file.read(0, await file.size());

/**
 * The whole batches that a segment which is being written begins with. The reading may pass a batch that is not there yet and
 * find the next one: a second reading has both then, and in a damaged file not.
 */
async function readNewest(source: Source): Promise<Buffer> {
  const { id: segment, path } = source;
  const file = await readWhole(source);
  const end = wholeOctets(file, segment);
  const last = lastBatchFrom(file, { segment, position: end });
  if (last > end && wholeOctets(await readWhole(source), segment) <= last) throw damagedAt(path, end);
  return file.subarray(0, end);
}

async function copyOlder({ file }: Source, to: SegmentFile): Promise<void> {
  const octets = await file.size();
  for (let at = 0; at < octets; at += PIECE_OCTETS) await to.write(await file.read(at, Math.min(PIECE_OCTETS, octets - at)), at);
}

/** An index that is missing or torn costs time at the first start from the copy. */
async function copyIndex(from: string, to: string): Promise<void> {
  await copyFile(from, to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

async function copySources(sources: readonly Source[], from: Segments, o: { readonly to: Segments; readonly files: LogFiles }) {
  const newest = sources.at(-1);
  for (const source of sources) {
    const content = source === newest ? await readNewest(source) : undefined;
    // A segment whose first batch is not written yet holds nothing.
    if (content?.length === 0) continue;
    const target = await o.files.open(o.to.path(source.id), { isNew: true });
    try {
      if (content) await target.write(content, 0);
      else await copyOlder(source, target);
    } finally {
      await target.close();
    }
    if (!content) await copyIndex(from.path(source.id, 'idx'), o.to.path(source.id, 'idx'));
  }
}

/**
 * Copies the log of a folder while its process writes to it. The copy is the log as it was at one instant after the call:
 * every record whose append had resolved before is in it, and it opens as after a kill. Nothing in the folder is changed, and
 * trims go on: what they remove stays readable here. On disk when it resolves. Cost: the log's octets, one file open each, and
 * the newest segment in memory.
 *
 * @throws DamagedLog when the newest segment is damaged; older ones are checked when the copy is opened
 */
export async function copyEmbeddedLog(folder: string, target: string, files: LogFiles = diskFiles): Promise<void> {
  await files.list(target);
  const sources = await openSources(folder, files);
  try {
    await copySources(sources, new Segments(folder, files), { to: new Segments(target, files), files });
  } finally {
    await closeAll(sources);
  }
}
