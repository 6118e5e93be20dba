import { AdminAction, decodeRecord, type Kind, Result } from '@angarium/records';

/** What was really seen outside of the queue: it believes neither the log nor the services. */
export interface Witness {
  /** A host or a mailbox took a message for a recipient. */
  take(queueId: string, address: string, report: { readonly isReport: boolean; readonly content: Uint8Array; readonly to: string }): void;
  /** It did, and nobody can know: the reply was lost. */
  doubt(queueId: string, address: string): void;
  /** Accepted mail that somebody wants in the log; `isDoubtful`: nobody knows whether it is. */
  accept(values: readonly Uint8Array[], o: { readonly isDoubtful: boolean }): void;
  /** Records that got durable in a lane, at the instant that they did. */
  record(values: readonly Uint8Array[]): void;
  /** The process is gone: what it saw taken and did not write down is taken again. */
  processDied(): void;
  /** By the Message-ID that its sender gave it; undefined: nobody has tried to write it down. */
  queueIdOf(id: string): string | undefined;
  isDoubtful(queueId: string): boolean;
  taken(queueId: string, address: string): number;
  allowed(queueId: string, address: string): number;
  isConcluded(queueId: string, address: string): boolean;
  /** An operator's order to delete it is in a lane. */
  isDeleted(queueId: string, address: string): boolean;
  /** How often a lane got a record of this kind. */
  records(kind: Kind['$case']): number;
  readonly queueIds: ReadonlySet<string>;
  /** Those that are no status reports. */
  readonly letters: ReadonlySet<string>;
  /** Status reports that arrived, by the address that they were sent to. */
  reports(to: string): readonly string[];
}

const EVERYBODY = '*';
const keyOf = (queueId: string, address: string) => `${queueId} ${address}`;

const kindsOf = (values: readonly Uint8Array[]): Kind[] =>
  values.map(decodeRecord).flatMap((decoded) => (decoded.is === 'known' ? [decoded.kind] : []));

function deletionsOf(kind: Kind): string[] {
  if (kind.$case !== 'admin' || kind.value.action !== AdminAction.DELETE) return [];
  const { queueId, addresses } = kind.value;
  return addresses.length === 0 ? [keyOf(queueId, EVERYBODY)] : addresses.map((address) => keyOf(queueId, address));
}

function outcomesOf(kind: Kind): { readonly result: Result; readonly recipient: string }[] {
  if (kind.$case !== 'outcome') return [];
  const { queueId, recipients } = kind.value;
  return recipients.flatMap(({ result, addresses }) => addresses.map((address) => ({ result, recipient: keyOf(queueId, address) })));
}

export function createWitness(): Witness {
  const takes = new Map<string, number>();
  const doubts = new Map<string, number>();
  const counts = new Map<string, number>();
  const finals = new Set<string>();
  const deleted = new Set<string>();
  const delivered = new Set<string>();
  const reports = new Map<string, string[]>();
  const queueIds = new Set<string>();
  const queueIdsById = new Map<string, string>();
  const doubtful = new Set<string>();
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
    accept(values, { isDoubtful }) {
      for (const kind of kindsOf(values)) {
        if (kind.$case !== 'accepted' || kind.value.envelope === undefined) continue;
        const { messageId, queueId } = kind.value.envelope;
        queueIdsById.set(messageId.replace(/^<|>$/g, ''), queueId);
        if (isDoubtful) doubtful.add(queueId);
      }
    },
    queueIdOf: (id) => queueIdsById.get(id),
    isDoubtful: (queueId) => doubtful.has(queueId),
    record(values) {
      const kinds = kindsOf(values);
      for (const kind of kinds) add(counts, kind.$case);
      for (const recipient of kinds.flatMap(deletionsOf)) deleted.add(recipient);
      for (const { result, recipient } of kinds.flatMap(outcomesOf)) {
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
    isDeleted: (queueId, address) => deleted.has(keyOf(queueId, address)) || deleted.has(keyOf(queueId, EVERYBODY)),
    records: (kind) => counts.get(kind) ?? 0,
    reports: (to) => reports.get(to) ?? [],
  };
}
