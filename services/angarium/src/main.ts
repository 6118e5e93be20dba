#!/usr/bin/env -S MALLOC_ARENA_MAX=2 node --max-semi-space-size=16
// Young space and arenas of the allocator: what they give and cost is in docs/performance.md.
import { createProgram } from './command/program.ts';
import { CommandError } from './command/terminal.ts';

/** Troubles of the machine that an operator can mend: their message is enough. */
const MENDABLE = new Set([
  'FolderHeld',
  'DamagedLog',
  'BlobStoreRefused',
  'SqlError',
  'EADDRINUSE',
  'EADDRNOTAVAIL',
  'EACCES',
  'ENOENT',
  'ENOSPC',
  'EROFS',
]);

// Mail, keys and sockets are their owner's alone, from the moment they exist.
process.umask(0o077);

try {
  await createProgram({ stdin: process.stdin, write: (text) => process.stdout.write(text) }).parseAsync();
} catch (error) {
  const { name = '', code = '', message = '' } = error as NodeJS.ErrnoException;
  if (!(error instanceof CommandError) && !MENDABLE.has(name) && !MENDABLE.has(code)) throw error;
  process.stderr.write(`${message}\n`);
  process.exitCode = error instanceof CommandError ? error.exitCode : 1;
}
