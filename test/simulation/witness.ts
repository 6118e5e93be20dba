import { decodeRecord, Result } from '@angarium/records';

/** What was really seen outside of the queue: it believes neither the log nor the services. */
export interface Witness {
  /** A host or a mailbox took a message for a recipient. */
  take(queueId: string, address: string, report: { readonly isReport: boolean; readonly content: Uint8Array; readonly to: string }): void;
  /** It did, and nobody can know: the reply was lost. */
  doubt(queueId: string, address: string): void;
  /** Records that got durable in a lane, at the instant that they did. */
  record(values: readonly Uint8Array[]): void;
  /** The process is gone: what it saw taken and did not write down is taken again. */
  processDied(): void;
  taken(queueId: string, address: string): number;
  allowed(queueId: string, address: string): number;
  isConcluded(queueId: string, address: string): boolean;
  readonly queueIds: ReadonlySet<string>;
  /** Those that are no status reports. */
  readonly letters: ReadonlySet<string>;
  /** Status reports that arrived, by the address that they were sent to. */
  reports(to: string): readonly string[];
}

const keyOf = (queueId: string, address: string) => `${queueId} ${address}`;

function outcomesOf(value: Uint8Array): { readonly result: Result; readonly recipient: string }[] {
  const decoded = decodeRecord(value);
  if (decoded.is !== 'known' || decoded.kind.$case !== 'outcome') return [];
  const { queueId, recipients } = decoded.kind.value;
  return recipients.flatMap(({ result, addresses }) => addresses.map((address) => ({ result, recipient: keyOf(queueId, address) })));
}

export function createWitness(): Witness {
  const takes = new Map<string, number>();
  const doubts = new Map<string, number>();
  const finals = new Set<string>();
  const delivered = new Set<string>();
  const reports = new Map<string, string[]>();
  const queueIds = new Set<string>();
  let takenByThisProcess: string[] = [];
  const add = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
  const letters = new Set<string>();
  return {
    queueIds,
    letters,
    take(queueId, address, { isReport, content, to }) {
      const key = keyOf(queueId, address);
      queueIds.add(queueId);
      add(takes, key);
      takenByThisProcess.push(key);
      if (!isReport) letters.add(queueId);
      if (isReport) reports.set(to, [...(reports.get(to) ?? []), Buffer.from(content).toString()]);
    },
    doubt: (queueId, address) => void add(doubts, keyOf(queueId, address)),
    record(values) {
      for (const { result, recipient } of values.flatMap(outcomesOf)) {
        if (result !== Result.DEFERRED) finals.add(recipient);
        if (result === Result.DELIVERED) delivered.add(recipient);
      }
    },
    processDied() {
      for (const key of takenByThisProcess) if (!delivered.has(key)) add(doubts, key);
      takenByThisProcess = [];
    },
    taken: (queueId, address) => takes.get(keyOf(queueId, address)) ?? 0,
    allowed: (queueId, address) => 1 + (doubts.get(keyOf(queueId, address)) ?? 0),
    isConcluded: (queueId, address) => finals.has(keyOf(queueId, address)),
    reports: (to) => reports.get(to) ?? [],
  };
}
