/**
 * What was once on disk is missing or changed. At a start nothing was changed by us; at a read only that read fails. The
 * text names file and octet.
 */
export class DamagedLog extends Error {
  override readonly name = 'DamagedLog';
}

export const damagedAt = (path: string, octet: number): DamagedLog =>
  new DamagedLog(`${path}: damaged at octet ${octet}, below what was once on disk; restore the data folder from a backup`);
