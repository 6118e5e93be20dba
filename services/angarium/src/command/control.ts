import { resolve } from 'node:path';
import { Refused, type RpcClientOptions, Unavailable } from '@angarium/rpc';
import type { Config } from '@angarium/runtime';
import type { Command } from 'commander';
import { configOf } from './config.ts';
import { CommandError } from './terminal.ts';

const TIMEOUT_MS = 30_000;

/** gRPC address of the control interface: a Unix socket, in the data folder unless configured. */
export const controlAddress = (config: Config): string =>
  `unix:${resolve(config.control === '' ? `${config.dataFolder}/control.sock` : config.control)}`;

/**
 * Runs `call` with a client of the running process and closes the client.
 *
 * @throws CommandError with the service's own words, or how to start it
 */
export async function withControl<C extends { close(): void }, T>(
  command: Command,
  connect: (options: RpcClientOptions) => Promise<C>,
  call: (client: C) => Promise<T>,
): Promise<T> {
  const address = controlAddress(configOf(command));
  const client = await connect({ address, timeoutMs: TIMEOUT_MS });
  try {
    return await call(client);
  } catch (error) {
    if (error instanceof Refused) throw new CommandError(error.message);
    if (error instanceof Unavailable)
      throw new CommandError(`nobody answers at ${address}: is \`angarium up\` running with this configuration? (${error.message})`);
    throw error;
  } finally {
    client.close();
  }
}
