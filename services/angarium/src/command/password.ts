import { text } from 'node:stream/consumers';
import { CommandError, type Terminal } from './terminal.ts';

/** One line from standard input; its end-of-line is not part of the password. */
export async function readPassword({ stdin }: Terminal): Promise<string> {
  if ((stdin as NodeJS.ReadStream).isTTY) process.stderr.write('password: ');
  const password = (await text(stdin as NodeJS.ReadStream)).split(/\r?\n/)[0] ?? '';
  if (password === '')
    throw new CommandError('no password on standard input; for example: angarium account add ann@example.org < password.txt');
  return password;
}
