import { SqlError } from '../error.ts';

const SQLSTATE = /^[0-9A-Z]{5}$/;

const codeOf = (error: unknown): string => {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : '';
};
const isFromServer = (error: unknown): boolean => SQLSTATE.test(codeOf(error)) && 'severity' in (error as object);

/** True where the connection cannot be asked again: the server ended it, or whatever failed was not the server. */
export const endsConnection = (error: unknown): boolean => !isFromServer(error) || /^(08|57P|XX)/.test(codeOf(error));

/** What an operator does about it. */
const CURES: readonly (readonly [RegExp, string])[] = [
  [/^28/, 'check user, passwordFile and the pg_hba.conf of the server'],
  [/^3D000$/, 'make the database: create database'],
  [/^42501$/, 'the role needs the right to create a schema in this database, or to use the one that is there'],
  [/^53300$/, 'raise max_connections of the server, or lower maxConnections here'],
  [/^25006$/, 'this is a standby: name the primary'],
  [/^(ENOTFOUND|EAI_AGAIN)$/, 'check the host name'],
  [/^ECONNREFUSED$/, 'is the server running there?'],
  [/CERT|SELF_SIGNED|^UNABLE_TO/, 'check tls.authorityFile and the name in the certificate of the server'],
];

export function toSqlError(error: unknown, place: string): Error {
  if (error instanceof SqlError) return error;
  const code = codeOf(error);
  const text = error instanceof Error ? error.message || String((error as { errors?: unknown[] }).errors?.[0] ?? code) : String(error);
  const cure = CURES.find(([codes]) => codes.test(code))?.[1];
  const message = `PostgreSQL ${place}: ${text}${cure === undefined ? '' : ` (${cure})`}`;
  return new SqlError(code || 'ERROR', message, { cause: error, ...(isFromServer(error) ? {} : { trouble: 'unavailable' }) });
}
