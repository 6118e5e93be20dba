import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Core } from './core.ts';
import { REFUSALS } from './replies.ts';
import type { IngressConnection } from './smtp/connection.ts';

/** Ends a session that is past a deadline. A session that waits for us has none. */
export function enforceDeadlines({ config, clock }: Core, session: IngressConnection): void {
  const now = clock.nowMs();
  const waited = now - session.waitingSinceMs;
  switch (session.waiting) {
    case 'us':
      return;
    case 'handshake':
      if (waited > config.tlsHandshakeTimeoutMs) session.destroy();
      return;
    case 'data':
      if (waited > config.dataTimeoutMs || now - session.dataSinceMs > config.maxTransactionMs) session.end(REFUSALS.timedOut);
      return;
    case 'greeting':
    case 'command': {
      const limit = session.waiting === 'greeting' ? config.greetingTimeoutMs : config.commandTimeoutMs;
      if (now - session.startedMs > config.maxSessionMs) session.end(REFUSALS.sessionTooLong);
      else if (waited > limit) session.end(REFUSALS.timedOut);
    }
  }
}

/** Looks at all sessions and at the event loop every `sweepMs`: one timer for all. The returned function ends that. */
export function startSweep(core: Core, sessions: () => readonly IngressConnection[]): () => void {
  const lag = monitorEventLoopDelay({ resolution: 20 });
  lag.enable();
  let cancel = () => {};
  const sweep = () => {
    for (const session of sessions()) enforceDeadlines(core, session);
    core.isLate = lag.max / 1e6 > core.config.maxEventLoopLagMs;
    lag.reset();
    core.blocks.trim();
    cancel = core.clock.after(core.config.sweepMs, sweep);
  };
  cancel = core.clock.after(core.config.sweepMs, sweep);
  return () => {
    cancel();
    lag.disable();
  };
}
