import { createHash } from 'node:crypto';
import type { Client } from 'pg';
import type { Sql } from '../sql.ts';
import { toSqlError } from './errors.ts';

export interface PostgresHoldsOptions {
  /** Opens a connection for the locks alone. */
  readonly connect: () => Promise<Client>;
  /** Names of different schemas do not meet. */
  readonly schema: string;
  readonly place: string;
}

const keyOf = (schema: string, name: string): string =>
  createHash('sha256').update(`${schema}\0${name}`).digest().readBigInt64BE().toString();

/**
 * Holds as advisory locks of one connection: the server drops them with it, so a killed process frees its holds at once,
 * and one that vanished from the network within about 25 s.
 */
export function createPostgresHolds({ connect, schema, place }: PostgresHoldsOptions) {
  const held = new Map<string, () => void>();
  let session: Promise<Client> | undefined;

  const lose = (lost: Promise<Client>) => {
    if (session !== lost) return;
    session = undefined;
    const tell = [...held.values()];
    held.clear();
    for (const onLost of tell) onLost();
  };
  const open = (): Promise<Client> => {
    const opening = connect();
    const onLost = () => lose(opening);
    opening.then((client) => client.on('error', onLost).on('end', onLost), onLost);
    return opening;
  };
  const ask = async (call: 'pg_try_advisory_lock' | 'pg_advisory_unlock', name: string): Promise<boolean> => {
    session ??= open();
    const client = await session;
    const { rows } = await client.query(`select ${call}($1::bigint) as done`, [keyOf(schema, name)]);
    return rows[0]?.done === true;
  };
  const hold: Sql<never>['hold'] = async (name, onLost) => {
    // The server would give a lock to its own connection twice.
    if (held.has(name)) return undefined;
    held.set(name, onLost);
    const isMine = () => held.get(name) === onLost;
    try {
      if (await ask('pg_try_advisory_lock', name)) {
        return {
          release: async () => {
            if (!isMine()) return;
            held.set(name, () => {});
            await ask('pg_advisory_unlock', name).catch(() => session?.then((client) => client.end()).catch(() => {}));
            held.delete(name);
          },
        };
      }
      if (isMine()) held.delete(name);
      return undefined;
    } catch (error) {
      if (isMine()) held.delete(name);
      throw toSqlError(error, place);
    }
  };
  return {
    hold,
    close: async () => {
      const closing = session;
      session = undefined;
      await (await closing?.catch(() => undefined))?.end();
    },
  };
}
