export { type Clock, systemClock } from './clock.ts';
export { type Config, configSchema } from './config/schema.ts';
export { type HealthOptions, serveHealth } from './health.ts';
export { createLogger, type Logger, silentLogger } from './logger.ts';
export { type Counter, createMetrics, type Gauge, type Histogram, type MetricDefinition, type Metrics } from './metrics.ts';
export type { Service } from './service.ts';
export { type KeyPair, type TlsFiles, type TlsSource, watchTls } from './tls.ts';
