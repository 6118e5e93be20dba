import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { BlobStoreRefused } from '../port.ts';

export interface S3ClientOptions {
  /** Of the server, such as `https://s3.example:9000`; empty: that of AWS for the region. */
  readonly endpoint: string;
  readonly region: string;
  /** Names the bucket in the path instead of the host, as most servers other than AWS want it. */
  readonly pathStyle: boolean;
  /**
   * A file of lines `aws_access_key_id = …`, `aws_secret_access_key = …` and, where there is one, `aws_session_token = …`, read
   * again every minute; empty: what the SDK finds in the environment, its own files, or from the machine.
   */
  readonly credentialsFile: string;
  /** Authorities that the server must be signed by, PEM; empty: those of Node. */
  readonly authorityFile: string;
  readonly maxConnections: number;
  readonly connectTimeoutMs: number;
  /** Longest time without an octet in either direction. */
  readonly silenceTimeoutMs: number;
}

/** How long credentials from the file are used before it is read again. */
const REREAD_MS = 60_000;
/** The SDK asks for fresh credentials so long before they expire. */
const SDK_MARGIN_MS = 300_000;

/** @throws BlobStoreRefused when the file does not have both keys, or cannot be read; its contents are in no message */
async function readCredentials(file: string) {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new BlobStoreRefused(`the credentials of S3 cannot be read: ${error.message}`, { cause: error });
  });
  const read = (name: string) => new RegExp(`^\\s*${name}\\s*=\\s*(\\S+)\\s*$`, 'm').exec(text)?.[1];
  const accessKeyId = read('aws_access_key_id');
  const secretAccessKey = read('aws_secret_access_key');
  const sessionToken = read('aws_session_token');
  if (accessKeyId === undefined || secretAccessKey === undefined)
    throw new BlobStoreRefused(`${file}: wants a line aws_access_key_id = … and a line aws_secret_access_key = …`);
  const expiration = new Date(Date.now() + SDK_MARGIN_MS + REREAD_MS);
  return { accessKeyId, secretAccessKey, expiration, ...(sessionToken && { sessionToken }) };
}

const silent = () => {};
/** Failures are told by whoever calls; left to itself the SDK writes to the console. */
const NO_LOGGER = { trace: silent, debug: silent, info: silent, warn: silent, error: silent };

/** @throws BlobStoreRefused when the authorities or the credentials cannot be read */
export async function createS3Client(o: S3ClientOptions): Promise<S3Client> {
  const ca =
    o.authorityFile === ''
      ? undefined
      : await readFile(o.authorityFile, 'utf8').catch((error: Error) => {
          throw new BlobStoreRefused(`the authorities of S3 cannot be read: ${error.message}`, { cause: error });
        });
  if (o.credentialsFile !== '') await readCredentials(o.credentialsFile);
  const sockets = { keepAlive: true, maxSockets: o.maxConnections };
  const config: S3ClientConfig = {
    region: o.region,
    forcePathStyle: o.pathStyle,
    // Repeats are ours: a body in pieces is a stream, which the SDK does not repeat.
    maxAttempts: 1,
    // Checksums at the end of a stream are stored as part of the body by servers that do not know them.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Some servers never say "continue", and the SDK then waits six seconds.
    expectContinueHeader: false,
    logger: NO_LOGGER,
    requestHandler: {
      connectionTimeout: o.connectTimeoutMs,
      socketTimeout: o.silenceTimeoutMs,
      httpAgent: new HttpAgent(sockets),
      httpsAgent: new HttpsAgent({ ...sockets, ...(ca === undefined ? {} : { ca }) }),
      logger: NO_LOGGER,
    },
    ...(o.endpoint !== '' && { endpoint: o.endpoint }),
    ...(o.credentialsFile !== '' && { credentials: () => readCredentials(o.credentialsFile) }),
  };
  return new S3Client(config);
}
