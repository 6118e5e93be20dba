import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { createMetrics } from './metrics.ts';
import { createTracing, formatTraceparent, noTracing, parseTraceparent } from './tracing.ts';

/** A collector that keeps what it is sent. */
async function startCollector() {
  const bodies: Buffer[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      bodies.push(Buffer.concat(parts));
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { bodies, endpoint: `http://127.0.0.1:${port}/v1/traces`, close: () => server.close() };
}

test('a context is continued as it was written, and nothing else is taken for one', () => {
  const hex = (length: number) => fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });
  fc.assert(
    fc.property(hex(32), hex(16), fc.boolean(), (traceId, spanId, isSampled) => {
      fc.pre(!/^0+$/.test(traceId) && !/^0+$/.test(spanId));
      const text = `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`;
      const context = parseTraceparent(text);
      assert.ok(context);
      assert.equal(formatTraceparent(context), text);
    }),
  );
  for (const text of [
    '',
    'x',
    `00-${'0'.repeat(32)}-${'1'.repeat(16)}-01`,
    `00-${'1'.repeat(32)}-${'0'.repeat(16)}-01`,
    `01-${'1'.repeat(32)}-`,
  ])
    assert.equal(parseTraceparent(text), undefined);
});

test('without a collector nothing is traced and nothing is carried', async () => {
  const tracing = await createTracing({ endpoint: '', share: 1 }, 'ingress');
  assert.equal(tracing, noTracing);
  assert.equal(tracing.start('a').traceparent, '');
});

test('a span goes to the collector, and the next service continues its trace', async (t) => {
  const collector = await startCollector();
  t.after(collector.close);
  const [first, second] = await Promise.all(
    ['ingress', 'routing'].map((service) => createTracing({ endpoint: collector.endpoint, share: 1 }, service)),
  );
  assert.ok(first && second);
  const parent = first.start('accept', { kind: 'producer', attributes: { 'angarium.queue_id': 'Q1' } });
  const child = second.start('route', { parent: parent.traceparent });
  assert.equal(child.traceId, parent.traceId);
  assert.notEqual(child.traceparent, parent.traceparent);
  child.end({ failed: 'no room' });
  parent.end();
  await Promise.all([first.close(), second.close()]);
  const sent = Buffer.concat(collector.bodies);
  for (const text of ['accept', 'route', 'angarium.queue_id', 'Q1', 'no room', 'ingress', 'routing']) assert.ok(sent.includes(text), text);
  assert.ok(sent.includes(Buffer.from(parent.traceId, 'hex')));
});

test('what is not traced is carried all the same, so that no later service begins a trace in its middle', async (t) => {
  const collector = await startCollector();
  t.after(collector.close);
  const tracing = await createTracing({ endpoint: collector.endpoint, share: 0 }, 'ingress');
  const span = tracing.start('accept');
  assert.match(span.traceparent, /-00$/);
  assert.equal(span.traceId, '');
  const later = await createTracing({ endpoint: collector.endpoint, share: 1 }, 'delivery');
  assert.equal(later.start('attempt', { parent: span.traceparent }).traceId, '');
  span.end();
  await Promise.all([tracing.close(), later.close()]);
  assert.equal(collector.bodies.length, 0);
});

test('a histogram shows the trace of a value as its example', async () => {
  const metrics = createMetrics({ withProcess: true, withExemplars: true });
  const histogram = metrics.histogram({ name: 'angarium_test_seconds', help: 'A.', buckets: [1, 2] });
  histogram.observe(0.5, {}, 'abc');
  histogram.observe(1.5);
  const { contentType, text } = await metrics.scrape();
  assert.match(contentType, /openmetrics/);
  assert.match(text, /angarium_test_seconds_bucket\{le="1"\} 1 # \{trace_id="abc"\} 0\.5/);
  assert.match(text, /angarium_test_seconds_bucket\{le="2"\} 2\n/);
});
