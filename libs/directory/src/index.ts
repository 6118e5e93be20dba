export type { DirectoryErrors } from './change.ts';
export { type DirectoryOptions, type OpenDirectory, openDirectory } from './open-directory.ts';
