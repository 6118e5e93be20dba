import { createControlFold, createLaneTable } from '@angarium/lanes';
import type { Log } from '@angarium/log';
import { decodeRecord, encodeRecord, type LaneTable } from '@angarium/records';
import type { Config } from '@angarium/runtime';

/** Lane tables in force: ingress stamps the newest version, routing looks the stamped one up. */
export interface LaneTables {
  newestVersion(): number;
  byVersion(version: number): LaneTable | undefined;
}

const READ_OCTETS = 1024 ** 2;

/**
 * Reads the lane tables from mail.control and appends a new version where the configuration asks for other lanes.
 *
 * @throws when mail.control holds a record that this release cannot read
 */
export async function openLaneTables(log: Log, { journal }: Config): Promise<LaneTables> {
  const fold = createControlFold();
  let { low: at } = await log.marks('mail.control', 0);
  const catchUp = async () => {
    for (;;) {
      const records = await log.read('mail.control', 0, at, READ_OCTETS);
      if (records.length === 0) return;
      for (const { offset, value } of records) {
        const decoded = decodeRecord(value);
        if (decoded.is === 'known') fold.apply({ offset, kind: decoded.kind });
        else if (decoded.is === 'corrupt' || decoded.critical)
          throw new Error(`mail.control offset ${offset} cannot be read by this release`);
        at = offset + 1;
      }
    }
  };
  await catchUp();
  const newest = fold.laneTable;
  if (newest?.lanes !== journal.lanes || newest.localSpread !== journal.localSpread) {
    const table = createLaneTable({ version: (newest?.version ?? 0) + 1, lanes: journal.lanes, localSpread: journal.localSpread });
    await log.append('mail.control', 0, [encodeRecord({ $case: 'laneTable', value: table })]);
    await catchUp();
  }
  return { newestVersion: () => fold.laneTable?.version ?? 0, byVersion: (version) => fold.laneTables.get(version) };
}
