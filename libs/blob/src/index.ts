export { type FileBlobsOptions, openFileBlobs } from './file-blobs.ts';
export type { BlobFiles } from './files.ts';
export { createMemoryBlobs } from './memory-blobs.ts';
export * from './port.ts';
