import { describe } from 'node:test';
import { hasBrokers, kafkaContract, useBrokers } from './fixtures.ts';
import { KAFKA_VERSIONS } from './jars.mjs';
import { secureListener, securitySuite } from './security-suite.ts';

if (hasBrokers('Kafka, one broker'))
  describe(`Kafka ${KAFKA_VERSIONS.newest}, one broker`, () => {
    const brokers = useBrokers({ count: 1, ...secureListener });
    kafkaContract('one broker', brokers);
    securitySuite(brokers);
  });
