import {
  type Attributes,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Span as TracedSpan,
  trace,
} from '@opentelemetry/api';
import type { Config } from './config/schema.ts';

/** A step on the way of a message. */
export interface Span {
  /** Its place in the trace, as the next service continues it (W3C Trace Context); empty when nothing is traced. */
  readonly traceparent: string;
  /** For exemplars; empty when this message is not traced. */
  readonly traceId: string;
  /** Once, when the step is over. `failed`: why it did not do what it was for. */
  end(o?: { readonly attributes?: Attributes; readonly failed?: string | undefined }): void;
}

export interface SpanStart {
  /** A `traceparent` that came with the message; empty, or not one: a new trace. */
  readonly parent?: string;
  readonly kind?: 'producer' | 'consumer' | 'client' | 'server';
  /** Milliseconds since the epoch; left out: now. */
  readonly startedAtMs?: number;
  readonly attributes?: Attributes;
}

/** Spans of one process. Costs nothing while nothing is traced. */
export interface Tracing {
  readonly isOn: boolean;
  start(name: string, options?: SpanStart): Span;
  /** Sends what is not sent yet, for a few seconds at most. */
  close(): Promise<void>;
}

const NO_SPAN: Span = { traceparent: '', traceId: '', end: () => {} };
export const noTracing: Tracing = { isOn: false, start: () => NO_SPAN, close: async () => {} };

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** undefined for whatever is not a context that can be continued. */
export function parseTraceparent(text: string): SpanContext | undefined {
  const [, traceId = '', spanId = '', flags = ''] = TRACEPARENT.exec(text) ?? [];
  if (traceId === '' || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

export const formatTraceparent = ({ traceId, spanId, traceFlags }: SpanContext): string =>
  `00-${traceId}-${spanId}-${(traceFlags & 1).toString(16).padStart(2, '0')}`;

const KINDS = { producer: SpanKind.PRODUCER, consumer: SpanKind.CONSUMER, client: SpanKind.CLIENT, server: SpanKind.SERVER };

function spanOf(traced: TracedSpan): Span {
  const context = traced.spanContext();
  return {
    traceparent: formatTraceparent(context),
    traceId: (context.traceFlags & 1) === 1 ? context.traceId : '',
    end({ attributes, failed } = {}) {
      if (attributes) traced.setAttributes(attributes);
      if (failed !== undefined) traced.setStatus({ code: SpanStatusCode.ERROR, message: failed });
      traced.end();
    },
  };
}

/**
 * Tracing as the configuration wants it: OpenTelemetry's SDK is loaded only when it is on. Spans wait in a bounded buffer; what a
 * collector does not take in time is dropped, and never holds up mail.
 */
export async function createTracing(config: Config['tracing'], service: string): Promise<Tracing> {
  if (config.endpoint === '') return noTracing;
  const { createProvider } = await import('./tracing-provider.ts');
  const provider = createProvider(config, service);
  const tracer = provider.getTracer('angarium');
  return {
    isOn: true,
    start(name, { parent = '', kind, startedAtMs, attributes } = {}) {
      const context = parseTraceparent(parent);
      const inTrace = context === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, context);
      const options = {
        ...(kind && { kind: KINDS[kind] }),
        ...(startedAtMs !== undefined && { startTime: startedAtMs }),
        ...(attributes && { attributes }),
      };
      return spanOf(tracer.startSpan(name, options, inTrace));
    },
    close: () => provider.shutdown(),
  };
}
