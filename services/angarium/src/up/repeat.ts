import type { Clock } from '@angarium/runtime';
import type { Parts } from './shutdown.ts';

/**
 * Runs `work` again, so many ms after its last end as it said, until the process stops; what runs at that time is the last. Begins
 * after `firstMs`. `work` must not reject.
 */
export function repeat(
  clock: Clock,
  parts: Parts,
  o: { readonly name: string; readonly firstMs: number; readonly work: () => Promise<number> },
): void {
  let isOver = false;
  let callOff = () => {};
  const plan = (ms: number) => {
    if (!isOver) callOff = clock.after(ms, () => void o.work().then(plan));
  };
  plan(o.firstMs);
  parts.add(o.name, async () => {
    isOver = true;
    callOff();
  });
}
