import type { OwnRequest } from './connection.ts';
import { encodeRecordBatch, readInt64 } from './record-batch.ts';

/*
 * The two requests that carry records, encoded here: Produce version 7 and Fetch version 11, which brokers from 2.3 to 4.x
 * know. kafkajs makes an object of a dozen fields of each record.
 */

const ALL_REPLICAS = -1;
const PRODUCE_VERSION = 7;
const FETCH_VERSION = 11;

export interface PartitionRef {
  readonly topic: string;
  readonly partition: number;
}

export const partitionKey = ({ topic, partition }: PartitionRef): string => `${topic}/${partition}`;

/** One batch for one partition. */
export interface ProducedBatch extends PartitionRef {
  readonly values: readonly Uint8Array[];
}

/** What the response says of one partition. */
export interface Produced extends PartitionRef {
  readonly errorCode: number;
  readonly baseOffset: number;
}

/** Reads integers and texts one after the other. */
class Reader {
  readonly octets: Buffer;
  at = 0;
  constructor(octets: Buffer) {
    this.octets = octets;
  }
  int16(): number {
    this.at += 2;
    return this.octets.readInt16BE(this.at - 2);
  }
  int32(): number {
    this.at += 4;
    return this.octets.readInt32BE(this.at - 4);
  }
  int64(): number {
    this.at += 8;
    return readInt64(this.octets, this.at - 8);
  }
  text(): string {
    const octets = this.int16();
    this.at += Math.max(0, octets);
    return this.octets.toString('utf8', this.at - Math.max(0, octets), this.at);
  }
  octetString(): Buffer {
    const octets = Math.max(0, this.int32());
    this.at += octets;
    return this.octets.subarray(this.at - octets, this.at);
  }
  list<T>(read: () => T): T[] {
    return Array.from({ length: Math.max(0, this.int32()) }, read);
  }
}

/** Writes into a buffer that is large enough. */
class Writer {
  readonly octets: Buffer;
  at = 0;
  constructor(size: number) {
    this.octets = Buffer.allocUnsafe(size);
  }
  int16(value: number): this {
    this.at = this.octets.writeInt16BE(value, this.at);
    return this;
  }
  int32(value: number): this {
    this.at = this.octets.writeInt32BE(value, this.at);
    return this;
  }
  int64(value: number): this {
    this.at = this.octets.writeBigInt64BE(BigInt(value), this.at);
    return this;
  }
  int8(value: number): this {
    this.at = this.octets.writeInt8(value, this.at);
    return this;
  }
  text(value: string): this {
    const octets = Buffer.byteLength(value);
    this.int16(octets);
    this.at += this.octets.write(value, this.at);
    return this;
  }
  end(): Buffer {
    return this.octets.subarray(0, this.at);
  }
}

/**
 * Asks all in-sync replicas (acks -1) for batches of partitions that one broker leads; it waits for the other replicas no
 * longer than the time limit. The response may name any partition, or none.
 */
export function produceRequest(batches: readonly ProducedBatch[], timeoutMs: number): OwnRequest<readonly Produced[]> {
  const topics = Map.groupBy(batches, ({ topic }) => topic);
  const parts = [new Writer(16).int16(-1).int16(ALL_REPLICAS).int32(timeoutMs).int32(topics.size).end()];
  for (const [topic, some] of topics) {
    parts.push(new Writer(8 + Buffer.byteLength(topic)).text(topic).int32(some.length).end());
    for (const { partition, values } of some) {
      const batch = encodeRecordBatch(values);
      parts.push(new Writer(8).int32(partition).int32(batch.length).end(), batch);
    }
  }
  return { apiName: 'Produce', apiVersion: PRODUCE_VERSION, body: Buffer.concat(parts), decode: decodeProduced };
}

function decodeProduced(payload: Buffer): readonly Produced[] {
  const reader = new Reader(payload);
  return reader
    .list(() => {
      const topic = reader.text();
      return reader.list(() => {
        const produced = { topic, partition: reader.int32(), errorCode: reader.int16(), baseOffset: reader.int64() };
        reader.at += 16;
        return produced;
      });
    })
    .flat();
}

export interface FetchedPartition extends PartitionRef {
  readonly fetchOffset: number;
  readonly maxOctets: number;
}

export interface FetchArgs {
  readonly partitions: readonly FetchedPartition[];
  /** How long the broker waits for the first octet when there is nothing. */
  readonly waitMs: number;
  readonly maxOctets: number;
}

export interface Fetched extends PartitionRef {
  readonly errorCode: number;
  readonly highWatermark: number;
  /** Record batches, a view. */
  readonly octets: Buffer;
}

export interface FetchResponse {
  readonly errorCode: number;
  readonly partitions: readonly Fetched[];
}

/** Partitions in their order: what is first is served first, and with at least one whole batch. */
export function fetchRequest({ partitions, waitMs, maxOctets }: FetchArgs): OwnRequest<FetchResponse> {
  const size = partitions.reduce((sum, { topic }) => sum + 64 + Buffer.byteLength(topic), 64);
  const writer = new Writer(size).int32(-1).int32(waitMs).int32(1).int32(maxOctets).int8(0).int32(0).int32(-1);
  writer.int32(partitions.length);
  for (const { topic, partition, fetchOffset, maxOctets: most } of partitions)
    writer.text(topic).int32(1).int32(partition).int32(-1).int64(fetchOffset).int64(-1).int32(most);
  const body = writer.int32(0).text('').end();
  return { apiName: 'Fetch', apiVersion: FETCH_VERSION, body, decode: decodeFetched };
}

function decodeFetched(payload: Buffer): FetchResponse {
  const reader = new Reader(payload);
  reader.int32();
  const errorCode = reader.int16();
  reader.int32();
  const partitions = reader.list(() => {
    const topic = reader.text();
    return reader.list(() => {
      const partition = reader.int32();
      const code = reader.int16();
      const highWatermark = reader.int64();
      reader.at += 16;
      reader.list(() => {
        reader.at += 16;
      });
      reader.int32();
      return { topic, partition, errorCode: code, highWatermark, octets: reader.octetString() };
    });
  });
  return { errorCode, partitions: partitions.flat() };
}
