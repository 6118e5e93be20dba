import type { LiveRecipient } from '@angarium/lanes';
import { Result } from '@angarium/records';
import type { Start, Ticket } from '@angarium/scheduler';
import { type Attempt, type Ended, isWaiting, runAttempt } from './attempt/attempts.ts';
import { deferral, type Finding } from './attempt/conclude.ts';
import { momentOf } from './attempt/record.ts';
import type { Core } from './core.ts';
import { expireSite } from './expiry.ts';
import type { Route, Routed } from './hops.ts';
import { crash } from './pause.ts';
import { RESOLVE_SITE } from './sites.ts';
import { type DeliveryUnit, groupUnits } from './unit.ts';
import { offer, offerAnywhere, recordAtOnce, takeTogether } from './waiting.ts';

/** Starts what may start. */
export interface Dispatch {
  /** Called after anything that may let something start; the starts follow in the same turn of the event loop. */
  pump(): void;
  /** Starts nothing any more; resolves when nothing is on its way or `ms` have passed. */
  drain(ms: number): Promise<void>;
  readonly active: number;
}

const STARTS_AT_ONCE = 1000;
const MAX_LAST_REPLIES = 10_000;

export function createDispatch(core: Core): Dispatch {
  const { scheduler, hops, deps } = core;
  const { clock, config } = deps;
  const { maxUnacknowledgedOutcomes, maxUnacknowledgedMs, ownFaultRetryMs } = config.delivery;
  /** Units whose next hop is being looked up, by hop. */
  const asking = new Map<string, DeliveryUnit[]>();
  let active = 0;
  let isDraining = false;
  let isPumping = false;
  let onIdle: () => void = () => {};
  let timer: { readonly atMs: number; readonly callOff: () => void } | undefined;

  /** How many more may start, so that a kill makes few duplicates. */
  const allowance = (): number => {
    let pending = 0;
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const { queue } of core.lanes) {
      pending += queue.pending;
      oldestMs = Math.min(oldestMs, queue.oldestMs ?? oldestMs);
    }
    if (isDraining || clock.nowMs() - oldestMs > maxUnacknowledgedMs) return 0;
    return Math.min(STARTS_AT_ONCE, maxUnacknowledgedOutcomes - pending);
  };
  const setTimer = (): void => {
    const atMs = scheduler.wakeAtMs();
    if (timer?.atMs === atMs) return;
    timer?.callOff();
    timer = undefined;
    if (isDraining || atMs === Number.POSITIVE_INFINITY) return;
    const callOff = clock.after(Math.max(0, atMs - clock.nowMs()), () => {
      timer = undefined;
      dispatch.pump();
    });
    timer = { atMs, callOff };
  };
  const pumpNow = (): void => {
    isPumping = false;
    for (;;) {
      const most = allowance();
      const starts = most > 0 ? scheduler.next(clock.nowMs(), most) : [];
      if (starts.length === 0) break;
      for (const start of starts) begin(start);
    }
    setTimer();
  };

  const putOff = (unit: DeliveryUnit, o: { readonly note: string; readonly ticket?: Ticket; readonly waitsForSite?: boolean }): void => {
    unit.note = o.note;
    const pauseMs = ownFaultRetryMs[Math.min(unit.faults++, ownFaultRetryMs.length - 1)] ?? 0;
    const dueAtMs = clock.nowMs() + pauseMs;
    if (o.ticket === undefined) offerAnywhere(core, unit, dueAtMs);
    else offer(core, unit, { site: o.ticket.site.key, title: o.ticket.site.title, dueAtMs, waitsForSite: o.waitsForSite ?? false });
  };

  /** The answer to a look-up, for every unit that waited for it. */
  const settleRouted = (units: readonly DeliveryUnit[], routed: Routed): void => {
    for (const unit of units) {
      core.units.delete(unit);
      unit.recipients = unit.recipients.filter((recipient) => isWaiting(recipient) && !core.flights.has(recipient));
      if (unit.recipients.length === 0 || unit.lane.state !== 'live') continue;
      if (routed.is === 'route') offer(core, unit, { ...siteOf(routed.route), dueAtMs: 0 });
      else if (routed.is === 'deferred' && routed.ownFault) putOff(unit, { note: routed.reply.text });
      else
        recordAtOnce(
          core,
          unit.lane,
          unit.recipients.map((recipient) => refused(recipient, routed)),
        );
    }
  };
  const refused = (recipient: LiveRecipient, routed: Exclude<Routed, { is: 'route' }>): Finding =>
    routed.is === 'deferred'
      ? deferral(recipient, routed.reply, momentOf(core))
      : { recipient, result: Result.BOUNCED, reply: routed.reply, relayed: false, attempts: recipient.attempts + 1, dueAtMs: 0 };

  const lookUp = async (unit: DeliveryUnit, ticket: Ticket): Promise<void> => {
    const waiting = asking.get(unit.hopKey);
    if (waiting !== undefined) {
      waiting.push(unit);
      scheduler.finished(ticket, 'reached', clock.nowMs());
      return;
    }
    const units = [unit];
    asking.set(unit.hopKey, units);
    const routed = await hops.resolve(unit.hopKey, unit.hop);
    asking.delete(unit.hopKey);
    scheduler.finished(ticket, 'reached', clock.nowMs());
    settleRouted(units, routed);
  };

  /** Still the way of the unit's mail; undefined: it goes elsewhere now, and was told so. */
  const confirmRoute = async (unit: DeliveryUnit, ticket: Ticket): Promise<Route | undefined> => {
    const known = hops.known(unit.hopKey, clock.nowMs());
    const routed: Routed = known ? { is: 'route', route: known } : await hops.resolve(unit.hopKey, unit.hop);
    if (routed.is === 'route' && routed.route.plan.site === ticket.site.key) return routed.route;
    scheduler.finished(ticket, 'unknown', clock.nowMs());
    settleRouted([unit], routed);
    return undefined;
  };

  const end = (attempt: Attempt, ended: Ended, faults: number): void => {
    const { lane, ticket, flight, recipients } = attempt;
    flight.active = false;
    // Those without a record to be read back are free again.
    for (const recipient of recipients) if (core.flights.get(recipient) === flight && !isWaiting(recipient)) core.flights.delete(recipient);
    for (const recipient of ended.unspent) core.flights.delete(recipient);
    scheduler.finished(ticket, ended.verdict, clock.nowMs());
    const waitsForSite = ended.verdict === 'failed';
    for (const unit of groupUnits(lane, ended.unspent.filter(isWaiting))) {
      unit.faults = faults;
      if (lane.state === 'live') putOff(unit, { note: ended.note, ticket, waitsForSite });
    }
    if (ended.verdict === 'reached' || ended.reply === undefined) return;
    noteReply(ticket.site.key, `${ended.reply.code || ''} ${ended.reply.enhanced} ${ended.reply.text}`.trim());
    if (ended.verdict === 'failed' && ended.spent) expireSite(core, ticket, ended.reply);
  };
  const noteReply = (site: string, text: string): void => {
    core.lastReplies.delete(site);
    core.lastReplies.set(site, text);
    const oldest = core.lastReplies.size > MAX_LAST_REPLIES ? core.lastReplies.keys().next().value : undefined;
    if (oldest !== undefined) core.lastReplies.delete(oldest);
  };

  const attemptUnit = async (unit: DeliveryUnit, ticket: Ticket): Promise<void> => {
    const route = await confirmRoute(unit, ticket);
    if (route === undefined) return;
    const { lane, message, faults } = unit;
    const recipients = takeTogether(core, unit, ticket).filter((recipient) => isWaiting(recipient) && !core.flights.has(recipient));
    if (recipients.length === 0 || lane.state !== 'live') return scheduler.finished(ticket, 'unknown', clock.nowMs());
    const flight = { attemptId: core.nextAttemptId(lane), active: true, dotted: false, site: ticket.site.key };
    for (const recipient of recipients) core.flights.set(recipient, flight);
    const attempt = { lane, message, recipients, route, ticket, flight };
    end(attempt, await runAttempt(core, attempt), faults);
  };

  function begin({ unit, ticket }: Start<DeliveryUnit>): void {
    active++;
    const work = ticket.site.key === RESOLVE_SITE ? lookUp(unit, ticket) : attemptUnit(unit, ticket);
    work.then(() => {
      active--;
      if (active === 0) onIdle();
      dispatch.pump();
    }, crash);
  }

  const dispatch: Dispatch = {
    get active() {
      return active;
    },
    pump() {
      if (isPumping || isDraining) return;
      isPumping = true;
      queueMicrotask(pumpNow);
    },
    drain: (ms) =>
      new Promise((resolve) => {
        isDraining = true;
        timer?.callOff();
        if (active === 0) return resolve();
        const callOff = clock.after(ms, resolve);
        onIdle = () => {
          callOff();
          resolve();
        };
      }),
  };
  return dispatch;
}

const siteOf = ({ plan }: Route) => ({ site: plan.site, title: plan.title });
