import { join } from 'node:path';
import { type OpenDirectory, openDirectory } from '@angarium/directory';
import { type Directory, type DirectoryAdmin, Refused, Unavailable } from '@angarium/rpc';
import type { Service } from '@angarium/runtime';
import { consumeTopics, createProgress } from './consumption.ts';
import { createMeters } from './meters.ts';
import type { BatchDeps } from './route-batch.ts';
import type { RoutingDeps } from './routing-deps.ts';

export interface Routing extends Service {
  /** Answers from `start` to `stop`; `Unavailable` otherwise. */
  readonly directory: Directory;
  readonly admin: DirectoryAdmin;
  /** What keeps it from being ready, in words. */
  notReady(): readonly string[];
}

/** The directory's questions and changes before it is open, and after: the same object for whoever holds it. */
function behindDoor<T extends object>(port: () => T | undefined): T {
  const call = (name: string) => async (request: unknown) => {
    const found = port();
    if (found === undefined) throw new Unavailable('the directory is not open');
    return (found as Record<string, (request: unknown) => Promise<unknown>>)[name]?.(request);
  };
  // A promise is told by its `then`: this is none.
  return new Proxy({}, { get: (_target, name) => (typeof name === 'string' && name !== 'then' ? call(name) : undefined) }) as T;
}

function openOwnDirectory({ config, clock, sharedDirectory }: RoutingDeps): Promise<OpenDirectory> {
  const { postmaster, maxAliasDepth, maxExpansion, authCacheMs, hashConcurrency, maxWaitingLogins } = config.routing;
  return openDirectory({
    database: sharedDirectory ?? join(config.dataFolder, 'directory.sqlite'),
    nowMs: () => clock.nowMs(),
    ...{ postmaster, maxAliasDepth, maxExpansion, authCacheMs, hashConcurrency, maxWaitingLogins },
    errors: {
      refused: (reason, text) => new Refused(reason, text),
      unavailable: (text, cause) => new Unavailable(text, { cause }),
    },
  });
}

/**
 * The routing service: reads `mail.in` and `mail.in.bulk`, expands recipients, appends to the lanes, and serves the
 * directory. `start` resolves when the directory answers and the topics are read; `stop` when the batches in hand have
 * ended and what they made durable is committed.
 */
export function createRouting(deps: RoutingDeps): Routing {
  const { config, clock, random } = deps;
  const stopping = new AbortController();
  const progress = createProgress();
  const lagSeconds = () => Math.max(0, ...[...progress.inHandSinceMs.values()].map((sinceMs) => (clock.nowMs() - sinceMs) / 1000));
  const meters = createMeters(deps.metrics, { lagSeconds, halted: () => progress.halted.size });
  let open: OpenDirectory | undefined;
  let running: Promise<void> = Promise.resolve();
  const directory = behindDoor(() => open?.directory);
  return {
    directory,
    admin: behindDoor(() => open?.admin),
    notReady: () => [
      ...(open === undefined ? ['routing: the directory is not open'] : []),
      ...[...progress.halted].map((name) => `routing: ${name} is halted, records are missing`),
    ],
    start: async () => {
      open = deps.directory ?? (await openOwnDirectory(deps));
      const { retryMs, maxRetryMs } = config.routing;
      const retry = { clock, random, retryMs, maxRetryMs, signal: stopping.signal };
      const batchDeps: BatchDeps = { ...deps, expander: directory, meters, retry };
      running = consumeTopics(batchDeps, progress);
    },
    stop: async () => {
      stopping.abort();
      await running;
      const own = deps.directory ? undefined : open;
      open = undefined;
      await own?.close();
    },
  };
}
