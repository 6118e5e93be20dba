/** New mail before bulk mail, without starving it. */
export interface Precedence {
  /** Around each batch of new mail. */
  newMail<T>(work: () => Promise<T>): Promise<T>;
  /** Waits while new mail is routed, but for no more than `bulkAfterBatches` batches of it. */
  bulk<T>(work: () => Promise<T>): Promise<T>;
}

export function createPrecedence(bulkAfterBatches: number): Precedence {
  const waiting: (() => void)[] = [];
  let busy = 0;
  let sinceBulk = 0;
  const letBulkIn = () => {
    sinceBulk = 0;
    waiting.shift()?.();
  };
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
      if (busy > 0) await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await work();
      } finally {
        if (busy === 0) letBulkIn();
      }
    },
  };
}
