export { type FileBlobsOptions, openFileBlobs } from './file-blobs.ts';
export type { BlobFiles } from './files.ts';
export { createMemoryBlobs } from './memory-blobs.ts';
export * from './port.ts';
export { openS3Blobs } from './s3/open.ts';
export type { S3Blobs, S3BlobsOptions } from './s3/s3-blobs.ts';
