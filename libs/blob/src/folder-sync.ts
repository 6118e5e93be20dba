/**
 * Syncs folders. What is asked for while a sync of the folder is under way, which may have begun before the caller's change,
 * is done by one further sync for all who ask. When one fails, those who wait behind it fail too: the kernel tells of a
 * failure once, and it may have been about their changes.
 */
export function createFolderSync(syncOnce: (folder: string) => Promise<void>): (folder: string) => Promise<void> {
  const running = new Map<string, { current: Promise<void>; next: Promise<void> | undefined }>();
  const start = (folder: string): Promise<void> => {
    const current = syncOnce(folder).finally(() => {
      const found = running.get(folder);
      if (found?.current === current && found.next === undefined) running.delete(folder);
    });
    running.set(folder, { current, next: undefined });
    return current;
  };
  return (folder) => {
    const found = running.get(folder);
    if (found === undefined) return start(folder);
    found.next ??= found.current.then(
      () => start(folder),
      (error: unknown) => {
        running.delete(folder);
        throw error;
      },
    );
    return found.next;
  };
}
