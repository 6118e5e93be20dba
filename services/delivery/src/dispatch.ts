import type { Start } from '@angarium/scheduler';
import type { Core } from './core.ts';
import { crash } from './pause.ts';
import { RESOLVE_SITE } from './sites.ts';
import { createLookUps, startUnit } from './start.ts';

/** Starts what may start. */
export interface Dispatch {
  /** Called after anything that may let something start; the starts follow in the same turn of the event loop. */
  pump(): void;
  /** Starts nothing any more. */
  close(): void;
  /** Resolves when nothing is on its way or `ms` have passed. */
  idle(ms: number): Promise<void>;
  readonly active: number;
}

/** How much may start: a kill now must not leave too many outcomes unrecorded. */
function allowance({ lanes, deps, mayStart }: Core): number {
  const { maxUnacknowledgedOutcomes, maxUnacknowledgedMs } = deps.config.delivery;
  if (!lanes.some(mayStart)) return 0;
  let pending = 0;
  let oldestMs = Number.POSITIVE_INFINITY;
  for (const { queue } of lanes) {
    pending += queue.pending;
    oldestMs = Math.min(oldestMs, queue.oldestMs ?? oldestMs);
  }
  return deps.clock.nowMs() - oldestMs > maxUnacknowledgedMs ? 0 : maxUnacknowledgedOutcomes - pending;
}

/** One timer for all that falls due, set to the earliest. */
function createAlarm({ scheduler, deps: { clock } }: Core, ring: () => void): { set(): void; callOff(): void } {
  let timer: { readonly atMs: number; readonly callOff: () => void } | undefined;
  const callOff = (): void => {
    timer?.callOff();
    timer = undefined;
  };
  return {
    callOff,
    set() {
      const atMs = scheduler.wakeAtMs();
      if (timer?.atMs === atMs) return;
      callOff();
      if (atMs === Number.POSITIVE_INFINITY) return;
      const end = clock.after(Math.max(0, atMs - clock.nowMs()), () => {
        timer = undefined;
        ring();
      });
      timer = { atMs, callOff: end };
    },
  };
}

export function createDispatch(core: Core): Dispatch {
  const { scheduler, deps, quota } = core;
  const { clock } = deps;
  const lookUp = createLookUps(core);
  let active = 0;
  let isClosed = false;
  let isPumping = false;
  let onIdle: () => void = () => {};

  const begin = ({ unit: number, ticket }: Start): void => {
    active++;
    quota?.began(ticket);
    const work = ticket.site.key === RESOLVE_SITE ? lookUp(number, ticket) : startUnit(core, number, ticket);
    work.then(() => {
      active--;
      quota?.ended(ticket);
      if (active === 0) onIdle();
      pump();
    }, crash);
  };
  const startAll = (): void => {
    isPumping = false;
    if (isClosed) return;
    const most = allowance(core);
    // One at a time: what starts takes along what else of its message is ready for the site.
    for (let left = most; left > 0; left--) {
      const [start] = scheduler.next(clock.nowMs(), 1);
      if (start === undefined) break;
      begin(start);
    }
    // The end of an append pumps again; until then an alarm for what is due would ring at once, for ever.
    if (most > 0) alarm.set();
    else alarm.callOff();
  };
  const pump = (): void => {
    if (isPumping || isClosed) return;
    isPumping = true;
    queueMicrotask(startAll);
  };
  const alarm = createAlarm(core, pump);
  return {
    pump,
    get active() {
      return active;
    },
    close() {
      isClosed = true;
      alarm.callOff();
    },
    idle: (ms) =>
      new Promise((resolve) => {
        const callOff = clock.after(ms, resolve);
        onIdle = () => {
          callOff();
          resolve();
        };
        if (active === 0) onIdle();
      }),
  };
}
