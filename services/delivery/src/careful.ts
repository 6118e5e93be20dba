import type { LiveMessage } from '@angarium/lanes';
import type { DeliveryDeps } from './deps.ts';
import { messageKey } from './flights.ts';
import type { Lane } from './lane/lane.ts';

/**
 * Finds the message that kills its worker. After two owners in a row that died young, a lane announces each attempt in its
 * journal before it is made, one at a time over all such lanes, for as long as a young death takes. Who was announced and never
 * heard of again by three owners is set aside, and rings.
 */
export interface Care {
  /** The lane was just taken over. */
  begin(lane: Lane): void;
  /** Runs an attempt, alone and announced where its lane must be careful. Undefined: not made, the lane is ours no more. */
  run<T>(lane: Lane, message: LiveMessage, attempt: () => Promise<T>): Promise<T | undefined>;
  isSetAside(message: LiveMessage): boolean;
  /** Recipients of the messages that are set aside. */
  recipientsSetAside(): number;
  /** The lane is ours no more. */
  forget(lane: Lane): void;
  /** An operator wants it tried all the same, or it is no more. */
  release(message: LiveMessage): void;
}

const DEATHS = 2;
const OWNERS = 3;
const YOUNG_MS = 60_000;

export function createCare({ clock, logger }: DeliveryDeps): Care {
  /** Careful lanes, and when that is over. */
  const careful = new Map<Lane, Promise<void>>();
  /** By message: where it is. */
  const setAside = new Map<string, { readonly lane: Lane; readonly queueId: string }>();
  const ends = new Map<Lane, () => void>();
  let turn: Promise<unknown> = Promise.resolve();

  const announced = async <T>(lane: Lane, message: LiveMessage, attempt: () => Promise<T>): Promise<T | undefined> => {
    const { queueId } = message;
    const offset = lane.append({ $case: 'trying', value: { epoch: lane.epoch, queueId } });
    const isRead = await offset.then(lane.readTo).then(
      () => true,
      () => false,
    );
    return isRead ? attempt() : undefined;
  };
  return {
    begin(lane) {
      const { recentDeaths, suspects, messages } = lane.fold;
      for (const [queueId, { owners }] of suspects) {
        const message = messages.get(queueId);
        if (message === undefined || owners < OWNERS) continue;
        setAside.set(messageKey(message), { lane, queueId });
        const cure = 'look at the message; flush it to try it again, or delete it';
        logger.error({ queueId, lane: lane.number, owners, cure }, 'delivery.message.set_aside');
      }
      if (recentDeaths < DEATHS) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      careful.set(lane, promise);
      logger.warn({ lane: lane.number, recentDeaths }, 'delivery.lane.careful');
      const end = () => {
        callOff();
        careful.delete(lane);
        ends.delete(lane);
        resolve();
      };
      const callOff = clock.after(YOUNG_MS, end);
      ends.set(lane, end);
    },
    forget(lane) {
      ends.get(lane)?.();
      for (const message of lane.fold.messages.values()) setAside.delete(messageKey(message));
    },
    run(lane, message, attempt) {
      const isOver = careful.get(lane);
      if (isOver === undefined) return attempt();
      const mine = Promise.race([turn, isOver]).then(() => (careful.has(lane) ? announced(lane, message, attempt) : attempt()));
      turn = mine.catch(() => {});
      return mine;
    },
    recipientsSetAside: () =>
      [...setAside.values()].reduce((sum, { lane, queueId }) => sum + (lane.fold.messages.get(queueId)?.recipients.size ?? 0), 0),
    isSetAside: (message) => setAside.size > 0 && setAside.has(messageKey(message)),
    release: (message) => void setAside.delete(messageKey(message)),
  };
}
