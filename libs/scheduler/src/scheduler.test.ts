import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createScheduler, type Offer, type PoolOptions, type Ticket, type Verdict } from './index.ts';

interface Mail {
  readonly number: number;
  readonly name: string;
  readonly tenant: string;
  readonly domain: string;
  readonly priority: number;
  ageMs: number;
  readonly cost: number;
}
interface Start {
  readonly unit: Mail;
  readonly ticket: Ticket;
}
const MINUTE = 60_000;
const POOL: PoolOptions = {
  limit: 50,
  reserve: 10,
  siteInitial: 5,
  siteLimit: 20,
  probeMs: [MINUTE, 2 * MINUTE],
  throttleMs: [1000, 5000],
  tenantShare: 1,
  startRecipients: 100,
};

function setUp(pool: Partial<PoolOptions> = {}) {
  const mails: Mail[] = [];
  const mailOf = (number: number): Mail => mails[number] as Mail;
  const options = { pools: { smtp: { ...POOL, ...pool } }, random: () => 0.5, maxIdleSites: 100 };
  const scheduler = createScheduler<'smtp'>({ ...options, domainOf: (number) => mailOf(number).domain });
  const unit = (name: string, o: Partial<Mail> = {}): Mail => {
    const mail = { number: mails.length, name, tenant: 't', domain: 'd', priority: 0, ageMs: 0, cost: 1, ...o };
    mails.push(mail);
    return mail;
  };
  const offer = (mail: Mail, o: Partial<Offer<'smtp'>> = {}, nowMs = 0) => {
    const { number, tenant, priority, ageMs, cost: recipients } = mail;
    const place = { pool: 'smtp', site: 's', title: 's', dueAtMs: 0, waitsForSite: false } as const;
    scheduler.offer(number, { ...place, tenant, priority, ageMs, recipients, ...o }, nowMs);
    return mail;
  };
  const start = (nowMs: number, max = 1000): Start[] =>
    scheduler.next(nowMs, max).map(({ unit: number, ticket }) => ({ unit: mailOf(number), ticket }));
  const finish = (starts: readonly Start[], verdict: Verdict, nowMs: number) => {
    for (const { ticket } of starts) scheduler.finished(ticket, verdict, nowMs);
  };
  const namesAt = (site: string) => new Set(scheduler.unitsAt(site).map((number) => mailOf(number).name));
  return { scheduler, unit, offer, start, finish, namesAt };
}
const names = (starts: readonly Start[]) => starts.map(({ unit }) => unit.name).join(' ');

/** Offers n mails and takes them one at a time, each one reached. */
function drainOneByOne({ start, finish }: ReturnType<typeof setUp>, nowMs = 0): string[] {
  const order: string[] = [];
  for (let starts = start(nowMs, 1); starts.length > 0; starts = start(nowMs, 1)) {
    order.push(names(starts));
    finish(starts, 'reached', nowMs);
  }
  return order;
}

test('a site is given its initial number of starts, one more after a window of successes while more waits, up to the limit', () => {
  const s = setUp({ siteLimit: 7 });
  for (let n = 0; n < 200; n++) s.offer(s.unit(`${n}`));
  const widths: number[] = [];
  for (let round = 0; round < 4; round++) {
    const starts = s.start(0);
    widths.push(starts.length);
    for (const one of starts) s.finish([one], 'reached', 0);
  }
  assert.deepEqual(widths.slice(0, 1), [5]);
  assert.ok((widths.at(-1) ?? 0) > 5 && Math.max(...widths) <= 7, widths.join());
});

test('a cohort that failed makes the site dead; only a probe goes out when its clock says so', () => {
  const s = setUp();
  for (let n = 0; n < 20; n++) s.offer(s.unit(`${n}`));
  s.finish(s.start(0), 'failed', 0);
  assert.equal(s.scheduler.site('s')?.state, 'dead');
  assert.equal(s.scheduler.wakeAtMs(), MINUTE);
  assert.deepEqual(s.start(MINUTE - 1), []);
  const probe = s.start(MINUTE);
  assert.equal(probe.length, 1);
  assert.deepEqual(s.start(10 * MINUTE), [], 'one probe at a time');
  s.finish(probe, 'failed', 10 * MINUTE);
  assert.equal(s.scheduler.wakeAtMs(), 12 * MINUTE);
  s.finish(s.start(12 * MINUTE), 'reached', 12 * MINUTE);
  assert.equal(s.start(12 * MINUTE).length, 5, 'a good probe opens the window');
});

