import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { HostAnswer, HostScript } from '../../../../test/fixtures/smtp-host.ts';
import { type Bench, LARGE, recipients, SMALL, startBench } from './fixtures/bench.ts';
import type { AttemptResult } from './port.ts';

/* Whatever hosts do: each recipient gets exactly one result, in order, and what a host took is never called untaken. */

const reply = fc.constantFrom(
  '250 2.0.0 ok',
  '250 ok',
  '251 ok',
  '354 go',
  '421 4.3.2 bye',
  '450 4.2.1 later',
  '452 4.5.3 too many',
  '451 later',
  '550 5.1.1 no',
  '552 full',
  '554 no',
  '199 hm',
  '999 hm',
  '220 hi',
  '521 no',
);
const octets = fc.uint8Array({ maxLength: 40 });
const line = fc.string({ unit: 'binary-ascii', maxLength: 30 }).map((text) => `${text}\r\n`);
const trouble: fc.Arbitrary<HostAnswer> = fc.oneof(
  { weight: 6, arbitrary: reply },
  { weight: 1, arbitrary: fc.record({ raw: fc.oneof(octets, line), slowly: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      raw: fc.oneof(
        reply.map((text) => `${text}\r\n`),
        line,
      ),
      and: fc.constantFrom('drop', 'reset', 'stall'),
    }),
  },
);
/** Mostly good manners, else nothing would get far. */
const at = fc.option(fc.array(trouble, { minLength: 1, maxLength: 3 }), { freq: 2 });
const points = ['connect', 'EHLO', 'HELO', 'MAIL', 'RCPT', 'DATA', '.', 'RSET', 'QUIT'] as const;

const script: fc.Arbitrary<HostScript> = fc
  .record({
    offers: fc.subarray(['PIPELINING', 'DSN', 'SIZE 1000000', '8BITMIME']),
    ...Object.fromEntries(points.map((point) => [point, at])),
  })
  .map((drawn) => {
    const { offers, ...answers } = drawn as { offers: string[] } & Record<string, readonly HostAnswer[] | null>;
    const scripted = Object.entries(answers).flatMap(([point, list]) =>
      list ? [[point, (_: string, count: number) => list[count % list.length] ?? '250 ok'] as const] : [],
    );
    return { offers, answers: Object.fromEntries(scripted) };
  });

const delivery = { greetingTimeoutMs: 30, commandTimeoutMs: 30, dataReplyTimeoutMs: 30, dataTimeoutMs: 30, finalReplyTimeoutMs: 30 };

function checkOneEach(result: AttemptResult, addresses: readonly string[]): void {
  assert.deepEqual(
    result.recipients.map(({ address }) => address),
    addresses,
  );
  for (const { reply: said } of result.recipients) {
    assert.ok(said.text.length <= 1000 && /^[\x20-\x7e\n]*$/.test(said.text), JSON.stringify(said.text));
    assert.ok(said.code === 0 || (said.code >= 200 && said.code < 600));
  }
}

/** One bench whose end does not wait for the end of the test. */
async function withBench(scripts: readonly HostScript[], run: (bench: Bench) => Promise<void>): Promise<void> {
  const ends: (() => Promise<void>)[] = [];
  const bench = await startBench({ after: (end) => void ends.push(end as () => Promise<void>) }, scripts, { delivery });
  try {
    await run(bench);
  } finally {
    for (const end of ends) await end();
  }
}

async function sendAndCount({ hosts, send }: Bench, addresses: readonly string[], content: Buffer): Promise<void> {
  const before = hosts.map((host) => host.messages.length);
  let dots = 0;
  const result = await send({ recipients: recipients(...addresses), content, onDot: () => dots++ });
  checkOneEach(result, addresses);
  const taken = hosts.flatMap((host, index) => host.messages.slice(before[index]).flatMap(({ to }) => to));
  for (const { address, result: outcome } of result.recipients) {
    if (outcome === 'delivered') assert.ok(taken.includes(address), `${address} is delivered and was not taken`);
    else if (taken.includes(address)) assert.ok(result.inDoubt, `${address} was taken and is ${outcome}`);
  }
  if (dots === 0) assert.equal(taken.length, 0);
}

test('every recipient has one result, and an accepted dot is never called deferred but in doubt', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(script, { minLength: 1, maxLength: 2 }), fc.constantFrom(SMALL, LARGE), async (scripts, content) => {
      await withBench(scripts, async (bench) => {
        for (let message = 0; message < 2; message++) await sendAndCount(bench, ['a@test.test', 'b@test.test', 'c@test.test'], content);
      });
    }),
    { numRuns: Number(process.env.TRANSPORT_RUNS ?? 120), endOnFailure: true },
  );
});

test('octets of any kind, at any point, in any pieces, end in one result per recipient', async () => {
  const addresses = ['a@test.test', 'b@test.test'];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...points), fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (point, raw, slowly) => {
      const answers = { [point]: { raw, slowly, and: 'drop' } };
      await withBench([{ offers: ['PIPELINING'], answers }], async ({ send }) => {
        checkOneEach(await send({ recipients: recipients(...addresses) }), addresses);
      });
    }),
    { numRuns: 120 },
  );
});
