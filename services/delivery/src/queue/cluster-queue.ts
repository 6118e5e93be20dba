import { type ListRequest, type ListResponse, type Queue, type SiteSummary, type SummaryResponse, Unavailable } from '@angarium/rpc';
import type { Logger } from '@angarium/runtime';
import type { Ownership } from '../ownership/ownership.ts';
import { reasonOf } from '../pause.ts';
import type { Peers } from '../peers.ts';

export interface ClusterQueueParts {
  /** Of this worker's lanes. */
  readonly own: Queue;
  readonly incarnation: string;
  readonly ownership: Ownership;
  readonly peers: Peers<Queue>;
  readonly logger: Logger;
}

/** A live worker, this one among them, in an order that all workers share. */
interface Worker {
  readonly incarnation: string;
  readonly name: string;
  ask<T>(call: (queue: Queue) => Promise<T>): Promise<T>;
}

interface Asked<T> {
  readonly answers: readonly T[];
  /** Workers that did not answer in time, and why. */
  readonly silent: readonly { readonly worker: Worker; readonly reason: string }[];
}

function workersOf({ own, incarnation, ownership, peers }: ClusterQueueParts): readonly Worker[] {
  const members = ownership.workers().members.filter((member) => member.incarnation !== incarnation);
  peers.keep(new Set(members.map(({ address }) => address)));
  const others = members.map(({ incarnation: its, address }) => ({
    incarnation: its,
    name: address,
    ask: async <T>(call: (queue: Queue) => Promise<T>) => call(await peers.at(address)),
  }));
  const self: Worker = { incarnation, name: 'this worker', ask: (call) => call(own) };
  return [self, ...others].sort((one, other) => (one.incarnation < other.incarnation ? -1 : 1));
}

async function askAll<T>(parts: ClusterQueueParts, call: (queue: Queue, worker: Worker) => Promise<T>): Promise<Asked<T>> {
  const workers = workersOf(parts);
  const results = await Promise.allSettled(workers.map((worker) => worker.ask((queue) => call(queue, worker))));
  const silent = workers.flatMap((worker, index) => {
    const result = results[index];
    return result?.status === 'rejected' ? [{ worker, reason: reasonOf(result.reason) }] : [];
  });
  for (const { worker, reason } of silent) parts.logger.warn({ worker: worker.name, reason }, 'delivery.queue.unanswered');
  // What this worker refuses, all do: the question is wrong.
  const refused = results.find((result) => result.status === 'rejected' && (result.reason as Error).name === 'Refused');
  if (refused?.status === 'rejected') throw refused.reason;
  return { answers: results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])), silent };
}

/** Lanes that nobody answered for: those of silent workers, and those that any worker knows to be without an owner. */
async function unanswered(parts: ClusterQueueParts, { answers, silent }: Asked<{ readonly recoveringLanes: number[] }>): Promise<number[]> {
  const lanes = new Set(answers.flatMap(({ recoveringLanes }) => recoveringLanes));
  if (silent.length > 0) {
    const of = new Set(silent.map(({ worker }) => worker.incarnation));
    for (const { lane, incarnation } of (await parts.ownership.report()).lanes) if (of.has(incarnation)) lanes.add(lane);
  }
  return [...lanes].sort((one, other) => one - other);
}

const TOKEN = /^(\S+) ?(.*)$/s;

/** Pages go from worker to worker; a token names the worker, and the place in its own list. */
async function list(parts: ClusterQueueParts, request: ListRequest): Promise<ListResponse> {
  const [, from = '', inner = ''] = TOKEN.exec(request.pageToken) ?? [];
  const limit = request.limit || 100;
  const recipients: ListResponse['recipients'] = [];
  let nextPageToken = '';
  let total = 0;
  const asked: Asked<ListResponse>[] = [];
  for (const worker of workersOf(parts)) {
    const isPast = worker.incarnation < from;
    const room = limit - recipients.length;
    // A worker whose turn is over, or not yet, is asked for its number alone.
    const isShown = !isPast && room > 0 && nextPageToken === '';
    const pageToken = isShown && worker.incarnation === from ? inner : '';
    const one = await askOne(parts, worker, (queue) => queue.list({ filter: request.filter, limit: isShown ? room : 1, pageToken }));
    asked.push(one);
    const [answer] = one.answers;
    if (answer === undefined) continue;
    total += answer.total;
    if (isShown) {
      recipients.push(...answer.recipients);
      if (answer.nextPageToken !== '') nextPageToken = `${worker.incarnation} ${answer.nextPageToken}`;
    } else if (!isPast && nextPageToken === '' && answer.total > 0) nextPageToken = worker.incarnation;
  }
  const whole = { answers: asked.flatMap(({ answers }) => answers), silent: asked.flatMap(({ silent }) => silent) };
  return { recipients, nextPageToken, total, recoveringLanes: await unanswered(parts, whole) };
}

