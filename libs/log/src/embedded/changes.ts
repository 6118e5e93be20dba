import { checkValues } from '../limits.ts';
import { AppendFailed, type Log, type TopicName } from '../port.ts';
import { ENTRY, ENTRY_HEADER_OCTETS, type Entry } from './format.ts';
import type { PartitionIndex } from './partition.ts';
import type { Reader } from './reader.ts';
import type { Segment, Segments } from './segments.ts';
import type { Space } from './space.ts';
import type { Writer } from './writer.ts';

export interface ChangesDeps {
  readonly indexOf: (topic: TopicName, partition: number) => PartitionIndex;
  readonly writer: Writer;
  readonly segments: Segments;
  readonly reader: Reader;
  readonly space: Space;
  readonly nowMs: () => number;
  readonly onFault: (error: unknown, path: string) => void;
}

const NO_VALUE = new Uint8Array(0);

/** Appends that are refused at the reserve: new mail. What comes of accepted mail may use the rest of the disk. */
const isNewMail = (topic: TopicName): boolean => topic === 'mail.in';

export function createAppend({ indexOf, writer, reader, space, nowMs }: ChangesDeps): Log['append'] {
  return async (topic, partition, values) => {
    checkValues(values);
    const index = indexOf(topic, partition);
    if (!writer.isClosed && isNewMail(topic) && space.isReserved()) throw new AppendFailed('full', { inDoubt: false });
    let first = 0;
    let atMs = 0;
    const entries = (): Entry[] => {
      first = index.next;
      index.next += values.length;
      atMs = Math.max(nowMs(), index.lastAppendedAtMs);
      index.lastAppendedAtMs = atMs;
      const { topic: number } = index;
      return values.map((value, at) => ({ kind: ENTRY.record, topic: number, partition, offset: first + at, atMs, value }));
    };
    const durable = (segment: Segment, positions: readonly number[]) => {
      values.forEach((value, at) => {
        const offset = index.high;
        index.add({ segment: segment.id, position: positions[at] ?? 0, octets: value.length });
        reader.remember(index, { offset, appendedAtMs: atMs, value });
      });
      segment.live += values.length;
      index.waiters.wake();
    };
    const octets = values.reduce((sum, value) => sum + ENTRY_HEADER_OCTETS + value.length, 0);
    await new Promise<void>((resolve, reject) => {
      writer.add({
        entries,
        octets,
        durable: (segment, positions) => {
          durable(segment, positions);
          resolve();
        },
        failed: (error) => {
          // The offsets of the whole batch are free again: all that was written with it failed too.
          index.next = index.high;
          reject(error);
        },
      });
    });
    return first;
  };
}

export function createTrim({ indexOf, writer, segments, onFault }: ChangesDeps): Log['trim'] {
  return async (topic, partition, below) => {
    const index = indexOf(topic, partition);
    const name = `${topic}/${partition}`;
    if (writer.isClosed) throw new AppendFailed('closed', { inDoubt: false });
    if (below > index.high) throw new RangeError(`trim of ${name} below ${below}, high mark ${index.high}`);
    if (below <= index.low) return;
    const give = (): boolean => {
      let isAnyDead = false;
      index.trim(below, (id, records) => {
        const segment = segments.get(id);
        if (segment === undefined) return;
        segment.live -= records;
        if (segment.live === 0) isAnyDead = true;
      });
      return isAnyDead;
    };
    await new Promise<void>((resolve, reject) => {
      writer.add({
        entries: () => [{ kind: ENTRY.lowMark, topic: index.topic, partition, offset: below, atMs: 0, value: NO_VALUE }],
        octets: ENTRY_HEADER_OCTETS,
        durable: () => {
          if (give()) segments.removeDead(writer.newestSegment).catch((error: unknown) => onFault(error, name));
          index.waiters.wake();
          resolve();
        },
        failed: reject,
      });
    });
  };
}
