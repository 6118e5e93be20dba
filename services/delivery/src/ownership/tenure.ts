import type { LeaseAction } from '@angarium/lanes';
import type { Core } from '../core.ts';
import { recordDoubts } from '../doubt.ts';
import { type Lane, openLane } from '../lane/lane.ts';
import { crash } from '../pause.ts';
import { endMessage } from '../waiting.ts';
import { laneAt, type Owning, reignOf, tellChange, within } from './state.ts';

/** What follows the wait for transactions when a process ends. */
export const CLOSE_MS = 2_000;
/** The count is read from the blob store; lanes do not wait for that any longer. */
const COUNT_WAIT_MS = 5_000;

/** Begins a lane whose lease is ours, or gives one that has not written `Owner` yet its newer epoch. */
export function begin(owning: Owning, { lane: number, epoch, inherited }: LeaseAction & { readonly do: 'begin' }): void {
  const { core, opening, projection } = owning;
  const held = laneAt(owning, number);
  if (held?.state === 'replaying') {
    held.raise(epoch);
    return;
  }
  if (held !== undefined) giveAway(owning, held);
  owning.troubles.delete(number);
  const isAwaited = opening.has(number);
  opening.set(number, epoch);
  if (isAwaited) return;
  // The count goes with lane 0.
  if (number === 0) owning.counting = owning.counting.then(() => projection.begin(epoch));
  within(core.deps.clock, COUNT_WAIT_MS, owning.counting).then(() => {
    const newest = opening.get(number);
    opening.delete(number);
    if (newest !== undefined) open(owning, { number, epoch: newest, inherited });
  }, crash);
}

function open(
  owning: Owning,
  o: { readonly number: number; readonly epoch: number; readonly inherited: 'released' | 'silent' | 'new' },
): void {
  const { core, member, hooks } = owning;
  const watermark = member.fold.lanes.get(o.number)?.watermark ?? 0;
  core.meters.takeovers.inc({ owner: o.inherited });
  const lane = openLane({ ...o, watermark }, core.deps, hooks);
  core.lanes.push(lane);
  core.lanes.sort((one, other) => one.number - other.number);
  lane.start().then(() => {
    owning.started.add(lane);
    tellChange(owning);
  }, crash);
}

/** Nothing of the lane waits here any more. What is on the wire goes on, and ends without a final dot. */
function forget(core: Core, lane: Lane): void {
  for (const message of lane.fold.messages.values()) endMessage(core, message);
  core.care.forget(lane);
  const ours = `${lane.number}.${lane.epoch}.`;
  for (const [recipient, flight] of [...core.flights.entries()])
    if (!flight.active && flight.attemptId.startsWith(ours)) core.flights.delete(recipient);
}

/** From now on the lane is read no more, and nothing is done for it but to write what became of dots that are out. */
export function giveAway(owning: Owning, lane: Lane): void {
  const { core, projection, formers } = owning;
  core.lanes.splice(core.lanes.indexOf(lane), 1);
  lane.retire();
  forget(core, lane);
  if (lane.number === 0) owning.counting = Promise.all([owning.counting, projection.end()]).then(() => {});
  projection.endLane(lane);
  formers.add(lane);
  settled(lane).then(async () => {
    formers.delete(lane);
    await lane.stop();
    tellChange(owning);
  }, crash);
}

/** Everything that was sent is answered, and what became of it is durable. */
async function settled(lane: Lane): Promise<void> {
  while (lane.wire.size > 0 || lane.queue.pending > 0) {
    await lane.wire.idle();
    await lane.queue.idle();
  }
}

/**
 * Waits for what is on the wire. What is sent and not answered by then is written down: the next owner holds these alone. The
 * hold outlasts the last instant at which their replies can still be written here. On one machine nobody takes the lane before
 * this process ends, so what is not sent yet may go on for `drainMs`.
 */
export async function drain(owning: Owning, lane: Lane): Promise<readonly LeaseAction[]> {
  const { core, isAlone, member } = owning;
  const { clock, config } = core.deps;
  const { drainMs, inDoubtAfterMs, inDoubtHoldMs, graceMs } = config.delivery;
  const firstMs = isAlone ? Math.min(inDoubtAfterMs, drainMs) : inDoubtAfterMs;
  const livesOnMs = isAlone ? drainMs - firstMs : graceMs;
  const recordAll = () => recordDoubts(core, lane, clock.nowMs() + livesOnMs + 3 * CLOSE_MS + inDoubtHoldMs);
  lane.drain();
  forget(core, lane);
  await within(clock, firstMs, lane.wire.idle());
  if (isAlone && lane.wire.size > 0 && lane.state === 'draining') {
    recordAll();
    await within(clock, livesOnMs, lane.wire.idle());
  }
  // Lost meanwhile.
  if (laneAt(owning, lane.number) !== lane) return [];
  giveAway(owning, lane);
  if (!isAlone) recordAll();
  await lane.queue.idle();
  const life = { watermark: lane.watermark, recipients: lane.fold.liveRecipients };
  return member.drained(reignOf(lane), life, owning.now());
}
