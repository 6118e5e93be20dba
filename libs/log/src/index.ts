export { copyEmbeddedLog } from './embedded/copy.ts';
export { DamagedLog } from './embedded/damage.ts';
export { type EmbeddedLog, type EmbeddedLogOptions, openEmbeddedLog } from './embedded/embedded-log.ts';
export type { BatchSeen } from './embedded/writer.ts';
export { type KafkaLogger, LogUnavailable } from './kafka/cluster.ts';
export type { KafkaAccess, SaslMechanism } from './kafka/connection.ts';
export { type KafkaLogOptions, openKafkaLog } from './kafka/kafka-log.ts';
export { checkTopics, createTopics, missingTopics, type TopicsChange, type TopicsOptions, type TopicsReport } from './kafka/topics.ts';
export type { BatchWritten } from './kafka/writer.ts';
export {
  type AppendFate,
  createMemoryStorage,
  type MemoryLog,
  type MemoryLogOptions,
  type MemoryStorage,
  openMemoryLog,
} from './memory/memory-log.ts';
export * from './port.ts';
