import type { LiveMessage, LiveRecipient } from '@angarium/lanes';
import { type Filter, Refused } from '@angarium/rpc';
import { canonicalDomain } from '@angarium/smtp';
import type { Core } from '../core.ts';
import type { Lane } from '../lane/lane.ts';
import { domainOf } from '../unit.ts';
import { STATES, type Standing, standingOf, unitsByAddress } from './view.ts';

export interface Selected {
  readonly lane: Lane;
  readonly recipient: LiveRecipient;
  /** Costs more than the selection: asked only for what is shown. */
  readonly locate: () => { readonly unit: number | undefined; readonly standing: Standing };
}

const EVERYTHING: Filter = { queueId: '', domain: '', site: '', tenant: '', state: '', olderThanMs: 0 };

/** @throws Refused when the filter names a state that there is not */
function checked(filter: Filter | undefined): Filter {
  const it = filter ?? EVERYTHING;
  if (it.state !== '' && !STATES.some((state) => state === it.state))
    throw new Refused('invalid', `state ${it.state}: there are ${STATES.join(', ')}`);
  return { ...it, domain: it.domain === '' ? '' : canonicalDomain(it.domain) };
}

function* messagesOf(lane: Lane, { queueId }: Filter): Iterable<LiveMessage> {
  if (queueId === '') return yield* lane.fold.messages.values();
  const message = lane.fold.messages.get(queueId);
  if (message !== undefined) yield message;
}

function isOfSite(core: Core, key: string, wanted: string): boolean {
  return key === wanted || core.scheduler.site(key)?.title === wanted;
}

function* selectOf(core: Core, lane: Lane, o: { message: LiveMessage; filter: Filter }): Iterable<Selected> {
  const { domain, site, state } = o.filter;
  let units: ReadonlyMap<string, number> | undefined;
  for (const recipient of o.message.recipients.values()) {
    if (domain !== '' && domainOf(recipient.address) !== domain) continue;
    const locate = () => {
      units ??= unitsByAddress(core, o.message);
      const unit = units.get(recipient.address);
      return { unit, standing: standingOf(core, lane, recipient, unit) };
    };
    if (state !== '' && locate().standing.state !== state) continue;
    if (site === '' || isOfSite(core, locate().standing.site, site)) yield { lane, recipient, locate };
  }
}

/** Recipients that match every field of the filter that is set, lane by lane, in an order that stays while they wait. */
export function* select(core: Core, wanted: Filter | undefined): Iterable<Selected> {
  const filter = checked(wanted);
  const { tenant, olderThanMs } = filter;
  const youngestMs = core.deps.clock.nowMs() - olderThanMs;
  for (const lane of core.lanes) {
    for (const message of messagesOf(lane, filter)) {
      const { envelope } = message;
      if (tenant !== '' && envelope.tenant !== tenant) continue;
      if (olderThanMs === 0 || envelope.acceptedAtMs <= youngestMs) yield* selectOf(core, lane, { message, filter });
    }
  }
}
