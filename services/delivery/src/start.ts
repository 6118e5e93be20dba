import { Result } from '@angarium/records';
import type { Ticket } from '@angarium/scheduler';
import { type Attempt, type Ended, isWaiting, runAttempt } from './attempt/attempts.ts';
import { deferral, type Finding } from './attempt/conclude.ts';
import { momentOf } from './attempt/record.ts';
import type { Core } from './core.ts';
import { expireSite } from './expiry.ts';
import type { Route, Routed } from './hops.ts';
import { RESOLVE_SITE } from './sites.ts';
import { type DeliveryUnit, groupUnits } from './unit.ts';
import { admit, createFlight, offer, offerAnywhere, recordAtOnce, takeTogether } from './waiting.ts';

const MAX_LAST_REPLIES = 10_000;

const siteOf = ({ plan }: Route) => ({ site: plan.site, title: plan.title });

/** Trouble of our own: nothing is recorded, and the unit comes again soon. */
function putOff(core: Core, unit: DeliveryUnit, o: { note: string; at?: { site: string; title: string }; waitsForSite?: boolean }): void {
  const pauses = core.deps.config.delivery.ownFaultRetryMs;
  const dueAtMs = core.deps.clock.nowMs() + (pauses[Math.min(unit.faults, pauses.length - 1)] ?? 0);
  unit.faults++;
  unit.note = o.note;
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
async function resolve(core: Core, { hopKey, hop }: DeliveryUnit): Promise<Routed> {
  const routed = await core.hops.resolve(hopKey, hop);
  if (routed.is === 'deferred' && routed.ownFault) {
    core.meters.ownFaults.inc({ fault: 'resolve' });
    core.deps.logger.warn({ hop: hop?.name ?? '', fault: 'resolve', reason: routed.reply.text }, 'delivery.lookup.put_off');
  }
  return routed;
}

/** The answer to a look-up, for every unit that waited for it. */
function settleRouted(core: Core, units: readonly DeliveryUnit[], routed: Routed): void {
  for (const unit of units) {
    core.units.delete(unit);
    unit.recipients = unit.recipients.filter((recipient) => isWaiting(recipient) && !core.flights.has(recipient));
    if (unit.recipients.length === 0 || unit.lane.state !== 'live') continue;
    if (routed.is === 'route') offer(core, unit, { ...siteOf(routed.route), dueAtMs: 0 });
    else if (routed.is === 'deferred' && routed.ownFault) putOff(core, unit, { note: routed.reply.text });
    else recordAtOnce(core, unit.lane, refused(core, unit, routed));
  }
}

/** Looks next hops up, each once however many units wait for it. */
export function createLookUps(core: Core): (unit: DeliveryUnit, ticket: Ticket) => Promise<void> {
  const asking = new Map<string, DeliveryUnit[]>();
  const finished = (ticket: Ticket) => core.scheduler.finished(ticket, 'reached', core.deps.clock.nowMs());
  return async (unit, ticket) => {
    const waiting = asking.get(unit.hopKey);
    if (waiting !== undefined) {
      waiting.push(unit);
      finished(ticket);
      return;
    }
    const units = [unit];
    asking.set(unit.hopKey, units);
    const routed = await resolve(core, unit);
    asking.delete(unit.hopKey);
    finished(ticket);
    settleRouted(core, units, routed);
  };
}

function noteReply({ lastReplies }: Core, site: string, text: string): void {
  lastReplies.delete(site);
  lastReplies.set(site, text);
  const oldest = lastReplies.size > MAX_LAST_REPLIES ? lastReplies.keys().next().value : undefined;
  if (oldest !== undefined) lastReplies.delete(oldest);
}

function end(core: Core, attempt: Attempt, { verdict, spent, reply, unspent, note }: Ended, faults: number): void {
  const { lane, ticket, flight, recipients } = attempt;
  flight.active = false;
  // Nobody reads for us what was written.
  if (lane.state !== 'live') for (const recipient of recipients) core.flights.delete(recipient);
  // Those that no record will speak of are free again.
  for (const recipient of recipients) if (!isWaiting(recipient)) core.flights.delete(recipient);
  for (const recipient of unspent) core.flights.delete(recipient);
  core.scheduler.finished(ticket, verdict, core.deps.clock.nowMs());
  const at = { site: ticket.site.key, title: ticket.site.title };
  for (const unit of groupUnits(lane, unspent.filter(isWaiting))) {
    unit.faults = faults;
    if (lane.state === 'live') putOff(core, unit, { note, at, waitsForSite: verdict === 'failed' });
  }
  if (verdict === 'reached' || reply === undefined) return;
  noteReply(core, at.site, `${reply.code || ''} ${reply.enhanced} ${reply.text}`.trim());
  if (verdict === 'failed' && spent) expireSite(core, ticket, reply);
}

/** The way of a next hop leads elsewhere now, or nowhere: what waits for the old site because of it need not wait for that. */
function reroute(core: Core, hopKey: string, { from, to }: { readonly from: string; readonly to: { site: string; title: string } }): void {
  const { scheduler, units, deps } = core;
  for (const unit of scheduler.unitsAt(from).filter((one) => one.hopKey === hopKey)) {
    const dueAtMs = unit.place === 'due' && !unit.waitsForSite ? unit.dueAtMs : 0;
    scheduler.remove(unit, deps.clock.nowMs());
    units.delete(unit);
    offer(core, unit, { ...to, dueAtMs });
  }
}

const NOT_LEASED_RETRY_MS = 1000;

/** The lane's lease is not valid at this moment: nothing is wrong with the unit. */
function waitForLease(core: Core, unit: DeliveryUnit, ticket: Ticket): void {
  const nowMs = core.deps.clock.nowMs();
  core.scheduler.finished(ticket, 'unknown', nowMs);
  core.units.delete(unit);
  if (unit.lane.state === 'live') offerAnywhere(core, unit, nowMs + NOT_LEASED_RETRY_MS);
}

/**
 * Makes an attempt for a unit that may start and for what goes together with it. The way of its mail is looked up again where
 * that is no longer known; if it leads elsewhere now, the unit and its like wait there.
 */
export async function startUnit(core: Core, unit: DeliveryUnit, ticket: Ticket): Promise<void> {
  const { scheduler, deps, flights } = core;
  if (!core.mayStart(unit.lane)) {
    waitForLease(core, unit, ticket);
    return;
  }
  const known = core.hops.known(unit.hopKey, deps.clock.nowMs());
  const routed: Routed = known ? { is: 'route', route: known } : await resolve(core, unit);
  if (routed.is !== 'route' || routed.route.plan.site !== ticket.site.key) {
    scheduler.finished(ticket, 'unknown', deps.clock.nowMs());
    const isOurs = routed.is === 'deferred' && routed.ownFault;
    const to = routed.is === 'route' ? siteOf(routed.route) : { site: RESOLVE_SITE, title: '' };
    if (!isOurs) reroute(core, unit.hopKey, { from: ticket.site.key, to });
    settleRouted(core, [unit], routed);
    return;
  }
  const { lane, message, faults } = unit;
  const recipients = takeTogether(core, unit, ticket).filter((recipient) => isWaiting(recipient) && !flights.has(recipient));
  if (recipients.length === 0 || lane.state !== 'live') {
    scheduler.finished(ticket, 'unknown', deps.clock.nowMs());
    return;
  }
  const flight = createFlight(core.nextAttemptId(lane), { site: ticket.site.key, title: ticket.site.title });
  for (const recipient of recipients) flights.set(recipient, flight);
  const attempt = { lane, message, recipients, route: routed.route, ticket, flight };
  lane.wire.add(attempt);
  const ended = await core.care.run(lane, message, async () => (core.mayStart(lane) ? runAttempt(core, attempt) : undefined));
  lane.wire.delete(attempt);
  if (ended === undefined) {
    for (const recipient of recipients) flights.delete(recipient);
    scheduler.finished(ticket, 'unknown', deps.clock.nowMs());
    deps.clock.after(NOT_LEASED_RETRY_MS, () => lane.state === 'live' && admit(core, lane, recipients));
    return;
  }
  await ended.sealed;
  end(core, attempt, ended, faults);
}