test('one failure between successes does not kill a site', () => {
  const s = setUp();
  for (let n = 0; n < 100; n++) s.offer(s.unit(`${n}`));
  for (let round = 0; round < 6; round++) {
    const starts = s.start(0);
    s.finish(starts.slice(0, 2), 'failed', 0);
    s.finish(starts.slice(2), 'reached', 0);
  }
  assert.equal(s.scheduler.site('s')?.state, 'open');
});

test('throttling halves the window once per round, and at one start at a time it pauses the site', () => {
  const s = setUp({ siteInitial: 8 });
  for (let n = 0; n < 100; n++) s.offer(s.unit(`${n}`));
  s.finish(s.start(1), 'throttled', 2);
  assert.equal(s.scheduler.site('s')?.state, 'throttled');
  const four = s.start(3);
  assert.equal(four.length, 4);
  s.finish(four, 'throttled', 4);
  s.finish(s.start(5), 'throttled', 6);
  const one = s.start(7);
  assert.equal(one.length, 1);
  s.finish(one, 'throttled', 8);
  assert.equal(s.scheduler.wakeAtMs(), 1008);
  assert.equal(s.start(1008).length, 1);
});

test('units deferred because of their site are due again when a probe reaches it', () => {
  const s = setUp();
  for (let n = 0; n < 5; n++) s.offer(s.unit(`${n}`));
  const starts = s.start(0);
  s.finish(starts, 'failed', 0);
  for (const { unit } of starts) s.offer(unit, { dueAtMs: 60 * MINUTE, waitsForSite: true });
  s.offer(s.unit('new'));
  const probe = s.start(MINUTE);
  assert.equal(names(probe), 'new');
  s.finish(probe, 'reached', MINUTE);
  assert.equal(s.start(MINUTE).length, 5);
});

test('trouble of our own says nothing about a dead site', () => {
  const s = setUp();
  for (let n = 0; n < 20; n++) s.offer(s.unit(`${n}`));
  s.finish(s.start(0), 'failed', 0);
  s.finish(s.start(MINUTE), 'unknown', MINUTE);
  assert.equal(s.scheduler.site('s')?.state, 'dead');
  assert.equal(s.scheduler.wakeAtMs(), 2 * MINUTE);
});

test('tenants take turns by recipients, whatever one of them has waiting', () => {
  const s = setUp();
  for (let n = 0; n < 1000; n++) s.offer(s.unit('big', { tenant: 'big' }));
  for (let n = 0; n < 10; n++) s.offer(s.unit('small', { tenant: 'small', ageMs: 99 }));
  const order = drainOneByOne(s);
  assert.ok(order.lastIndexOf('small') < 40, `small ended at ${order.lastIndexOf('small')}`);
});

test('a mail to one recipient passes a campaign of 100,000 of the same tenant', () => {
  const s = setUp({ siteInitial: 1 });
  let left = 100_000;
  const campaign = s.offer(s.unit('campaign', { cost: 100 }));
  const order: string[] = [];
  for (let nowMs = 1; order.length < 10; nowMs++) {
    const starts = s.start(nowMs, 1);
    if (nowMs === 5) s.offer(s.unit('single', { ageMs: nowMs }), {}, nowMs);
    if (starts[0]?.unit === campaign && left > 0) {
      left -= 100;
      campaign.ageMs = nowMs;
      s.offer(campaign, {}, nowMs);
    }
    s.finish(starts, 'reached', nowMs);
    order.push(names(starts));
  }
  assert.equal(order.indexOf('single'), 5);
});

test('within a tenant the larger priority goes first, then the older', () => {
  const s = setUp();
  s.offer(s.unit('young', { ageMs: 2 }));
  s.offer(s.unit('old', { ageMs: 1 }));
  s.offer(s.unit('urgent', { ageMs: 3, priority: 1 }));
  assert.deepEqual(drainOneByOne(s), ['urgent', 'old', 'young']);
});

test('slow sites cannot take the starts that are kept for sites with none', () => {
  const s = setUp({ limit: 10, reserve: 3, siteInitial: 20 });
  for (let n = 0; n < 40; n++) s.offer(s.unit('slow'), { site: 'slow' });
  assert.equal(s.start(0).length, 7);
  s.offer(s.unit('other'), { site: 'other' });
  assert.equal(names(s.start(0)), 'other');
});

test('the limit holds over many sites', () => {
  const s = setUp({ limit: 3, reserve: 1 });
  for (let n = 0; n < 10; n++) s.offer(s.unit(`${n}`), { site: `${n}` });
  assert.equal(s.start(0).length, 3);
});

