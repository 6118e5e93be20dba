import { Result } from '@angarium/records';
import type { Ticket } from '@angarium/scheduler';
import { type Attempt, type Ended, isWaiting, runAttempt } from './attempt/attempts.ts';
import { deferral, type Finding } from './attempt/conclude.ts';
import { momentOf } from './attempt/record.ts';
import type { Core } from './core.ts';
import { expireSite } from './expiry.ts';
import { asNow } from './flights.ts';
import type { Route, Routed } from './hops.ts';
import { RESOLVE_SITE } from './sites.ts';
import { type DeliveryUnit, groupRecipients } from './unit.ts';
import { admit, createFlight, offer, offerAnywhere, recordAtOnce, takeTogether } from './waiting.ts';

const MAX_LAST_REPLIES = 10_000;

const siteOf = ({ plan }: Route) => ({ site: plan.site, title: plan.title });

/** Trouble of our own: nothing is recorded, and the unit comes again soon. */
function putOff(core: Core, unit: DeliveryUnit, o: { note: string; at?: { site: string; title: string }; waitsForSite?: boolean }): void {
  const pauses = core.deps.config.delivery.ownFaultRetryMs;
  const faults = core.units.faults(unit.number);
  const dueAtMs = core.deps.clock.nowMs() + (pauses[Math.min(faults, pauses.length - 1)] ?? 0);
  core.units.setFault(unit.number, faults + 1, o.note);
  if (o.at === undefined) offerAnywhere(core, unit, dueAtMs);
  else offer(core, unit, { ...o.at, dueAtMs, waitsForSite: o.waitsForSite ?? false });
}

function refused(core: Core, unit: DeliveryUnit, { is, reply }: Exclude<Routed, { is: 'route' }>): readonly Finding[] {
  const moment = momentOf(core);
  return unit.recipients.map((recipient) =>
    is === 'deferred'
      ? deferral(recipient, reply, moment)
      : { recipient, result: Result.BOUNCED, reply, relayed: false, attempts: recipient.attempts + 1, dueAtMs: 0 },
  );
}

/** Looks a next hop up. Trouble of our own is told: its mail waits without an end. */
async function resolve(core: Core, { hopKey, hop }: Pick<DeliveryUnit, 'hopKey' | 'hop'>): Promise<Routed> {
  const routed = await core.hops.resolve(hopKey, hop);
  if (routed.is === 'deferred' && routed.ownFault) {
    core.meters.ownFaults.inc({ fault: 'resolve' });
    core.deps.logger.warn({ hop: hop?.name ?? '', fault: 'resolve', reason: routed.reply.text }, 'delivery.lookup.put_off');
  }
  return routed;
}

/** A unit that is back, without those who are on their way or have ended. Undefined: nobody is left, and it has ended. */
function resume(core: Core, number: number): DeliveryUnit | undefined {
  const unit = core.units.back(number);
  if (unit === undefined) return undefined;
  const recipients = unit.recipients.filter((recipient) => recipient.state === 'waiting' && !core.flights.has(recipient));
  if (recipients.length > 0 && unit.lane.state === 'live') {
    if (recipients.length < unit.recipients.length) core.units.keep(number, recipients);
    return { ...unit, recipients };
  }
  core.units.end(number);
  return undefined;
}

/** The answer to a look-up, for every unit that waited for it. */
function settleRouted(core: Core, numbers: readonly number[], routed: Routed): void {
  for (const number of numbers) {
    const unit = resume(core, number);
    if (unit === undefined) continue;
    if (routed.is === 'route') offer(core, unit, { ...siteOf(routed.route), dueAtMs: 0 });
    else if (routed.is === 'deferred' && routed.ownFault) putOff(core, unit, { note: routed.reply.text });
    else {
      core.units.end(number);
      recordAtOnce(core, unit.lane, refused(core, unit, routed));
    }
  }
}

/** Looks next hops up, each once however many units wait for it. */
export function createLookUps(core: Core): (number: number, ticket: Ticket) => Promise<void> {
  const asking = new Map<string, number[]>();
  const finished = (ticket: Ticket) => core.scheduler.finished(ticket, 'reached', core.deps.clock.nowMs());
  return async (number, ticket) => {
    const unit = core.units.leave(number);
    const waiting = unit && asking.get(unit.hopKey);
    waiting?.push(number);
    if (unit === undefined) core.units.back(number);
    if (unit === undefined || waiting !== undefined) {
      finished(ticket);
      return;
    }
    const numbers = [number];
    asking.set(unit.hopKey, numbers);
    const routed = await resolve(core, unit);
    asking.delete(unit.hopKey);
    finished(ticket);
    settleRouted(core, numbers, routed);
  };
}

function noteReply({ lastReplies }: Core, site: string, text: string): void {
  lastReplies.delete(site);
  lastReplies.set(site, text);
  const oldest = lastReplies.size > MAX_LAST_REPLIES ? lastReplies.keys().next().value : undefined;
  if (oldest !== undefined) lastReplies.delete(oldest);
}

