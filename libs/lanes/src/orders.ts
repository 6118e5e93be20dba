import { type Admin, AdminAction, type InDoubt, type Owner, Result, type Trying } from '@angarium/records';
import type { HeldRecipient } from './message.ts';
import { finish, isCurrent, type Step } from './state.ts';
import { UnreadableRecord } from './unreadable.ts';

export function applyOwner(step: Step, record: Owner): void {
  const { state, offset, atMs } = step;
  const isBarrier = record.epoch > state.epoch;
  isCurrent(step, record.epoch);
  if (isBarrier) {
    state.reign.startedAtMs = atMs;
    state.reign.recentDeaths = record.recentDeaths;
  }
  for (const floor of record.floors) state.floors.raise(state.floors.indexOf(floor), floor.offset, offset);
}

/** Waiting recipients of a message: those named, or all. */
function waiting(step: Step, queueId: string, addresses: readonly string[]): readonly HeldRecipient[] {
  const recipients = step.state.messages.take(queueId)?.recipients;
  if (recipients === undefined) return [];
  const chosen = addresses.length === 0 ? [...recipients.values()] : addresses.map((address) => recipients.get(address));
  return chosen.filter((recipient) => recipient?.state === 'waiting') as HeldRecipient[];
}

export function applyInDoubt(step: Step, { epoch, queueId, addresses, untilMs }: InDoubt): void {
  isCurrent(step, epoch);
  if (untilMs <= step.atMs || addresses.length === 0) return;
  for (const recipient of waiting(step, queueId, addresses)) {
    recipient.heldUntilMs = Math.max(recipient.heldUntilMs, untilMs);
    recipient.heldEpoch = Math.max(recipient.heldEpoch, epoch);
    step.change.rescheduled.push(recipient);
  }
}

export function applyTrying(step: Step, { epoch, queueId }: Trying): void {
  const { state } = step;
  if (!isCurrent(step, epoch) || !state.messages.has(queueId)) return;
  const tried = state.trying.get(queueId);
  if (tried?.epoch !== epoch) state.trying.set(queueId, { epoch, owners: (tried?.owners ?? 0) + 1 });
}

/**
 * Orders are free of epochs. Delete is the final fact "discarded". Expire makes the recipients due and marks them: that
 * they expired is concluded by delivery, since somebody may have to be told. Flush makes them due; a hold stays.
 */
export function applyAdmin(step: Step, { action, queueId, addresses, requestId }: Admin): void {
  const { state, offset } = step;
  if (action !== AdminAction.DELETE && action !== AdminAction.EXPIRE && action !== AdminAction.FLUSH)
    throw new UnreadableRecord(state.lane, offset, `order ${action}`);
  for (const recipient of waiting(step, queueId, addresses)) {
    if (action === AdminAction.DELETE) {
      const lastOutcome = { result: Result.DISCARDED, reply: undefined, relayed: false, remoteHost: '' };
      finish(step, recipient, {
        result: Result.DISCARDED,
        total: 'discarded',
        lastOutcome,
        attemptId: requestId,
        notifyId: '',
        notifyTableVersion: 0,
      });
      continue;
    }
    recipient.dueAtMs = 0;
    if (action === AdminAction.EXPIRE) recipient.expiryForced = true;
    step.change.rescheduled.push(recipient);
  }
}
