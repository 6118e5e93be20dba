import { createControlFold, createLaneTable } from '@angarium/lanes';
import type { Log, LogRecord } from '@angarium/log';
import { decodeRecord, encodeRecord, type LaneTable } from '@angarium/records';
import type { Config } from '@angarium/runtime';

/** Lane tables in force: ingress stamps the newest version, routing looks the stamped one up. */
export interface LaneTables {
  newestVersion(): number;
  byVersion(version: number): LaneTable | undefined;
  /** Follows no longer. */
  close(): Promise<void>;
}

const READ_OCTETS = 1024 ** 2;

/**
 * Reads the lane tables from mail.control, appends a new version where the configuration asks for other lanes, and follows what
 * other processes append.
 *
 * @throws when mail.control holds a record that this release cannot read
 */
export async function openLaneTables(log: Log, { journal }: Config): Promise<LaneTables> {
  const fold = createControlFold();
  let { low: at } = await log.marks('mail.control', 0);
  const apply = (records: readonly LogRecord[]): void => {
    for (const { offset, value } of records) {
      const decoded = decodeRecord(value);
      if (decoded.is === 'known') fold.apply({ offset, kind: decoded.kind });
      else if (decoded.is === 'corrupt' || decoded.critical)
        throw new Error(`mail.control offset ${offset} cannot be read by this release`);
      at = offset + 1;
    }
  };
  const catchUp = async (): Promise<void> => {
    for (let records = await log.read('mail.control', 0, at, READ_OCTETS); records.length > 0; ) {
      apply(records);
      records = await log.read('mail.control', 0, at, READ_OCTETS);
    }
  };
  await catchUp();
  const newest = fold.laneTable;
  if (newest?.lanes !== journal.lanes || newest.localSpread !== journal.localSpread) {
    const table = createLaneTable({ version: (newest?.version ?? 0) + 1, lanes: journal.lanes, localSpread: journal.localSpread });
    await log.append('mail.control', 0, [encodeRecord({ $case: 'laneTable', value: table })]);
    await catchUp();
  }
  const closing = new AbortController();
  const follow = async (): Promise<void> => {
    for await (const records of log.follow('mail.control', 0, at, closing.signal)) apply(records);
  };
  // A control log that cannot be read any more ends the process: it must not go on with an old table.
  const following = follow();
  return {
    newestVersion: () => fold.laneTable?.version ?? 0,
    byVersion: (version) => fold.laneTables.get(version),
    close: async () => {
      closing.abort();
      await following;
    },
  };
}
