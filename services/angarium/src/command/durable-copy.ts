import { cp, mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Folders of the paths, those above them and the root itself: each names something that was made. */
function foldersOf(root: string, paths: readonly string[]): readonly string[] {
  const folders = new Set([dirname(root), root]);
  for (const path of paths) for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) folders.add(join(root, folder));
  return [...folders];
}

/** Copies files from one folder to another. They and the folders that name them are on disk when it resolves. */
export async function copyDurably(from: string, to: string, paths: readonly string[]): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const path of paths) {
    const target = join(to, path);
    await mkdir(dirname(target), { recursive: true });
    await cp(join(from, path), target, { preserveTimestamps: true });
    await sync(target);
  }
  for (const folder of foldersOf(to, paths)) await sync(folder);
}

/** Writes a file whose being there tells that all before it is complete. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const handle = await open(path, 'wx');
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await sync(dirname(path));
}
