import { Worker } from 'node:worker_threads';
import { SqlError } from './error.ts';
import type { Request, Response, StatementResult, Work } from './protocol.ts';

interface Pending {
  readonly resolve: (results: readonly StatementResult[]) => void;
  readonly reject: (error: Error) => void;
}

/** The worker thread as seen from outside: work in, promises out, in order. */
export interface WorkerConnection {
  /** Work of one turn of the event loop goes to the worker as one message. */
  send(work: Work): Promise<readonly StatementResult[]>;
  /** Work sent and not answered. */
  inFlight(): number;
  /** Ends the thread; later work is refused. */
  end(): Promise<void>;
}

export function startWorker(): WorkerConnection {
  const worker = new Worker(new URL('./worker.ts', import.meta.url));
  const pending = new Map<number, Pending>();
  let outbox: Request[] = [];
  let lastId = 0;
  let hasEnded = false;
  // The thread catches what SQLite and the disk do; whatever ends it is a bug, and the process must not go on without it.
  worker.on('error', (cause) => {
    throw new Error('the thread of a database died', { cause });
  });
  worker.on('message', (responses: readonly Response[]) => {
    for (const { id, answer } of responses) {
      const waiter = pending.get(id);
      pending.delete(id);
      if (answer.ok) waiter?.resolve(answer.results);
      else waiter?.reject(new SqlError(answer.code, answer.message));
    }
    if (pending.size === 0) worker.unref();
  });
  worker.unref();
  const post = () => {
    const requests = outbox;
    outbox = [];
    worker.postMessage(requests);
  };
  return {
    send: (work) =>
      new Promise((resolve, reject) => {
        if (hasEnded) throw new SqlError('ERROR', 'the database is closed');
        if (pending.size === 0) worker.ref();
        pending.set(++lastId, { resolve, reject });
        if (outbox.push({ id: lastId, work }) === 1) queueMicrotask(post);
      }),
    inFlight: () => pending.size,
    end: async () => {
      hasEnded = true;
      await worker.terminate();
    },
  };
}
