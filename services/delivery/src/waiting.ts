import type { LiveMessage, LiveRecipient } from '@angarium/lanes';
import { Result } from '@angarium/records';
import type { Ticket } from '@angarium/scheduler';
import type { Finding } from './attempt/conclude.ts';
import { record } from './attempt/record.ts';
import type { Core, Flight } from './core.ts';
import type { Lane } from './lane/lane.ts';
import { crash } from './pause.ts';
import { maxRecipientsAt, poolOf, RESOLVE_SITE } from './sites.ts';
import { type DeliveryUnit, dueAtMsOf, groupUnits } from './unit.ts';

export interface Place {
  readonly site: string;
  readonly title: string;
  readonly dueAtMs: number;
  readonly waitsForSite?: boolean;
}

/** Gives a unit to the scheduler. */
export function offer({ scheduler, units, deps }: Core, unit: DeliveryUnit, { waitsForSite = false, ...place }: Place): void {
  unit.cost = Math.min(unit.recipients.length, maxRecipientsAt(place.site, deps.config.delivery));
  units.add(unit);
  scheduler.offer(unit, { ...place, waitsForSite, pool: poolOf(place.site) }, deps.clock.nowMs());
}

/** Offers a unit where its mail goes, or to be looked up first. */
export function offerAnywhere(core: Core, unit: DeliveryUnit, dueAtMs: number): void {
  const plan = core.hops.known(unit.hopKey, core.deps.clock.nowMs())?.plan;
  offer(core, unit, { site: plan?.site ?? RESOLVE_SITE, title: plan?.title ?? '', dueAtMs });
}

function takeBack(core: Core, unit: DeliveryUnit): void {
  core.scheduler.remove(unit, core.deps.clock.nowMs());
  core.units.delete(unit);
}

/** Leaves a unit some of its recipients. */
export function reduce(core: Core, unit: DeliveryUnit, left: LiveRecipient[]): void {
  unit.recipients = left;
  if (left.length === 0) takeBack(core, unit);
}

/** Takes recipients out of the units that they wait in. */
export function withdraw(core: Core, recipients: readonly LiveRecipient[]): void {
  const gone = new Set(recipients);
  for (const message of new Set(recipients.map((recipient) => recipient.message))) {
    for (const unit of core.units.of(message)) {
      const left = unit.recipients.filter((recipient) => !gone.has(recipient));
      if (left.length < unit.recipients.length) reduce(core, unit, left);
    }
  }
}

export function endMessage(core: Core, message: LiveMessage): void {
  for (const unit of core.units.of(message)) takeBack(core, unit);
  core.contents.forget(message);
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
    core.deps.clock.after(NOT_LEASED_RETRY_MS, () => lane.state === 'live' && admit(core, lane, recipients));
    return;
  }
  const byMessage = Map.groupBy(findings, ({ recipient }) => recipient.message);
  for (const [message, some] of byMessage) {
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
  for (const unit of groupUnits(lane, waiting)) {
    const first = unit.recipients[0];
    if (first === undefined) continue;
    if (after?.failed) offer(core, unit, { site: after.site, title: after.title, dueAtMs: dueAtMsOf(first), waitsForSite: true });
    else offerAnywhere(core, unit, dueAtMsOf(first));
  }
}

/** Up to `most` recipients of a unit; what is left waits on, behind what came meanwhile. */
function takeSome(
  core: Core,
  unit: DeliveryUnit,
  { site, most }: { readonly site: Ticket['site']; readonly most: number },
): readonly LiveRecipient[] {
  takeBack(core, unit);
  const taken = unit.recipients.slice(0, most);
  if (taken.length === unit.recipients.length) return taken;
  unit.recipients = unit.recipients.slice(most);
  unit.ageMs = core.deps.clock.nowMs();
  offer(core, unit, { site: site.key, title: site.title, dueAtMs: 0 });
  return taken;
}

/** Units of a message that are looked at for company: a list of 100,000 domains must not be searched at each start. */
const MAX_SEARCHED = 1000;

/**
 * The recipients that go together with a unit that starts: its own, and those of other units of its message that are ready for
 * the same site, as many as one transaction takes.
 */
export function takeTogether(core: Core, unit: DeliveryUnit, { site }: Ticket): readonly LiveRecipient[] {
  const nowMs = core.deps.clock.nowMs();
  const most = maxRecipientsAt(site.key, core.deps.config.delivery);
  const taken = [...takeSome(core, unit, { site, most })];
  for (const other of core.units.of(unit.message, MAX_SEARCHED)) {
    if (taken.length >= most) break;
    const isReady = other !== unit && other.place === 'ready' && other.site === site;
    if (isReady && core.scheduler.gate(other, nowMs).gate !== 'suspended')
      taken.push(...takeSome(core, other, { site, most: most - taken.length }));
  }
  return taken;
}
