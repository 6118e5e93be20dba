import type { LogFiles } from './files.ts';

export interface SpaceOptions {
  readonly folder: string;
  readonly files: LogFiles;
  readonly nowMs: () => number;
  readonly reserveShare: number;
  readonly reserveOctets: number;
  readonly onFault: (error: unknown, path: string) => void;
}

export interface Space {
  /** Share of the disk that is free: as it was at the last question, looked at anew at most once a second. */
  freeShare(): number;
  /** So little is free that new mail is refused, since what comes of the old must still be written. */
  isReserved(): boolean;
}

const STALE_AFTER_MS = 1000;

/** Free disk space, looked at in the background when somebody asks: after a silence the first answer is an old one. */
export async function watchSpace({ folder, files, nowMs, reserveShare, reserveOctets, onFault }: SpaceOptions): Promise<Space> {
  let space = await files.space(folder);
  let lookedAtMs = nowMs();
  let isLooking = false;
  const look = async () => {
    try {
      space = await files.space(folder);
      lookedAtMs = nowMs();
    } catch (error) {
      onFault(error, folder);
    } finally {
      isLooking = false;
    }
  };
  const fresh = () => {
    if (!isLooking && nowMs() - lookedAtMs >= STALE_AFTER_MS) {
      isLooking = true;
      void look();
    }
    return space;
  };
  return {
    freeShare: () => fresh().freeOctets / space.totalOctets,
    isReserved: () => fresh().freeOctets < Math.min(reserveOctets, reserveShare * space.totalOctets),
  };
}
