import { describe, test } from 'node:test';
import { hasBrokers, kafkaContract, useBrokers } from './fixtures.ts';
import { KAFKA_VERSIONS } from './jars.mjs';

const version = KAFKA_VERSIONS.older;
const isAsked = process.env.CI === 'true' || process.env.ANGARIUM_KAFKA_ALL !== undefined;

if (!isAsked) test(`the contract on Kafka ${version}`, { skip: 'runs in CI, or where ANGARIUM_KAFKA_ALL is set' }, () => {});
else if (hasBrokers(`Kafka ${version}`, version))
  describe(`Kafka ${version}, three brokers`, () => kafkaContract('older line', useBrokers({ count: 3, version })));
