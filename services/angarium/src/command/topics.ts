import {
  checkTopics,
  createTopics,
  type KafkaLogger,
  type Log,
  missingTopics,
  openKafkaLog,
  type TopicName,
  type TopicsOptions,
} from '@angarium/log';
import { decodeRecord, encodeRecord } from '@angarium/records';
import type { Config } from '@angarium/runtime';
import type { Command } from 'commander';
import { configOf } from './config.ts';
import { CommandError, type Terminal } from './terminal.ts';

const CONTROL_READ_OCTETS = 1024 ** 2;

/** Partitions of every topic on Kafka. */
export const topicPartitions = ({ journal }: Config): Readonly<Record<TopicName, number>> => ({
  'mail.in': journal.inPartitions,
  'mail.in.bulk': Math.max(1, Math.ceil(journal.inPartitions / 4)),
  'mail.lane': journal.lanes,
  'mail.control': 1,
  'mail.dead': 1,
  'mail.lease': 1,
});

/** What the configuration says of Kafka, for `openKafkaLog`, `createTopics` and `checkTopics`. */
export function kafkaOptions(config: Config, logger: KafkaLogger): TopicsOptions & Omit<Config['kafka'], 'tls' | 'sasl'> {
  const { tls, sasl, ...rest } = config.kafka;
  const { enabled, authorityFile, certificateFile, keyFile } = tls;
  const files = { ...(authorityFile && { authorityFile }), ...(certificateFile && { certificateFile }), ...(keyFile && { keyFile }) };
  return {
    ...rest,
    ...(enabled && { tls: files }),
    ...(sasl && { sasl }),
    partitions: topicPartitions(config),
    segmentOctets: config.journal.segmentOctets,
    logger,
  };
}

/** The incarnation that a record of `mail.control` tells. */
export function incarnationOf(record: Uint8Array): number | undefined {
  const decoded = decodeRecord(record);
  if (decoded.is !== 'known') return undefined;
  const { kind } = decoded;
  return kind.$case === 'logIncarnation' || kind.$case === 'controlSnapshot' ? kind.value.incarnation : undefined;
}

async function newestIncarnation(log: Log): Promise<number> {
  let newest = 0;
  for (let { low: at } = await log.marks('mail.control', 0); ; ) {
    const records = await log.read('mail.control', 0, at, CONTROL_READ_OCTETS);
    if (records.length === 0) return newest;
    for (const { value } of records) newest = Math.max(newest, incarnationOf(value) ?? 0);
    at += records.length;
  }
}

/**
 * Raises the incarnation, where one is missing or a topic is about to begin anew: offsets of the old one say nothing about
 * the new. The clock makes it larger than any that a deleted `mail.control` held.
 */
async function raiseIncarnation(options: ReturnType<typeof kafkaOptions>, isNeeded: boolean): Promise<number | undefined> {
  const only = { ...options, partitions: { 'mail.control': 1 } };
  await createTopics(only);
  const log = await openKafkaLog(only);
  try {
    const newest = await newestIncarnation(log);
    if (newest > 0 && !isNeeded) return undefined;
    const incarnation = Math.max(newest + 1, Date.now());
    await log.append('mail.control', 0, [encodeRecord({ $case: 'logIncarnation', value: { incarnation } })]);
    return incarnation;
  } finally {
    await log.close();
  }
}

function optionsOf(command: Command, { write }: Terminal): ReturnType<typeof kafkaOptions> {
  const config = configOf(command);
  if (config.kafka.brokers.length === 0) throw new CommandError('kafka.brokers names no broker', 2);
  const tell = (fields: object, event: string) => write(`${event} ${JSON.stringify(fields)}\n`);
  return kafkaOptions(config, { info: () => {}, warn: tell, error: tell });
}

/** Trouble of the cluster is told in a sentence, without a stack. */
export async function told<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Error && error.name === 'LogUnavailable') throw new CommandError(error.message);
    throw error;
  }
}

async function create(options: ReturnType<typeof kafkaOptions>, { write }: Terminal): Promise<void> {
  // Raised before the topics are made: a run that is cut off between the two raises it again.
  const missing = await missingTopics(options);
  const incarnation = await raiseIncarnation(options, missing.length > 0);
  const { grown } = await createTopics(options);
  const sentence = (verb: string, topics: readonly string[]) => (topics.length === 0 ? '' : `${verb} ${topics.join(', ')}\n`);
  write(`${sentence('made', missing)}${sentence('added partitions to', grown)}`);
  if (incarnation !== undefined) write(`the log's incarnation is ${incarnation}: processes that run must be started again\n`);
  else if (grown.length === 0) write('nothing was missing\n');
}

async function check(options: ReturnType<typeof kafkaOptions>, { write }: Terminal): Promise<void> {
  const { problems, warnings } = await checkTopics(options);
  write([...problems.map((problem) => `PROBLEM ${problem}\n`), ...warnings.map((warning) => `warning ${warning}\n`)].join(''));
  if (problems.length > 0) throw new CommandError(`the topics do not keep the promise: ${problems.length} problems`);
  write('the topics keep the promise\n');
}

export function addTopicsCommand(program: Command, terminal: Terminal): void {
  const topics = program.command('topics').description('the topics on Kafka');
  topics
    .command('create')
    .description('make the topics that are missing, and add partitions where the configuration wants more')
    .action((_options, command: Command) => told(create(optionsOf(command, terminal), terminal)));
  topics
    .command('check')
    .description('compare the topics with the promised partitions, replicas and settings')
    .action((_options, command: Command) => told(check(optionsOf(command, terminal), terminal)));
}
