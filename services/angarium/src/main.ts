#!/usr/bin/env node
import { createProgram } from './command/program.ts';
import { CommandError } from './command/terminal.ts';

try {
  await createProgram({ stdin: process.stdin, write: (text) => process.stdout.write(text) }).parseAsync();
} catch (error) {
  if (!(error instanceof CommandError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error.exitCode;
}
