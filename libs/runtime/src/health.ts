import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Metrics } from './metrics.ts';

export interface HealthOptions {
  readonly host: string;
  readonly port: number;
  readonly metrics: Metrics;
  /** What keeps the service from being ready, in words; empty when it is. Cheap: asked at each probe. */
  readonly notReady: () => readonly string[];
}

/**
 * Serves `/metrics`, `/livez` (200 while the event loop turns) and `/readyz` (503 with the reasons).
 * Resolves once it listens.
 */
export async function serveHealth(options: HealthOptions): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server: Server = createServer((request, response) => {
    const answer = (status: number, text: string, contentType = 'text/plain; charset=utf-8') => {
      response.writeHead(status, { 'content-type': contentType }).end(text);
    };
    const path = request.url?.split('?')[0];
    if (path === '/livez') return answer(200, 'ok\n');
    if (path === '/readyz') {
      const reasons = options.notReady();
      return reasons.length === 0 ? answer(200, 'ok\n') : answer(503, `${reasons.join('\n')}\n`);
    }
    if (path !== '/metrics') return answer(404, 'not here: /metrics, /livez, /readyz\n');
    options.metrics.scrape().then(
      ({ contentType, text }) => answer(200, text, contentType),
      (error: unknown) => answer(500, `${String(error)}\n`),
    );
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(options.port, options.host, resolve));
  server.unref();
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
