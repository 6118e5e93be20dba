export { DamagedLog } from './embedded/damage.ts';
export { type EmbeddedLog, type EmbeddedLogOptions, openEmbeddedLog } from './embedded/embedded-log.ts';
export type { BatchSeen } from './embedded/writer.ts';
export {
  type AppendFate,
  createMemoryStorage,
  type MemoryLog,
  type MemoryLogOptions,
  type MemoryStorage,
  openMemoryLog,
} from './memory/memory-log.ts';
export * from './port.ts';
