import { readFileSync } from 'node:fs';
import { type Config, formatConfigError, loadConfig } from '@angarium/runtime';
import type { Command } from 'commander';
import { CommandError, type Terminal } from './terminal.ts';

/** The configuration that `--config` and the environment give. */
export function configOf(command: Command): Config {
  const name: string | undefined = command.optsWithGlobals().config;
  const loaded = loadConfig({ ...(name === undefined ? {} : { file: { name, text: readText(name) } }), environment: process.env });
  if (loaded.is === 'valid') return loaded.config;
  throw new CommandError(loaded.errors.map(formatConfigError).join('\n'), 2);
}

function readText(name: string): string {
  try {
    return readFileSync(name, 'utf8');
  } catch (error) {
    throw new CommandError(`${name}: ${(error as Error).message}`, 2);
  }
}

const SECRET = /password|secret/i;

export function addConfigCommand(program: Command, { write }: Terminal): void {
  const config = program.command('config').description('the configuration');
  config
    .command('check')
    .description('read the configuration and tell every mistake with file, line and key')
    .action((_options, command: Command) => {
      configOf(command);
      write('the configuration is good\n');
    });
  config
    .command('show')
    .description('print the configuration in force, defaults included, secrets left out')
    .action((_options, command: Command) => {
      write(`${JSON.stringify(configOf(command), (key, value) => (SECRET.test(key) ? '(secret)' : value), 2)}\n`);
    });
}
