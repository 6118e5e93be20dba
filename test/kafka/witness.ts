import assert from 'node:assert/strict';
import { AppendFailed, type Log, type TopicName } from '@angarium/log';

const READ_OCTETS = 4 * 1024 ** 2;

interface Acknowledged {
  readonly topic: TopicName;
  readonly partition: number;
  readonly offset: number;
}

/** Appends unique records all the time and keeps what it was told of each. */
export interface Load {
  stop(): Promise<void>;
  readonly acknowledged: ReadonlyMap<string, Acknowledged>;
  /** Records that were refused, and whether their refusal left it open. */
  readonly refused: ReadonlyMap<string, AppendFailed>;
  /** Longest time without any acknowledgement, so far or since the last look. */
  longestSilenceMs(): number;
}

export interface LoadOptions {
  readonly callers: number;
  /** Explicit partitions of mail.lane, beside the free choice of mail.in. */
  readonly lanes: number;
  readonly octets: number;
}

export function startLoad(log: Log, { callers, lanes, octets }: LoadOptions): Load {
  const acknowledged = new Map<string, Acknowledged>();
  const refused = new Map<string, AppendFailed>();
  let isStopped = false;
  let lastMs = performance.now();
  let longestMs = 0;
  const note = () => {
    const nowMs = performance.now();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
  };
  const call = async (caller: number) => {
    for (let number = 0; !isStopped; number++) {
      const topic = (caller + number) % 2 === 0 ? 'mail.in' : 'mail.lane';
      const partition = topic === 'mail.in' ? log.anyPartition(topic) : (caller * 7 + number) % lanes;
      const id = `${caller}-${number}`;
      try {
        const offset = await log.append(topic, partition, [Buffer.from(id.padEnd(octets))]);
        acknowledged.set(id, { topic, partition, offset });
        note();
      } catch (error) {
        if (!(error instanceof AppendFailed)) throw error;
        refused.set(id, error);
      }
    }
  };
  const calls = Array.from({ length: callers }, (_, caller) => call(caller));
  return {
    acknowledged,
    refused,
    longestSilenceMs: () => {
      note();
      const longest = longestMs;
      longestMs = 0;
      return longest;
    },
    stop: async () => {
      isStopped = true;
      await Promise.all(calls);
    },
  };
}

/** Every record of a topic: text by "partition/offset". */
export async function readTopic(log: Log, topic: TopicName): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (let partition = 0; partition < log.partitions(topic); partition++) {
    for (let { low: at } = await log.marks(topic, partition); ; ) {
      const records = await log.read(topic, partition, at, READ_OCTETS);
      if (records.length === 0) break;
      for (const { offset, value } of records) found.set(`${partition}/${offset}`, Buffer.from(value).toString().trim());
      at += records.length;
    }
  }
  return found;
}

export interface Count {
  readonly acknowledged: number;
  readonly copies: number;
  readonly refused: number;
  /** Refused in doubt, and there all the same. */
  readonly doubtsKept: number;
}

/**
 * Compares what the load was told with what is in the log. Whatever was acknowledged is at its offset; whatever was refused
 * without doubt is nowhere.
 */
export async function countRecords(log: Log, { acknowledged, refused }: Load): Promise<Count> {
  const topics = { 'mail.in': await readTopic(log, 'mail.in'), 'mail.lane': await readTopic(log, 'mail.lane') };
  const lost = [...acknowledged].filter(
    ([id, { topic, partition, offset }]) => topics[topic as keyof typeof topics].get(`${partition}/${offset}`) !== id,
  );
  assert.deepEqual(lost.slice(0, 5), [], `${lost.length} of ${acknowledged.size} acknowledged records are lost`);
  const all = [...topics['mail.in'].values(), ...topics['mail.lane'].values()];
  const ids = new Set(all);
  const surprises = [...refused].filter(([id, { inDoubt }]) => !inDoubt && ids.has(id));
  assert.deepEqual(surprises.slice(0, 5), [], 'records that were refused without doubt are in the log');
  const doubtsKept = [...refused.keys()].filter((id) => ids.has(id)).length;
  return { acknowledged: acknowledged.size, copies: all.length - ids.size, refused: refused.size, doubtsKept };
}
