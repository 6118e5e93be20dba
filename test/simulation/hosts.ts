import type { AttemptResult, Job, RecipientResult, RemoteReply, Transport } from '@angarium/delivery';
import { NextHopKind } from '@angarium/records';
import { DeliverResult, type Mailbox, Unavailable } from '@angarium/rpc';
import type { Chance } from './chance.ts';
import type { ProcessClock } from './virtual-time.ts';
import type { Witness } from './witness.ts';

const MINUTE_MS = 60_000;

/** How the hosts of one domain behave, for the whole run. */
export interface HostManners {
  readonly domain: string;
  /** Probability of a 451 to each RCPT. */
  readonly deferring: number;
  readonly losingBeforeDot: number;
  readonly losingAfterDot: number;
  readonly latencyMs: number;
  /** Unreachable between these instants. */
  readonly deadFromMs: number;
  readonly deadToMs: number;
}

export function drawHosts(chance: Chance, nowMs: number): readonly HostManners[] {
  const bad = () => (chance.hits(0.4) ? chance.next() * 0.4 : 0);
  return ['a.test', 'b.test', 'c.test', 'd.test'].map((domain) => {
    const deadFromMs = nowMs + chance.between(0, 60) * MINUTE_MS;
    return {
      domain,
      deferring: bad(),
      losingBeforeDot: bad(),
      losingAfterDot: bad(),
      latencyMs: chance.pick([10, 200, 3000, 90_000]),
      deadFromMs,
      // Some for so long that everything expires.
      deadToMs: deadFromMs + chance.pick([0, 0, 20, 90, 600]) * MINUTE_MS,
    };
  });
}

const replyOf = (code: number, enhanced: string, text: string, remoteHost = 'mx'): RemoteReply => ({ code, enhanced, text, remoteHost });
const TAKEN = replyOf(250, '2.0.0', 'taken');
const LATER = replyOf(451, '4.7.1', 'come back later');
const NOBODY = replyOf(550, '5.1.1', 'no such user');
const LAME = replyOf(0, '4.4.3', 'name server trouble', '');
const LOST = replyOf(0, '4.4.2', 'connection lost', '');

const isBad = (address: string) => address.startsWith('bad');
const result = (address: string, name: RecipientResult['result'], reply: RemoteReply): RecipientResult => ({
  address,
  result: name,
  reply,
  relayed: true,
});

interface HostsDeps {
  readonly hosts: readonly HostManners[];
  readonly chance: Chance;
  readonly clock: ProcessClock;
  readonly witness: Witness;
  /** Nothing is out of order any more. */
  readonly isCalm: () => boolean;
}

async function converse(job: Job, host: HostManners, { chance, clock, witness, isCalm }: HostsDeps): Promise<AttemptResult> {
  const all = (name: RecipientResult['result'], reply: RemoteReply) => job.recipients.map(({ address }) => result(address, name, reply));
  const happens = (probability: number) => !isCalm() && chance.hits(probability);
  await clock.wait(host.latencyMs);
  const nowMs = clock.nowMs();
  if (nowMs >= host.deadFromMs && nowMs < host.deadToMs)
    return { recipients: all('deferred', LOST), inDoubt: false, spent: true, site: 'failed' };
  if (happens(host.losingBeforeDot)) return { recipients: all('deferred', LOST), inDoubt: false, spent: true, site: 'reached' };
  const answers = job.recipients.map(({ address }) => {
    if (isBad(address)) return result(address, 'bounced', NOBODY);
    return happens(host.deferring) ? result(address, 'deferred', LATER) : result(address, 'delivered', TAKEN);
  });
  const accepted = answers.filter((answer) => answer.result === 'delivered').map(({ address }) => address);
  if (accepted.length === 0) return { recipients: answers, inDoubt: false, spent: true, site: 'reached' };
  if (!job.mayFinish()) return { recipients: all('deferred', LOST), inDoubt: false, spent: false, site: 'reached' };
  job.onDot();
  const isLost = happens(host.losingAfterDot);
  const isTaken = !isLost || chance.hits(0.5);
  if (isTaken)
    for (const address of accepted)
      witness.take(job.queueId, address, { isReport: job.reversePath === '', content: job.content, to: address });
  await clock.wait(host.latencyMs);
  if (!isLost) return { recipients: answers, inDoubt: false, spent: true, site: 'reached' };
  if (isTaken) for (const address of accepted) witness.doubt(job.queueId, address);
  const known = answers.map((answer) => (answer.result === 'delivered' ? result(answer.address, 'deferred', LOST) : answer));
  return { recipients: known, inDoubt: true, spent: true, site: 'reached' };
}

/** The hosts of the world, as one process reaches them. */
export function createHosts(deps: HostsDeps): Transport {
  const known = new Map(deps.hosts.map((host) => [host.domain, host]));
  return {
    carries: ({ kind }) => kind === NextHopKind.MX,
    resolve: async ({ name }) => {
      if (name === 'lame.test') return { is: 'deferred', reply: LAME, ownFault: false };
      if (!deps.isCalm() && deps.chance.hits(0.02)) return { is: 'deferred', reply: LAME, ownFault: deps.chance.hits(0.5) };
      if (!known.has(name)) return { is: 'bounced', reply: replyOf(550, '5.1.2', 'no such domain', '') };
      return { is: 'plan', plan: { site: name, title: name, validUntilMs: deps.clock.nowMs() + 10 * MINUTE_MS } };
    },
    async attempt(job) {
      const host = known.get(job.plan.site);
      if (host === undefined) throw new RangeError(`no host ${job.plan.site}`);
      return converse(job, host, deps);
    },
    close: async () => {},
  };
}

/** What is stored, for ever: a second request for the same message and account stores nothing. */
export type Ledger = Set<string>;

export function createStore(ledger: Ledger, { chance, clock, witness, isCalm }: Omit<HostsDeps, 'hosts'>): Mailbox {
  return {
    async deliver({ id, queueId, reversePath, content, recipients }) {
      await clock.wait(5);
      if (!isCalm() && chance.hits(0.05)) throw new Unavailable('the mailbox is down');
      const results = recipients.map(({ account, address }) => {
        if (!isCalm() && chance.hits(0.05)) return DeliverResult.OVER_QUOTA;
        if (!ledger.has(`${queueId} ${address}`)) {
          ledger.add(`${queueId} ${address}`);
          witness.take(queueId, address, { isReport: reversePath === '', content, to: account });
        }
        return DeliverResult.STORED;
      });
      await clock.wait(5);
      if (!isCalm() && chance.hits(0.05)) throw new Unavailable('the reply is lost');
      return { id, results };
    },
  };
}
