import { ControlSnapshot, type Kind, type LaneTable, type LimitOrder, type Suspension } from '@angarium/records';

/** State of `mail.control`: what everybody must know alike. */
export interface ControlFold {
  /**
   * Applies one record, in log order. A snapshot is taken over by a reader that knows nothing yet; to all others it only
   * shows where a reader may start. Kinds of other topics change nothing.
   */
  apply(record: { readonly offset: number; readonly kind: Kind }): void;
  /** 0 before the first record that tells. */
  readonly incarnation: number;
  /** Suspended scopes: "all", "domain:...", "site:...", "tenant:...". */
  readonly suspensions: ReadonlyMap<string, Suspension>;
  /** Values that hold instead of the configured ones, by the names of limits. */
  readonly limitOrders: ReadonlyMap<string, LimitOrder>;
  /** By version. Versions stay as long as `mail.in` may hold mail that is stamped with them. */
  readonly laneTables: ReadonlyMap<number, LaneTable>;
  /** The highest version: what new mail is stamped with. */
  readonly laneTable: LaneTable | undefined;
  /** The whole state as a record. */
  snapshot(): ControlSnapshot;
  /** Trim to here: the last snapshot that said all there was; 0 without one. */
  readonly watermark: number;
}

const byKey =
  <T>(key: (value: T) => string | number) =>
  (one: T, other: T) =>
    key(one) < key(other) ? -1 : Number(key(one) > key(other));

/** The same for whoever knows the same. */
const snapshotOf = (state: Pick<ControlFold, 'incarnation' | 'laneTables' | 'suspensions' | 'limitOrders'>): ControlSnapshot => ({
  incarnation: state.incarnation,
  laneTables: [...state.laneTables.values()].sort(byKey(({ version }) => version)),
  suspensions: [...state.suspensions.values()].sort(byKey(({ scope }) => scope)),
  limitOrders: [...state.limitOrders.values()].sort(byKey(({ name }) => name)),
});

const isSame = (one: ControlSnapshot, other: ControlSnapshot) =>
  Buffer.from(ControlSnapshot.encode(one).finish()).equals(ControlSnapshot.encode(other).finish());

export function createControlFold(): ControlFold {
  const suspensions = new Map<string, Suspension>();
  const limitOrders = new Map<string, LimitOrder>();
  const laneTables = new Map<number, LaneTable>();
  let incarnation = 0;
  let isEmpty = true;
  let watermark = 0;

  const snapshot = (): ControlSnapshot => snapshotOf({ incarnation, laneTables, suspensions, limitOrders });
  const suspend = (suspension: Suspension): void => {
    if (suspension.suspended) suspensions.set(suspension.scope, suspension);
    else suspensions.delete(suspension.scope);
  };
  const order = (limitOrder: LimitOrder): void => {
    if (limitOrder.ordered) limitOrders.set(limitOrder.name, limitOrder);
    else limitOrders.delete(limitOrder.name);
  };
  // A version is immutable: mail that is stamped with it must find the lanes of its first delivery.
  const addTable = (table: LaneTable): void => {
    if (!laneTables.has(table.version)) laneTables.set(table.version, table);
  };
  const takeSnapshot = (taken: ControlSnapshot, offset: number): void => {
    if (isEmpty) {
      incarnation = taken.incarnation;
      for (const table of taken.laneTables) addTable(table);
      for (const suspension of taken.suspensions) suspend(suspension);
      for (const limitOrder of taken.limitOrders) order(limitOrder);
    }
    // One that was overtaken by another record on its way would lose that record.
    if (isSame(taken, snapshot())) watermark = offset;
  };

  return {
    suspensions,
    limitOrders,
    laneTables,
    get incarnation() {
      return incarnation;
    },
    get laneTable() {
      return laneTables.get(Math.max(...laneTables.keys()));
    },
    get watermark() {
      return watermark;
    },
    snapshot,
    apply({ offset, kind }) {
      if (kind.$case === 'controlSnapshot') takeSnapshot(kind.value, offset);
      else if (kind.$case === 'suspension') suspend(kind.value);
      else if (kind.$case === 'limitOrder') order(kind.value);
      else if (kind.$case === 'laneTable') addTable(kind.value);
      else if (kind.$case === 'logIncarnation') incarnation = Math.max(incarnation, kind.value.incarnation);
      else return;
      isEmpty = false;
    },
  };
}
