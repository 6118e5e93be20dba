import { randomFillSync } from 'node:crypto';
import type { MutualTls } from '@angarium/rpc';
import {
  type Clock,
  type Config,
  createLogger,
  createMetrics,
  createTracing,
  type Logger,
  type Metrics,
  systemClock,
  type TlsSource,
  type Tracing,
  watchTls,
} from '@angarium/runtime';
import { exportProcess } from '../measures/process.ts';
import { selfSignedFiles } from './certificate.ts';

/** What every service is given. */
export interface Base {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly tls: TlsSource & { close(): void };
  /** Of calls between processes; undefined: they are in clear, on this machine. */
  readonly rpcTls: MutualTls | undefined;
}

const RANDOM_OCTETS = 6;

/**
 * Uniform in [0, 1) with 48 random bits of the system: queue ids must not collide between processes. Each number is used once;
 * a few hundred are drawn at a time, since a call to the system costs as much as the rest of a queue id.
 */
function createRandom(): () => number {
  const pool = Buffer.alloc(RANDOM_OCTETS * 512);
  let at = pool.length;
  return () => {
    if (at === pool.length) {
      randomFillSync(pool);
      at = 0;
    }
    at += RANDOM_OCTETS;
    return pool.readUIntBE(at - RANDOM_OCTETS, RANDOM_OCTETS) / 2 ** 48;
  };
}

/** `service`: the name that its spans have. */
function rpcTlsOf({ rpcTls, rpc }: Config, logger: Logger): MutualTls | undefined {
  const onBroken = (error: unknown) => logger.error({ reason: String(error) }, 'rpc.certificate.refused');
  return rpcTls && { ...rpcTls, reloadMs: rpc.reloadMs, onBroken };
}

export async function createBase(config: Config, service: string): Promise<Base> {
  const logger = createLogger(config.log);
  const { certificateFile, keyFile, reloadMs } = config.tls;
  const files =
    certificateFile !== undefined && keyFile !== undefined
      ? { certificateFile, keyFile }
      : await selfSignedFiles(`${config.dataFolder}/tls`, config.hostname);
  const tls = await watchTls({ ...files, reloadMs }, { clock: systemClock, logger });
  const tracing = await createTracing(config.tracing, service);
  const metrics = createMetrics({ withProcess: true, withExemplars: tracing.isOn });
  exportProcess({ config, clock: systemClock, metrics, tls });
  return { config, clock: systemClock, random: createRandom(), logger, metrics, tracing, tls, rpcTls: rpcTlsOf(config, logger) };
}
