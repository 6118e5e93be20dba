import type { S3Blobs, S3BlobsOptions } from './s3-blobs.ts';

/**
 * Blobs as objects of a bucket, a plain PUT each: S3 shows an object whole or not at all, and has it once it has answered. A put
 * carries a CRC-32 that the server checks, where it knows how, and a get is checked against it. A listing is read page by page.
 * Nothing is asked of the server yet: `check` does. The SDK is loaded here, for those who use it.
 *
 * @throws BlobStoreRefused when a file that the options name cannot be read
 */
export async function openS3Blobs(options: S3BlobsOptions): Promise<S3Blobs> {
  const { createS3Blobs } = await import('./s3-blobs.ts');
  return createS3Blobs(options);
}
