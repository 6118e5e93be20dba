import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, ParentBasedSampler, TraceIdRatioBasedSampler, TracerProvider } from '@opentelemetry/sdk-trace';
import type { Config } from './config/schema.ts';

/** Spans that wait for the collector; the next ones are dropped. */
const MAX_WAITING = 8192;
const SEND_EVERY_MS = 1000;
const SEND_TIMEOUT_MS = 3000;

/** OpenTelemetry's SDK, in a file of its own: it is loaded only where something is traced. */
export function createProvider({ endpoint, share }: Config['tracing'], service: string): TracerProvider {
  const exporter = new OTLPTraceExporter({ url: endpoint, timeoutMillis: SEND_TIMEOUT_MS });
  const batches = { exporter, maxQueueSize: MAX_WAITING, scheduledDelayMillis: SEND_EVERY_MS, exportTimeoutMillis: SEND_TIMEOUT_MS };
  return new TracerProvider({
    resource: resourceFromAttributes({ 'service.namespace': 'angarium', 'service.name': service }),
    // Whether a message is traced is decided once, by the service that accepted it.
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(share) }),
    spanProcessors: [new BatchSpanProcessor(batches)],
  });
}
