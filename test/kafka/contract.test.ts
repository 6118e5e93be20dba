import { logContract } from '@angarium/log/contract';
import { createTrial, hasBrokers, useBrokers } from './fixtures.ts';
import { KAFKA_VERSIONS } from './jars.mjs';

/** Broker counts and versions; the older line runs in CI, and where ANGARIUM_KAFKA_ALL asks for it. */
const isThorough = process.env.CI === 'true' || process.env.ANGARIUM_KAFKA_ALL !== undefined;
const count = Number(process.env.COUNT ?? 3);
const version = KAFKA_VERSIONS.newest;
void isThorough;

if (hasBrokers('log contract on Kafka')) {
  const brokers = useBrokers({ count, version, mayBeShared: true });
  logContract(`kafka ${version}, ${count} brokers`, async () => {
    const trial = await createTrial(brokers().addresses);
    let log = await trial.open();
    return {
      log,
      reopen: async () => {
        await log.close();
        log = await trial.open();
        return log;
      },
      close: () => log.close(),
    };
  });
}
