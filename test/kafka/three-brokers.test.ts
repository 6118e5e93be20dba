import { describe } from 'node:test';
import { commandSuite } from './command-suite.ts';
import { engineSuite } from './engine-suite.ts';
import { failuresSuite } from './failures-suite.ts';
import { hasBrokers, isExisting, kafkaContract, useBrokers } from './fixtures.ts';
import { KAFKA_VERSIONS } from './jars.mjs';

if (hasBrokers('Kafka, three brokers'))
  describe(`Kafka ${KAFKA_VERSIONS.newest}, three brokers`, () => {
    const brokers = useBrokers({ count: 3, mayBeShared: true });
    kafkaContract('three brokers', brokers);
    engineSuite(brokers);
    commandSuite(brokers);
    // An existing cluster is not ours to stop.
    if (!isExisting) failuresSuite(brokers);
  });