test('units that leave from among others leave the others where they are', () => {
  const s = setUp();
  s.scheduler.suspend('domain:d', 0);
  const parked = ['a', 'b', 'c', 'd'].map((name) => s.offer(s.unit(name)));
  s.start(0);
  const [, b] = parked;
  if (b) s.scheduler.remove(b.number, 0);
  assert.deepEqual(s.namesAt('s'), new Set(['a', 'c', 'd']));
  s.scheduler.resume('domain:d', 0);
  assert.deepEqual(new Set(s.start(0).map(({ unit }) => unit.name)), new Set(['a', 'c', 'd']));
  assert.deepEqual(s.scheduler.unitsAt('s'), []);
});

test('nothing of a suspended scope starts, probes neither, and all of it after the resume', () => {
  for (const [scope, mail] of [
    ['all', {}],
    ['domain:d', {}],
    ['tenant:t', {}],
    ['site:s', {}],
  ] as const) {
    const s = setUp();
    const held = s.offer(s.unit('held', mail));
    s.scheduler.suspend(scope, 0);
    assert.deepEqual(s.start(0), [], scope);
    assert.deepEqual(s.scheduler.gate(held.number, 0), { gate: 'suspended', untilMs: 0, scope });
    s.offer(s.unit('later', mail), { dueAtMs: 5 });
    assert.deepEqual(s.start(10), [], scope);
    s.scheduler.resume(scope, 20);
    assert.equal(s.start(20).length, 2, scope);
  }
});

test('a suspension of one domain or tenant does not hold the others back', () => {
  const s = setUp();
  s.scheduler.suspend('domain:d', 0);
  s.scheduler.suspend('tenant:v', 0);
  s.offer(s.unit('held'));
  s.offer(s.unit('held too', { tenant: 'v', domain: 'e' }));
  s.offer(s.unit('free', { domain: 'e' }));
  assert.equal(names(s.start(0)), 'free');
});

test('a unit that is taken back never starts, wherever it was', () => {
  const s = setUp();
  const ready = s.offer(s.unit('ready'));
  const due = s.offer(s.unit('due'), { dueAtMs: 5 });
  const parked = s.offer(s.unit('parked', { domain: 'p' }));
  s.offer(s.unit('kept'));
  s.scheduler.suspend('domain:p', 0);
  const first = s.start(0, 1);
  for (const mail of [ready, due, parked]) if (mail !== first[0]?.unit) s.scheduler.remove(mail.number, 0);
  s.scheduler.resume('domain:p', 0);
  assert.equal(names([...first, ...s.start(100)]), 'ready kept');
});

test('a flushed unit and a flushed site start at once', () => {
  const s = setUp();
  const mail = s.offer(s.unit('mail'), { dueAtMs: 99 * MINUTE });
  s.scheduler.flush(mail.number, 0);
  const flushed = s.start(0);
  assert.equal(names(flushed), 'mail');
  s.finish(flushed, 'reached', 0);
  for (let n = 0; n < 9; n++) s.offer(s.unit(`${n}`));
  s.finish(s.start(0), 'failed', 0);
  s.scheduler.openSite('s', 1);
  assert.equal(s.start(1).length, 1);
});

test('a tenant takes no more than its share of the starts of a site', () => {
  const s = setUp({ siteInitial: 8, siteLimit: 8, tenantShare: 0.5 });
  for (let n = 0; n < 20; n++) s.offer(s.unit('a', { tenant: 'a' }));
  assert.equal(s.start(0).length, 4);
  s.offer(s.unit('b', { tenant: 'b' }));
  assert.equal(names(s.start(0)), 'b');
});

test('what is known of idle sites is bounded', () => {
  const s = setUp();
  for (let n = 0; n < 500; n++) {
    s.offer(s.unit(`${n}`), { site: `site ${n}` });
    s.finish(s.start(0), 'failed', 0);
  }
  assert.equal([...s.scheduler.sites()].length, 100);
});

test('100,000 waiting units cost microseconds each', () => {
  const s = setUp({ limit: 500, siteInitial: 20 });
  const startedMs = performance.now();
  for (let n = 0; n < 100_000; n++) s.offer(s.unit('m', { tenant: `t${n % 50}`, ageMs: n }), { site: `s${n % 100}`, dueAtMs: n % 1000 });
  let count = 0;
  for (let starts = s.start(1000); starts.length > 0; starts = s.start(1000)) {
    count += starts.length;
    s.finish(starts, 'reached', 1000);
  }
  assert.equal(count, 100_000);
  assert.ok(performance.now() - startedMs < 10_000);
});

