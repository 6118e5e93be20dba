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

/** Files below the folder, and the folders that name them, are on disk when it resolves. */
export async function syncCopies(folder: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) await sync(join(folder, path));
  for (const above of foldersOf(folder, paths)) await sync(above);
}

/** Copies files from one folder to another. They and the folders that name them are on disk when it resolves. */
export async function copyDurably(from: string, to: string, paths: readonly string[]): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const path of paths) {
    const target = join(to, path);
    await mkdir(dirname(target), { recursive: true });
    await cp(join(from, path), target, { preserveTimestamps: true });
  }
  await syncCopies(to, paths);
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
