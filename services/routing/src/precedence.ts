import type { Clock } from '@angarium/runtime';

export interface PrecedenceOptions {
  readonly clock: Clock;
  /** Batches of new mail after which one of bulk mail has its turn. */
  readonly bulkAfterBatches: number;
  /** Longest wait of a batch of bulk mail, whatever new mail does. */
  readonly bulkMaxWaitMs: number;
}

/** New mail before bulk mail, without starving it. */
export interface Precedence {
  /** Around each batch of new mail. */
  newMail<T>(work: () => Promise<T>): Promise<T>;
  /** Waits while new mail is routed, within the limits. */
  bulk<T>(work: () => Promise<T>): Promise<T>;
}

export function createPrecedence({ clock, bulkAfterBatches, bulkMaxWaitMs }: PrecedenceOptions): Precedence {
  const waiting: (() => void)[] = [];
  let busy = 0;
  let sinceBulk = 0;
  const letBulkIn = () => {
    sinceBulk = 0;
    waiting.shift()?.();
  };
  const turn = () =>
    new Promise<void>((resolve) => {
      const go = () => {
        callOff();
        const at = waiting.indexOf(go);
        if (at >= 0) waiting.splice(at, 1);
        resolve();
      };
      const callOff = clock.after(bulkMaxWaitMs, go);
      waiting.push(go);
    });
  return {
    newMail: async (work) => {
      busy++;
      try {
        return await work();
      } finally {
        busy--;
        sinceBulk++;
        if (busy === 0 || sinceBulk >= bulkAfterBatches) letBulkIn();
      }
    },
    bulk: async (work) => {
      if (busy > 0) await turn();
      try {
        return await work();
      } finally {
        if (busy === 0) letBulkIn();
      }
    },
  };
}