function end(core: Core, attempt: Attempt, { verdict, spent, reply, unspent, note, noRoom }: Ended, faults: number): void {
  const { lane, ticket, flight, recipients } = attempt;
  flight.active = false;
  // Nobody reads for us what was written.
  if (lane.state !== 'live') for (const recipient of recipients) core.flights.delete(recipient);
  // Those that no record will speak of are free again.
  for (const recipient of recipients) if (!isWaiting(recipient)) core.flights.delete(recipient);
  for (const recipient of unspent) core.flights.delete(recipient);
  core.scheduler.finished(ticket, verdict, core.deps.clock.nowMs());
  const at = { site: ticket.site.key, title: ticket.site.title };
  const left = lane.state === 'live' ? asNow(unspent).filter(({ state }) => state === 'waiting') : [];
  for (const group of groupRecipients(left)) {
    const unit = core.units.create(lane, group);
    if (noRoom) {
      offer(core, unit, { ...at, dueAtMs: 0 });
      continue;
    }
    core.units.setFault(unit.number, faults, note);
    putOff(core, unit, { note, at, waitsForSite: verdict === 'failed' });
  }
  if (verdict === 'reached' || reply === undefined) return;
  noteReply(core, at.site, `${reply.code || ''} ${reply.enhanced} ${reply.text}`.trim());
  if (verdict === 'failed' && spent) expireSite(core, ticket, reply);
}

/** The way of a next hop leads elsewhere now, or nowhere: what waits for the old site because of it need not wait for that. */
function reroute(core: Core, hopKey: string, { from, to }: { readonly from: string; readonly to: { site: string; title: string } }): void {
  const { scheduler, units, deps } = core;
  for (const number of scheduler.unitsAt(from).filter((one) => units.mayGoTo(one, hopKey))) {
    const unit = units.open(number);
    const where = scheduler.find(number);
    if (unit?.hopKey !== hopKey || where === undefined) continue;
    const dueAtMs = where.place === 'due' && !where.waitsForSite ? where.dueAtMs : 0;
    scheduler.remove(number, deps.clock.nowMs());
    offer(core, unit, { ...to, dueAtMs });
  }
}

const NOT_LEASED_RETRY_MS = 1000;

/** The lane's lease is not valid at this moment: nothing is wrong with the unit. */
function waitForLease(core: Core, number: number, ticket: Ticket): void {
  const nowMs = core.deps.clock.nowMs();
  core.scheduler.finished(ticket, 'unknown', nowMs);
  const unit = resume(core, number);
  if (unit !== undefined) offerAnywhere(core, unit, nowMs + NOT_LEASED_RETRY_MS);
}

/**
 * Makes an attempt for a unit that may start and for what goes together with it. The way of its mail is looked up again where
 * that is no longer known; if it leads elsewhere now, the unit and its like wait there.
 */
export async function startUnit(core: Core, number: number, ticket: Ticket): Promise<void> {
  const { scheduler, deps, flights, units } = core;
  const faults = units.faults(number);
  const asked = units.leave(number);
  if (asked !== undefined && !core.mayStart(asked.lane)) {
    waitForLease(core, number, ticket);
    return;
  }
  const known = asked && core.hops.known(asked.hopKey, deps.clock.nowMs());
  const routed: Routed | undefined = known ? { is: 'route', route: known } : asked && (await resolve(core, asked));
  if (asked !== undefined && routed !== undefined && (routed.is !== 'route' || routed.route.plan.site !== ticket.site.key)) {
    scheduler.finished(ticket, 'unknown', deps.clock.nowMs());
    const isOurs = routed.is === 'deferred' && routed.ownFault;
    const to = routed.is === 'route' ? siteOf(routed.route) : { site: RESOLVE_SITE, title: '' };
    if (!isOurs) reroute(core, asked.hopKey, { from: ticket.site.key, to });
    settleRouted(core, [number], routed);
    return;
  }
  const unit = units.back(number);
  const recipients = unit ? takeTogether(core, unit, ticket).filter((one) => one.state === 'waiting' && !flights.has(one)) : [];
  if (unit === undefined || routed?.is !== 'route' || recipients.length === 0 || unit.lane.state !== 'live') {
    scheduler.finished(ticket, 'unknown', deps.clock.nowMs());
    return;
  }
  const { lane, message } = unit;
  const flight = createFlight(core.nextAttemptId(lane), { site: ticket.site.key, title: ticket.site.title });
  for (const recipient of recipients) flights.set(recipient, flight);
  const attempt = { lane, message, recipients, route: routed.route, ticket, flight };
  lane.wire.add(attempt);
  const ended = await core.care.run(lane, message, async () => (core.mayStart(lane) ? runAttempt(core, attempt) : undefined));
  lane.wire.delete(attempt);
  if (ended === undefined) {
    for (const recipient of recipients) flights.delete(recipient);
    scheduler.finished(ticket, 'unknown', deps.clock.nowMs());
    deps.clock.after(NOT_LEASED_RETRY_MS, () => lane.state === 'live' && admit(core, lane, asNow(recipients)));
    return;
  }
  await ended.sealed;
  end(core, attempt, ended, faults);
}