async function askOne<T>({ logger }: ClusterQueueParts, worker: Worker, call: (queue: Queue) => Promise<T>): Promise<Asked<T>> {
  try {
    return { answers: [await worker.ask(call)], silent: [] };
  } catch (error) {
    if ((error as Error).name === 'Refused') throw error;
    logger.warn({ worker: worker.name, reason: reasonOf(error) }, 'delivery.queue.unanswered');
    return { answers: [], silent: [{ worker, reason: reasonOf(error) }] };
  }
}

const MAX_SITES = 1000;
const WORST = ['open', 'throttled', 'dead', 'suspended'];

/** A site as its workers see it together: the worst state that one of them has found. */
function mergeSites(all: readonly SiteSummary[]): SiteSummary[] {
  const merged = [...Map.groupBy(all, ({ site }) => site)].map(([site, some]): SiteSummary => {
    const worst = some.toSorted((one, other) => WORST.indexOf(other.state) - WORST.indexOf(one.state))[0];
    return {
      site,
      state: worst?.state ?? '',
      recipients: some.reduce((sum, one) => sum + one.recipients, 0),
      connections: some.reduce((sum, one) => sum + one.connections, 0),
      openAtMs: worst?.openAtMs ?? 0,
      lastReply: some.find(({ lastReply }) => lastReply !== '')?.lastReply ?? '',
    };
  });
  return merged.sort((one, other) => other.recipients - one.recipients).slice(0, MAX_SITES);
}

function mergeSummaries(all: readonly SummaryResponse[]): Omit<SummaryResponse, 'recoveringLanes'> {
  const sum = (of: (one: SummaryResponse) => number) => all.reduce((total, one) => total + of(one), 0);
  const oldest = all.map(({ oldestAcceptedAtMs }) => oldestAcceptedAtMs).filter((ms) => ms > 0);
  return {
    live: sum(({ live }) => live),
    ready: sum(({ ready }) => ready),
    deferred: sum(({ deferred }) => deferred),
    active: sum(({ active }) => active),
    notifying: sum(({ notifying }) => notifying),
    oldestAcceptedAtMs: oldest.length === 0 ? 0 : Math.min(...oldest),
    sites: mergeSites(all.flatMap(({ sites }) => sites)),
  };
}

/** Orders are carried out by each owner; one that does not answer is named, and the order may be given again. */
async function order(
  parts: ClusterQueueParts,
  call: (queue: Queue) => Promise<{ readonly recipients: number }>,
): Promise<{ recipients: number }> {
  const { answers, silent } = await askAll(parts, call);
  const recipients = answers.reduce((sum, answer) => sum + answer.recipients, 0);
  if (silent.length === 0) return { recipients };
  const who = silent.map(({ worker, reason }) => `${worker.name} (${reason})`).join(', ');
  throw new Unavailable(`done for ${recipients} recipients; no answer from ${who}: give the order again`);
}

/**
 * The queue of the whole cluster, whichever worker is asked: each is asked for its own lanes. Lanes that nobody answers for, since
 * they are being taken over or their owner is silent, are named in the answers. Cost: one call to each worker.
 */
export function createClusterQueue(parts: ClusterQueueParts): Queue {
  const { own } = parts;
  return {
    ...own,
    list: (request) => list(parts, request),
    async show(request) {
      const asked = await askAll(parts, (queue) => queue.show(request));
      const found = asked.answers.filter((answer) => answer.found);
      return {
        recipients: found.flatMap(({ recipients }) => recipients),
        messageId: found[0]?.messageId ?? '',
        found: found.length > 0,
        recoveringLanes: await unanswered(parts, asked),
      };
    },
    async summary() {
      const asked = await askAll(parts, (queue) => queue.summary());
      return { ...mergeSummaries(asked.answers), recoveringLanes: await unanswered(parts, asked) };
    },
    flush: (request) => order(parts, (queue) => queue.flush(request)),
    delete: (request) => order(parts, (queue) => queue.delete(request)),
  };
}