const event = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('offer' as const),
      site: fc.nat(11),
      tenant: fc.nat(3),
      domain: fc.nat(2),
      cost: fc.integer({ min: 1, max: 40 }),
      dueIn: fc.nat(300),
      priority: fc.nat(2),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('start' as const), max: fc.integer({ min: 1, max: 30 }) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('finish' as const),
      at: fc.nat(50),
      verdict: fc.constantFrom<Verdict>('reached', 'throttled', 'failed', 'unknown'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat(200_000) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('suspend' as const), scope: fc.constantFrom('all', 'domain:d1', 'tenant:t2', 'site:s0') }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('resume' as const), scope: fc.constantFrom('all', 'domain:d1', 'tenant:t2', 'site:s0') }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), at: fc.nat(100) }) },
);

test('whatever happens: limits hold, nothing suspended starts, nothing starts twice, and in the end everything has started', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 200, size: 'max' }), (events) => {
      const s = setUp({ limit: 8, reserve: 2, siteInitial: 3, siteLimit: 6 });
      let nowMs = 0;
      const suspended = new Set<string>();
      const waiting = new Set<Mail>();
      const active: Start[] = [];
      const begin = (max: number) => {
        for (const one of s.start(nowMs, max)) {
          assert.ok(waiting.delete(one.unit), 'started what was not waiting');
          const scopes = ['all', `domain:${one.unit.domain}`, `tenant:${one.unit.tenant}`, `site:${one.ticket.site.key}`];
          assert.ok(!scopes.some((scope) => suspended.has(scope)), 'started what is suspended');
          active.push(one);
        }
        assert.ok(active.length <= 8, 'pool limit');
        for (const site of s.scheduler.sites()) assert.ok(site.active <= 6, 'site limit');
        assert.equal(s.scheduler.activeIn('smtp'), active.length);
      };
      const order = (e: Extract<(typeof events)[number], { scope: string }>) => {
        if (e.do === 'suspend') suspended.add(e.scope);
        else suspended.delete(e.scope);
        s.scheduler[e.do](e.scope, nowMs);
      };
      const takeBack = (mail: Mail | undefined) => {
        if (mail === undefined) return;
        s.scheduler.remove(mail.number, nowMs);
        waiting.delete(mail);
      };
      const run = (e: (typeof events)[number]) => {
        if (e.do === 'offer') {
          const mail = s.unit('m', { tenant: `t${e.tenant}`, domain: `d${e.domain}`, cost: e.cost, priority: e.priority, ageMs: nowMs });
          waiting.add(s.offer(mail, { site: `s${e.site}`, dueAtMs: nowMs + e.dueIn }, nowMs));
        } else if (e.do === 'start') begin(e.max);
        else if (e.do === 'finish') s.finish(active.splice(e.at % Math.max(1, active.length), 1), e.verdict, nowMs);
        else if (e.do === 'pass') nowMs += e.ms;
        else if (e.do === 'remove') takeBack([...waiting][e.at]);
        else order(e);
      };
      for (const e of events) run(e);
      for (const scope of suspended) s.scheduler.resume(scope, nowMs);
      suspended.clear();
      for (let round = 0; waiting.size + active.length > 0; round++) {
        assert.ok(round < 2000, `${waiting.size} never started`);
        begin(1000);
        s.finish(active.splice(0), 'reached', nowMs);
        if (s.start(nowMs, 0).length === 0 && waiting.size > 0)
          nowMs = Math.max(nowMs, Math.min(s.scheduler.wakeAtMs(), nowMs + 10 * MINUTE));
      }
    }),
    { numRuns: 300 },
  );
});

test('no tenant is starved: while it has mail, it gets its share of any long enough run of starts', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ tenant: fc.nat(4), cost: fc.integer({ min: 1, max: 100 }) }), { minLength: 1, maxLength: 80, size: 'max' }),
      (flood) => {
        const s = setUp();
        for (const { tenant, cost } of flood) s.offer(s.unit('x', { tenant: `t${tenant}`, cost }));
        for (let n = 0; n < 3; n++) s.offer(s.unit('mine', { tenant: 'mine' }));
        const tenants = new Set(flood.map(({ tenant }) => tenant)).size;
        const order = drainOneByOne(s);
        assert.ok(order.lastIndexOf('mine') < 3 + tenants * 11, `mine ended at ${order.lastIndexOf('mine')}`);
      },
    ),
    { numRuns: 200 },
  );
});
