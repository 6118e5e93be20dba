export type { DirectoryErrors } from './change.ts';
export { type DirectoryOptions, type OpenDirectory, openDirectory, type SharedDatabase } from './open-directory.ts';
