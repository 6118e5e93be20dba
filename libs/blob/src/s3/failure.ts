import { BlobStoreFull, BlobStoreRefused } from '../port.ts';

/** What a failed request tells: the answer of the server, or the trouble on the way to it. */
interface Failure extends Error {
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
}

/** Where a call went, for sentences. */
export interface Target {
  readonly bucket: string;
  /** Empty: that of AWS. */
  readonly endpoint: string;
}

/** Answers about a moment, though their status is about us: too slow, a clock that the SDK corrects, octets lost on the way. */
const PASSING_NAMES = new Set(['RequestTimeout', 'RequestTimeTooSkewed', 'SlowDown', 'OperationAborted', 'BadDigest', 'IncompleteBody']);
const PASSING_STATUSES = new Set([408, 409, 429]);
const FULL_NAMES = new Set(['QuotaExceeded', 'InsufficientStorage']);
const NOT_IMPLEMENTED = 501;
const NO_ROOM = 507;
const CREDENTIALS = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'InvalidToken',
  'CredentialsProviderError',
  // versitygw's InvalidAccessKeyId
  'XAdminUserNotFound',
]);
const REGION = new Set(['AuthorizationHeaderMalformed', 'PermanentRedirect', 'IllegalLocationConstraintException']);
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/;

const statusOf = ({ $metadata }: Failure): number => $metadata?.httpStatusCode ?? 0;
const isFull = (error: Failure): boolean => statusOf(error) === NO_ROOM || FULL_NAMES.has(error.name);
const isCertificate = ({ code = '' }: Failure): boolean => CERTIFICATE.test(code);

function isRefusal(error: Failure): boolean {
  if (error instanceof BlobStoreRefused || CREDENTIALS.has(error.name) || isCertificate(error)) return true;
  const status = statusOf(error);
  return (status >= 300 && status < 500) || status === NOT_IMPLEMENTED;
}

/** Whether the same call may go well a moment later. */
export function isPassing(error: Failure): boolean {
  if (PASSING_NAMES.has(error.name) || PASSING_STATUSES.has(statusOf(error))) return true;
  return !isFull(error) && !isRefusal(error);
}

function cureOf(error: Failure, { bucket }: Target): string {
  if (error.name === 'NoSuchBucket') return `there is no bucket ${bucket}: make it, or name another one`;
  if (error.name === 'CredentialsProviderError') return 'there are no credentials';
  if (CREDENTIALS.has(error.name)) return 'the credentials are not accepted';
  if (error.name === 'AccessDenied') return `the credentials do not allow this in the bucket ${bucket}`;
  if (REGION.has(error.name)) return 'the region is not that of the bucket';
  if (isCertificate(error)) return 'the certificate of the server is not trusted';
  return '';
}

/** One line: what was done, what to mend, and what the server said. Nothing of the request is in it. */
function sentence(call: string, error: Failure, target: Target): string {
  const where = target.endpoint === '' ? 'S3' : `S3 at ${target.endpoint}`;
  const status = statusOf(error);
  const said = [
    error.name === 'Error' ? '' : error.name,
    status === 0 ? (error.code ?? '') : String(status),
    error.message,
    error.$metadata?.requestId ?? '',
  ];
  const cure = cureOf(error, target);
  return `${where}: ${call}: ${cure === '' ? '' : `${cure} `}(${said.filter((part) => part !== '').join(', ')})`;
}

/** The failure as callers of the port see it. */
export function failureOf(call: string, error: Failure, target: Target): Error {
  if (error instanceof BlobStoreRefused) return error;
  const message = sentence(call, error, target);
  if (isFull(error)) return new BlobStoreFull(message, { cause: error });
  if (isRefusal(error) && !isPassing(error)) return new BlobStoreRefused(message, { cause: error });
  return new Error(message, { cause: error });
}
