import { Result } from '@angarium/records';
import type { Ticket } from '@angarium/scheduler';
import type { Finding } from './attempt/conclude.ts';
import { momentOf } from './attempt/record.ts';
import type { Core } from './core.ts';
import { expiresAtMs, wantsNotification } from './notify/rules.ts';
import type { RemoteReply } from './transport/port.ts';
import { recordAtOnce, reduce } from './waiting.ts';

/**
 * A site that is dead has just been tried in vain: what waits for it longer than its lifetime has expired by that, and who waits
 * long enough to be told of the delay is told. Nothing that is suspended, or was when the attempt began, has been tried.
 */
export function expireSite(core: Core, { site, startedAtMs }: Ticket, reply: RemoteReply): void {
  if (site.state !== 'dead' || startedAtMs < core.resumedAtMs) return;
  const moment = momentOf(core);
  const { nowMs, config } = moment;
  // Most wait for longer yet: they are not looked at one by one.
  for (const number of core.scheduler.unitsAt(site.key).filter((one) => core.units.wordAtMs(one) <= nowMs)) {
    const unit = core.units.open(number);
    if (unit?.lane.state !== 'live' || core.scheduler.gate(number, nowMs).gate === 'suspended') continue;
    const dueAtMs = Math.max(core.scheduler.find(number)?.dueAtMs ?? 0, nowMs);
    const findings = unit.recipients.flatMap((recipient): readonly Finding[] => {
      const base = { recipient, reply, relayed: false, attempts: recipient.attempts };
      if (nowMs >= expiresAtMs(recipient, config)) return [{ ...base, result: Result.EXPIRED, dueAtMs: 0 }];
      const isTold = wantsNotification(recipient, { result: Result.DEFERRED, relayed: false }, config, nowMs);
      return isTold ? [{ ...base, result: Result.DEFERRED, dueAtMs }] : [];
    });
    if (findings.length === 0) continue;
    const concluded = new Set(findings.map(({ recipient }) => recipient));
    reduce(
      core,
      number,
      unit.recipients.filter((recipient) => !concluded.has(recipient)),
    );
    recordAtOnce(core, unit.lane, findings);
  }
}
