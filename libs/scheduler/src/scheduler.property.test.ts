import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { drainOneByOne, type Mail, MINUTE, type Start, setUp } from './fixtures/mails.ts';
import type { Verdict } from './index.ts';

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
        const { ready, deferred, suspended: held } = s.scheduler.census(nowMs);
        const recipients = [...waiting].reduce((sum, { cost }) => sum + cost, 0);
        assert.equal(ready + deferred + held, recipients, 'the census counts everybody once');
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
