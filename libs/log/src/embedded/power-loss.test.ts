import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { CONTRACT_PARTITIONS } from '../contract.ts';
import { AppendFailed, type LogRecord } from '../port.ts';
import { type EmbeddedLog, openEmbeddedLog } from './embedded-log.ts';
import { createLossyDisk, type LossyDisk } from './fixtures/lossy-disk.ts';

/** Uniform in [0, 1), the same for the same seed. */
function createRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const LANES = [0, 1, 2];

/** What was promised of one lane. */
interface Promised {
  /** By offset: acknowledged, or seen by a reader. */
  readonly kept: Map<number, string>;
  /** Refused in doubt, or without an answer, since the last acknowledgement: may be there. */
  readonly inDoubt: Set<string>;
  low: number;
  /** A trim without a good answer may have gone as far. */
  maxLow: number;
}

interface Life {
  readonly log: EmbeddedLog;
  readonly promised: readonly Promised[];
  readonly random: () => number;
  readonly makeValue: () => string;
}

const textOf = ({ value }: LogRecord): string => Buffer.from(value).toString();

async function append({ log, promised, random, makeValue }: Life): Promise<void> {
  const lane = Math.floor(random() * LANES.length);
  const values = Array.from({ length: 1 + Math.floor(random() * 3) }, makeValue);
  const { kept, inDoubt } = promised[lane] as Promised;
  try {
    const first = await log.append('mail.lane', lane, values.map(Buffer.from));
    values.forEach((value, at) => {
      kept.set(first + at, value);
    });
    // A batch that got durable behind a failed one tells where that one is cut.
    for (const one of promised) one.inDoubt.clear();
  } catch (error) {
    assert.ok(error instanceof AppendFailed);
    if (error.inDoubt) for (const value of values) inDoubt.add(value);
  }
}

async function trim({ log, promised, random }: Life): Promise<void> {
  const lane = Math.floor(random() * LANES.length);
  const { low, high } = await log.marks('mail.lane', lane);
  const below = low + Math.floor(random() * (high - low + 1));
  const one = promised[lane] as Promised;
  one.maxLow = Math.max(one.maxLow, below);
  await log.trim('mail.lane', lane, below).then(
    () => {
      one.low = Math.max(one.low, below);
    },
    (error: unknown) => assert.ok(error instanceof AppendFailed),
  );
}

/** Whatever was promised is there, and nothing but that and what is in doubt. What is seen now is promised from now on. */
async function check(log: EmbeddedLog, promised: readonly Promised[]): Promise<void> {
  for (const lane of LANES) {
    const one = promised[lane] as Promised;
    const { low, high } = await log.marks('mail.lane', lane);
    assert.ok(low >= one.low && low <= one.maxLow, `low mark ${low} of ${one.low}..${one.maxLow}`);
    const records = await log.read('mail.lane', lane, low, Number.POSITIVE_INFINITY);
    assert.equal(records.length, high - low);
    for (const [offset, value] of one.kept) {
      if (offset < low) one.kept.delete(offset);
      else assert.equal(records[offset - low] && textOf(records[offset - low] as LogRecord), value, `${lane}/${offset}`);
    }
    for (const record of records) {
      assert.ok(one.kept.has(record.offset) || one.inDoubt.has(textOf(record)), `${lane}/${record.offset} was refused`);
      one.kept.set(record.offset, textOf(record));
    }
    one.inDoubt.clear();
    one.low = low;
    one.maxLow = low;
  }
}

const open = (folder: string, disk: LossyDisk, random: () => number): Promise<EmbeddedLog> =>
  openEmbeddedLog({
    folder,
    partitions: CONTRACT_PARTITIONS,
    ...(random() < 0.5 ? { segmentOctets: 3000 } : { segmentOctets: 30_000, clearOctets: 5000 }),
    reserveShare: 0,
    reserveOctets: 0,
    clock: { nowMs: () => 0, after: () => () => {} },
    logger: { warn: () => {}, error: () => {} },
    files: disk.files,
  });

/** One life of the log: from a start to its sudden end. */
async function live(folder: string, disk: LossyDisk, promised: readonly Promised[], random: () => number): Promise<void> {
  const log = await open(folder, disk, random);
  try {
    await check(log, promised);
    disk.failSync = () => random() < 0.15;
    disk.stepsLeft = 5 + Math.floor(random() * 60);
    const makeValue = () => `${random()}`.padEnd(random() * 600, '.');
    const life: Life = { log, promised, random, makeValue };
    while (disk.stepsLeft > 0)
      await Promise.all(Array.from({ length: 1 + Math.floor(random() * 4) }, () => (random() < 0.8 ? append(life) : trim(life))));
  } finally {
    disk.stepsLeft = 0;
    await log.close();
  }
}

/** A start with a sudden end. */
async function startInVain(folder: string, disk: LossyDisk, random: () => number): Promise<void> {
  disk.stepsLeft = Math.floor(random() * 6);
  const log = await open(folder, disk, random).catch((error: unknown) => assert.equal((error as { code?: string }).code, 'EIO'));
  disk.stepsLeft = 0;
  await log?.close();
}

test('a kill or a loss of power at any step: what was acknowledged or seen is there, what was refused is not', {
  timeout: 60_000,
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'angarium-log-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const random = createRandom(seed);
      const promised = LANES.map((): Promised => ({ kept: new Map(), inDoubt: new Set(), low: 0, maxLow: 0 }));
      let disk = createLossyDisk(random);
      for (let life = 0; life < 6; life++) {
        await live(folder, disk, promised, random);
        disk = random() < 0.5 ? disk.afterKill() : disk.afterPowerLoss();
        if (random() < 0.3) {
          await startInVain(folder, disk, random);
          disk = random() < 0.5 ? disk.afterKill() : disk.afterPowerLoss();
        }
      }
    }),
    { numRuns: 150 },
  );
});
