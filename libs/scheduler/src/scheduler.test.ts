import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drainOneByOne, MINUTE, names, setUp } from './fixtures/mails.ts';

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

test('a site that gets the name of a suspended one is suspended, and goes on when it loses it', () => {
  const s = setUp();
  s.offer(s.unit('one'), { title: 'mx.old.test', dueAtMs: 5 });
  s.scheduler.suspend('site:mx.new.test', 0);
  s.offer(s.unit('two'), { title: 'mx.new.test' });
  assert.deepEqual(s.start(10), []);
  s.offer(s.unit('three'), { title: 'mx.old.test' });
  assert.equal(s.start(10).length, 3);
});

test('the census knows what waits for its time, for a site, for its turn and for a resume, and since when', () => {
  const s = setUp();
  for (let n = 0; n < 6; n++) s.offer(s.unit(`${n}`), { site: 'dead' });
  s.finish(s.start(0), 'failed', 0);
  s.offer(s.unit('due', { cost: 3 }), { site: 'dead', dueAtMs: 99 });
  s.scheduler.suspend('domain:p', 0);
  s.offer(s.unit('parked', { domain: 'p', cost: 5 }), { site: 'open' });
  assert.deepEqual(s.start(0), []);
  const big = s.offer(s.unit('ready', { cost: 70, ageMs: 20 }), { site: 'open' }, 30);
  assert.deepEqual(s.scheduler.census(30), { ready: 70, deferred: 4, suspended: 5, oldestReadyMs: 20 });
  s.scheduler.shrink(big.number, 7);
  s.scheduler.suspend('site:dead', 30);
  assert.deepEqual(s.scheduler.census(30), { ready: 7, deferred: 3, suspended: 6, oldestReadyMs: 20 });
  assert.equal(s.scheduler.oldestMs(), 0);
});

test('recipients are counted by the age of their units, wherever those wait, each once', () => {
  const s = setUp();
  s.offer(s.unit('new', { cost: 3, ageMs: 90 }));
  s.offer(s.unit('at the edge', { cost: 5, ageMs: 80 }), { dueAtMs: 500 });
  const old = s.offer(s.unit('old', { cost: 7, ageMs: 79 }));
  s.offer(s.unit('oldest', { cost: 11, ageMs: -1 }), { site: 'other' });
  assert.deepEqual(s.scheduler.countAges([20, 100], 100), [8, 7, 11]);
  s.scheduler.shrink(old.number, 1);
  s.scheduler.remove(0, 100);
  assert.deepEqual(s.scheduler.countAges([20, 100], 100), [5, 1, 11]);
});

test('a million units are counted, also by their age, before a process that looks after others would notice', () => {
  const { scheduler } = setUp();
  const facts = { pool: 'smtp', title: '', tenant: 't', priority: 0, recipients: 1, dueAtMs: 0, waitsForSite: false } as const;
  for (let unit = 0; unit < 1_000_000; unit++) scheduler.offer(unit, { ...facts, site: `s${unit % 100_000}`, ageMs: unit + 1 }, 0);
  const times = Array.from({ length: 7 }, () => {
    const startedMs = performance.now();
    const counts = scheduler.countAges([300_000, 400_000, 500_000, 600_000, 700_000], 1_000_000);
    const betweenMs = performance.now();
    const census = scheduler.census(1_000_000);
    const endedMs = performance.now();
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      1_000_000,
    );
    assert.deepEqual(census, { ready: 1_000_000, deferred: 0, suspended: 0, oldestReadyMs: 1 });
    return [betweenMs - startedMs, endedMs - betweenMs] as const;
  });
  for (const part of [0, 1] as const) {
    const leastMs = Math.min(...times.map((both) => both[part]));
    assert.ok(leastMs < 20, `${leastMs.toFixed(1)} ms`);
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
