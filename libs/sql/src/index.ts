export { FolderHeld, type FolderLock, holdFolder } from './folder-lock.ts';
