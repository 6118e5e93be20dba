import type { LiveMessage, LiveRecipient } from '@angarium/lanes';
import { Result } from '@angarium/records';
import type { Ticket } from '@angarium/scheduler';
import type { Finding } from './attempt/conclude.ts';
import { record } from './attempt/record.ts';
import type { Core, Flight } from './core.ts';
import { asNow } from './flights.ts';
import type { Lane } from './lane/lane.ts';
import { crash } from './pause.ts';
import { poolOf, RESOLVE_SITE } from './sites.ts';
import { type DeliveryUnit, dueAtMsOf, groupRecipients } from './unit.ts';

export interface Place {
  readonly site: string;
  readonly title: string;
  readonly dueAtMs: number;
  readonly waitsForSite?: boolean;
  /** Of the unit's turn; else that of its message. */
  readonly ageMs?: number;
}

/** Gives a unit to the scheduler. */
export function offer({ scheduler, deps }: Core, unit: DeliveryUnit, { waitsForSite = false, ...place }: Place): void {
  const { envelope, enqueuedAtMs } = unit.message;
  const facts = { tenant: envelope.tenant, priority: envelope.priority, ageMs: enqueuedAtMs, recipients: unit.recipients.length };
  scheduler.offer(unit.number, { ...facts, ...place, waitsForSite, pool: poolOf(place.site) }, deps.clock.nowMs());
}

/** Offers a unit where its mail goes, or to be looked up first. */
export function offerAnywhere(core: Core, unit: DeliveryUnit, dueAtMs: number): void {
  const plan = core.hops.known(unit.hopKey, core.deps.clock.nowMs())?.plan;
  offer(core, unit, { site: plan?.site ?? RESOLVE_SITE, title: plan?.title ?? '', dueAtMs });
}

function takeBack(core: Core, number: number): void {
  core.scheduler.remove(number, core.deps.clock.nowMs());
  core.units.end(number);
}

/** Leaves a unit some of its recipients. */
export function reduce(core: Core, number: number, left: readonly LiveRecipient[]): void {
  if (left.length === 0) {
    takeBack(core, number);
    return;
  }
  core.units.keep(number, left);
  core.scheduler.shrink(number, left.length);
}

/** Takes recipients of one lane out of the units that they wait in. */
export function withdraw(core: Core, recipients: readonly LiveRecipient[]): void {
  for (const some of Map.groupBy(recipients, ({ message }) => message.slot).values()) {
    const gone = new Set(some.map(({ address }) => address));
    const message = some[0]?.message;
    for (const number of message === undefined ? [] : core.units.of(message)) {
      const left = core.units.open(number)?.recipients.filter(({ address }) => !gone.has(address)) ?? [];
      if (left.length < core.units.size(number)) reduce(core, number, left);
    }
  }
}

/** Before its slot is another one's. */
export function endMessage(core: Core, message: LiveMessage): void {
  for (const number of core.units.of(message)) takeBack(core, number);
  core.contents.forget(message);
  core.care.release(message);
}

export const createFlight = (attemptId: string, { site = '', title = '' } = {}): Flight => ({
  attemptId,
  site,
  title,
  active: site !== '',
  dotted: false,
  sent: false,
  failed: false,
});

const NOT_LEASED_RETRY_MS = 1000;

/** Findings of recipients that no attempt is made for, recorded message by message; not before the lease allows it. */
export function recordAtOnce(core: Core, lane: Lane, findings: readonly Finding[]): void {
  if (!core.mayAct(lane)) {
    const recipients = findings.map(({ recipient }) => recipient);
    core.deps.clock.after(NOT_LEASED_RETRY_MS, () => lane.state === 'live' && admit(core, lane, asNow(recipients)));
    return;
  }
  for (const some of Map.groupBy(findings, ({ recipient }) => recipient.message.slot).values()) {
    const message = some[0]?.recipient.message;
    if (message === undefined) continue;
    const flight = createFlight(core.nextAttemptId(lane));
    record(core, { lane, message, flight, findings: some, inDoubt: false, site: '' }).catch(crash);
  }
}

const NO_REPLY = { code: 0, enhanced: '', text: '', remoteHost: '' };

/** What is decided about a recipient before anything is tried. */
function decided(recipient: LiveRecipient): Finding | undefined {
  const { verdict, expiryForced, attempts, lastOutcome } = recipient;
  const base = { recipient, relayed: false, attempts, dueAtMs: 0 };
  if (expiryForced) {
    const reply = lastOutcome?.reply ?? { ...NO_REPLY, enhanced: '4.4.7', text: 'expired by order of the operator' };
    return { ...base, result: Result.EXPIRED, reply };
  }
  if (verdict === undefined || verdict.result === Result.DEFERRED || verdict.result === Result.UNSPECIFIED) return undefined;
  return { ...base, result: verdict.result, reply: verdict.reply ?? NO_REPLY };
}

/** Recipients of one lane that wait from now on, or wait otherwise than before. `after`: the attempt that deferred them. */
export function admit(core: Core, lane: Lane, recipients: readonly LiveRecipient[], after?: Flight): void {
  const findings: Finding[] = [];
  const waiting: LiveRecipient[] = [];
  for (const recipient of recipients) {
    if (recipient.state !== 'waiting' || core.flights.has(recipient)) continue;
    if (core.care.isSetAside(recipient.message) && !recipient.expiryForced) continue;
    const finding = decided(recipient);
    if (finding === undefined) waiting.push(recipient);
    else findings.push(finding);
  }
  if (findings.length > 0) recordAtOnce(core, lane, findings);
  for (const group of groupRecipients(waiting)) {
    const unit = core.units.create(lane, group);
    const dueAtMs = group[0] === undefined ? 0 : dueAtMsOf(group[0]);
    if (after?.failed) offer(core, unit, { site: after.site, title: after.title, dueAtMs, waitsForSite: true });
    else offerAnywhere(core, unit, dueAtMs);
  }
}

/** Up to `most` recipients of a unit; what is left waits on, behind what came meanwhile. */
function takeSome(
  core: Core,
  unit: DeliveryUnit,
  { site, most }: { readonly site: Ticket['site']; readonly most: number },
): readonly LiveRecipient[] {
  const nowMs = core.deps.clock.nowMs();
  const left = unit.recipients.slice(most);
  core.scheduler.remove(unit.number, nowMs);
  if (left.length === 0) core.units.end(unit.number);
  else {
    core.units.keep(unit.number, left);
    offer(core, { ...unit, recipients: left }, { site: site.key, title: site.title, dueAtMs: 0, ageMs: nowMs });
  }
  return unit.recipients.slice(0, most);
}

/** Units of a message that are looked at for company: a list of 100,000 domains must not be searched at each start. */
const MAX_SEARCHED = 1000;

/**
 * The recipients that go together with a unit that starts: its own, and those of other units of its message that are ready for
 * the same site, as many as one transaction takes.
 */
export function takeTogether(core: Core, unit: DeliveryUnit, { site }: Ticket): readonly LiveRecipient[] {
  const { scheduler, units, deps } = core;
  const most = site.pool.options.startRecipients;
  const taken = [...takeSome(core, unit, { site, most })];
  for (const number of units.of(unit.message, MAX_SEARCHED)) {
    if (taken.length >= most) break;
    const where = number === unit.number ? undefined : scheduler.find(number);
    if (where?.place !== 'ready' || where.site !== site || scheduler.gate(number, deps.clock.nowMs()).gate === 'suspended') continue;
    const other = units.open(number);
    if (other !== undefined) taken.push(...takeSome(core, other, { site, most: most - taken.length }));
  }
  return taken;
}
