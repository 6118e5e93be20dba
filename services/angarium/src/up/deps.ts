import { randomBytes } from 'node:crypto';
import {
  type Clock,
  type Config,
  createLogger,
  createMetrics,
  type Logger,
  type Metrics,
  systemClock,
  type TlsSource,
  watchTls,
} from '@angarium/runtime';
import { selfSignedFiles } from './certificate.ts';

/** What every service is given. */
export interface Base {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly tls: TlsSource & { close(): void };
}

/** Uniform in [0, 1) with 48 random bits of the system: queue ids must not collide between processes. */
const systemRandom = (): number => randomBytes(6).readUIntBE(0, 6) / 2 ** 48;

export async function createBase(config: Config): Promise<Base> {
  const logger = createLogger(config.log);
  const { certificateFile, keyFile, reloadMs } = config.tls;
  const files =
    certificateFile !== undefined && keyFile !== undefined
      ? { certificateFile, keyFile }
      : await selfSignedFiles(`${config.dataFolder}/tls`, config.hostname);
  const tls = await watchTls({ ...files, reloadMs }, { clock: systemClock, logger });
  return { config, clock: systemClock, random: systemRandom, logger, metrics: createMetrics({ withProcess: true }), tls };
}
