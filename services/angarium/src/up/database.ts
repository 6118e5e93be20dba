import type { RoutingDeps } from '@angarium/routing';
import type { Config } from '@angarium/runtime';
import { openPostgres } from '@angarium/sql';

/** Where the directory is, when several processes have the same one; undefined: in the data folder. */
export function sharedDirectory({ postgres, routing }: Config): RoutingDeps['sharedDirectory'] {
  if (routing.directoryEngine === 'sqlite' || postgres === undefined) return undefined;
  return {
    open: (migrations) => openPostgres({ ...postgres, migrations, schema: 'directory', applicationName: 'angarium directory' }),
    maxAgeMs: routing.directoryMaxAgeMs,
  };
}
