import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { missingTopics, openKafkaLog } from '@angarium/log';
import { configSchema } from '@angarium/runtime';
import { Kafka, logLevel } from 'kafkajs';
import { incarnationOf, topicPartitions } from '../../services/angarium/src/command/topics.ts';
import type { Brokers } from './brokers.ts';
import { freshPrefix, TRIAL, until } from './fixtures.ts';

const main = new URL('../../services/angarium/src/main.ts', import.meta.url).pathname;
const run = promisify(execFile);

/** What an operator does with the topics. */
export function commandSuite(brokers: () => Brokers): void {
  const angarium = async (prefix: string, ...args: string[]): Promise<string> => {
    const environment = {
      ANGARIUM_KAFKA__BROKERS: JSON.stringify(brokers().addresses),
      ANGARIUM_KAFKA__PREFIX: prefix,
      ANGARIUM_JOURNAL__LANES: '4',
    };
    const { stdout } = await run(process.execPath, [main, 'topics', ...args], { env: { ...process.env, ...environment } });
    return stdout;
  };
  const topics = (prefix: string) => {
    const config = configSchema.parse({ journal: { lanes: 4 } });
    const promise = { replicationFactor: 3, minInSyncReplicas: 2, segmentOctets: 1024 ** 2 };
    return { ...TRIAL, ...promise, brokers: brokers().addresses, prefix, partitions: topicPartitions(config) };
  };
  const incarnation = async (prefix: string): Promise<number> => {
    const log = await openKafkaLog({ ...topics(prefix), incarnationOf });
    await log.close();
    return log.incarnation;
  };

  test('topics are made once, checked, and a topic that begins anew raises the incarnation', { timeout: 60_000 }, async () => {
    const prefix = freshPrefix();
    await assert.rejects(angarium(prefix, 'check'), { code: 1, stdout: /mail\.in has 0 of 4 partitions: run `angarium topics create`/ });
    assert.match(await angarium(prefix, 'create'), /made mail\.in, .*mail\.lease\nthe log's incarnation is \d+/);
    const first = await incarnation(prefix);
    assert.equal(await angarium(prefix, 'create'), 'nothing was missing\n');
    assert.equal(await angarium(prefix, 'check'), 'the topics keep the promise\n');
    assert.equal(await incarnation(prefix), first);
    const admin = new Kafka({ brokers: [...brokers().addresses], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await admin.deleteTopics({ topics: [`${prefix}mail.in`] });
    await admin.disconnect();
    await until('it is gone', async () => (await missingTopics(topics(prefix))).length === 1);
    assert.match(await angarium(prefix, 'create'), /made mail\.in\nthe log's incarnation is \d+: processes that run must be started again/);
    assert.ok((await incarnation(prefix)) > first);
  });

  test('brokers that do not answer, and a promise that cannot be kept, are told in a sentence', { timeout: 60_000 }, async () => {
    const environment = { ...process.env, ANGARIUM_KAFKA__BROKERS: '["127.0.0.1:1"]' };
    await assert.rejects(run(process.execPath, [main, 'topics', 'check'], { env: environment }), {
      ...{ code: 1, stderr: /^no Kafka broker of 127\.0\.0\.1:1 answers: .*ECONNREFUSED/ },
    });
    const none = { ...process.env, ANGARIUM_KAFKA__BROKERS: '[]' };
    await assert.rejects(run(process.execPath, [main, 'topics', 'check'], { env: none }), {
      code: 2,
      stderr: 'kafka.brokers names no broker\n',
    });
  });
}
