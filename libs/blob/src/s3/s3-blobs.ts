import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { canBeginKey, checkKey, isKey } from '../key.ts';
import { type BlobBody, type BlobEntry, type BlobStore, piecesOf } from '../port.ts';
import { type CallsOptions, createCalls } from './calls.ts';
import { createS3Client, type S3ClientOptions } from './client.ts';

export interface S3BlobsOptions extends S3ClientOptions, CallsOptions {
  /** Stands before every key, such as `angarium/`; whoever shares the bucket has another one. */
  readonly prefix: string;
}

export interface S3Blobs extends BlobStore {
  /**
   * Resolves when the bucket can be listed.
   *
   * @throws BlobStoreRefused when the bucket is missing or we are not let in; any other failure may pass
   */
  check(): Promise<void>;
  /** Ends its connections; calls that run fail. */
  close(): void;
}

/** Keys a page: the most that S3 gives. */
const PAGE = 1000;

/** The pieces behind each other, without a copy. Each try reads them anew. */
const streamOf = (pieces: readonly Uint8Array[]): Readable => Readable.from(pieces, { objectMode: false });

function checksumOf(pieces: readonly Uint8Array[]): string {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(pieces.reduce((before, piece) => crc32(piece, before), 0));
  return sum.toString('base64');
}

/** The body in one buffer of its length. @throws when it is cut short or too long */
async function readWhole({ Body, ContentLength }: GetObjectCommandOutput): Promise<Uint8Array> {
  if (ContentLength === undefined) throw new Error('the server does not tell the length of the body');
  const whole = Buffer.allocUnsafeSlow(ContentLength);
  let octets = 0;
  for await (const piece of Body as AsyncIterable<Buffer>) {
    piece.copy(whole, octets);
    octets += piece.length;
  }
  if (octets !== ContentLength) throw new Error(`${octets} octets of ${ContentLength}`);
  return whole;
}

/** `undefined` where the key is unknown. A missing bucket has the status 404 too, and is a failure. */
async function ifPresent<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if ((error as Error).name === 'NoSuchKey') return undefined;
    throw error;
  }
}

/** Blobs of a page; what another program put there is none. */
function* entriesOf({ Contents = [] }: ListObjectsV2CommandOutput, prefix: string): Generator<BlobEntry> {
  for (const { Key = '', Size = 0, LastModified } of Contents) {
    const key = Key.slice(prefix.length);
    if (!isKey(key)) continue;
    // Without its instant a fresh blob would look like one to be swept.
    if (LastModified === undefined) throw new Error(`S3: list: ${Key} has no LastModified`);
    yield { key, octets: Size, storedAtMs: LastModified.getTime() };
  }
}

/** Where the next page begins; `undefined` after the last one. */
function nextOf({ IsTruncated, NextContinuationToken }: ListObjectsV2CommandOutput): string | undefined {
  if (IsTruncated && !NextContinuationToken) throw new Error('S3: list: a page is cut and does not tell the next one');
  return IsTruncated ? NextContinuationToken : undefined;
}

/** The store behind `openS3Blobs` of the door. */
export async function createS3Blobs(o: S3BlobsOptions): Promise<S3Blobs> {
  const client = await createS3Client(o);
  const run = createCalls(o);
  const objectOf = (key: string) => {
    checkKey(key);
    return { Bucket: o.bucket, Key: `${o.prefix}${key}` };
  };
  const page = (prefix: string, more: { readonly MaxKeys: number; readonly ContinuationToken?: string }) => {
    const command = new ListObjectsV2Command({ Bucket: o.bucket, Prefix: `${o.prefix}${prefix}`, ...more });
    return run('list', (abortSignal) => client.send(command, { abortSignal }));
  };
  return {
    put: async (key: string, body: BlobBody) => {
      const object = objectOf(key);
      const pieces = piecesOf(body).filter((piece) => piece.length > 0);
      const ContentLength = pieces.reduce((sum, piece) => sum + piece.length, 0);
      const ChecksumCRC32 = checksumOf(pieces);
      await run('put', (abortSignal) =>
        client.send(new PutObjectCommand({ ...object, Body: streamOf(pieces), ContentLength, ChecksumCRC32 }), { abortSignal }),
      );
    },
    get: async (key) => {
      const command = new GetObjectCommand({ ...objectOf(key), ChecksumMode: 'ENABLED' });
      return run('get', (abortSignal) => ifPresent(client.send(command, { abortSignal }).then(readWhole)));
    },
    delete: async (key) => {
      const command = new DeleteObjectCommand(objectOf(key));
      await run('delete', (abortSignal) => ifPresent(client.send(command, { abortSignal })));
    },
    async *list(prefix): AsyncGenerator<BlobEntry> {
      if (!canBeginKey(prefix)) return;
      let from: string | undefined;
      do {
        const found = await page(prefix, { MaxKeys: PAGE, ...(from !== undefined && { ContinuationToken: from }) });
        yield* entriesOf(found, o.prefix);
        from = nextOf(found);
      } while (from !== undefined);
    },
    check: async () => {
      await page('', { MaxKeys: 1 });
    },
    close: () => client.destroy(),
  };
}
