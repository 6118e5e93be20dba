import { serveRpc } from '@angarium/rpc';
import { type Config, systemClock, watchTls } from '@angarium/runtime';
import { serveExternalMetrics } from '../scaling/external-metrics.ts';
import { createScaler, WANTED } from '../scaling/scaler.ts';
import { createWorkers } from '../scaling/workers.ts';
import { type Base, createBase } from './deps.ts';
import { createParts, type Parts, runUntilSignal } from './shutdown.ts';
import { hostAndPort, startHealth } from './start.ts';

async function serveApi({ config, logger, clock }: Base, value: () => number, parts: Parts): Promise<string> {
  const { apiListen, tls } = config.scaling;
  const source = await watchTls({ ...tls, reloadMs: config.tls.reloadMs }, { clock: systemClock, logger });
  parts.add('certificate of the API', async () => source.close());
  const { host, port } = hostAndPort(apiListen);
  const server = await serveExternalMetrics({
    host: host.replace(/^\[|\]$/g, ''),
    port,
    tls: source,
    name: WANTED,
    value,
    nowMs: clock.nowMs,
  });
  parts.add('API', () => server.close());
  return `${host}:${server.port}`;
}

/**
 * `angarium scaler`: how many delivery workers are wanted, for Prometheus, KEDA and Kubernetes. It keeps nothing and carries no mail.
 * Resolves after SIGTERM or SIGINT.
 */
export async function runScaler(config: Config): Promise<void> {
  const base = await createBase(config, 'scaler');
  const { logger, clock, metrics } = base;
  const parts = createParts(logger);
  parts.add('certificate', async () => base.tls.close());
  try {
    const health = await startHealth(base, parts);
    const { workersAt, rpcListen, apiListen, ...terms } = config.scaling;
    const scaler = createScaler({ config, clock, logger, metrics, ask: createWorkers({ at: workersAt, ...terms }) });
    await scaler.start();
    parts.add('scaler', async () => scaler.stop());
    const number = { name: WANTED, value: scaler.wanted, onChange: scaler.onChange };
    let keda = '';
    if (rpcListen !== '') {
      const onFault = (error: unknown) => logger.error({ reason: String(error) }, 'rpc.call.failed');
      // One number, in clear: KEDA has no certificate of ours.
      const server = await serveRpc({ address: rpcListen, services: { scaler: number }, onFault });
      parts.add('KEDA', () => server.close());
      keda = `${hostAndPort(rpcListen).host}:${server.port}`;
    }
    const api = apiListen === '' ? '' : await serveApi(base, scaler.wanted, parts);
    health.started(scaler);
    logger.info({ role: 'scaler', metrics: health.address, keda, api, pid: process.pid }, 'process.ready');
  } catch (error) {
    await parts.stop();
    throw error;
  }
  await runUntilSignal(parts, logger, config.stopMs);
}
