import type { LiveRecipient } from '@angarium/lanes';
import { NextHopKind, Result } from '@angarium/records';
import type { Config } from '@angarium/runtime';
import { NOTIFY } from '@angarium/smtp';

/** What became of a recipient, as far as somebody may have to be told. */
export interface Fact {
  readonly result: Result;
  readonly relayed: boolean;
}

export type NotifyConfig = Pick<Config['delivery'], 'warnAfterMs' | 'lifetimeMs' | 'bounceLifetimeMs'>;

/** Queue lifetime of the recipient's message, from when it came into the lane. */
export function expiresAtMs({ message }: LiveRecipient, config: NotifyConfig): number {
  const isBounce = message.envelope.reversePath === '';
  return message.enqueuedAtMs + (isBounce ? config.bounceLifetimeMs : config.lifetimeMs);
}

function wantsDelay({ notify, message, delayNotified }: LiveRecipient, { warnAfterMs }: NotifyConfig, nowMs: number): boolean {
  if (delayNotified || nowMs - message.enqueuedAtMs < warnAfterMs) return false;
  return notify === 0 ? warnAfterMs > 0 : (notify & NOTIFY.DELAY) !== 0;
}

/**
 * Whether the sender is to be told (RFC 3461 §5.2). Nobody is told about mail with the null reverse-path (RFC 5321 §6.1).
 *
 * Success: of final delivery, and of relaying to a host that does not take the request over (RFC 3461 §5.2.2). NOTIFY and
 * ORCPT of an alias are passed on to each address behind it (RFC 3461 §5.2.7), so an alias itself asks for nothing.
 */
export function wantsNotification(recipient: LiveRecipient, fact: Fact, config: NotifyConfig, nowMs: number): boolean {
  const { notify, message, nextHop } = recipient;
  if (message.envelope.reversePath === '' || (notify & NOTIFY.NEVER) !== 0) return false;
  if (fact.result === Result.DEFERRED) return wantsDelay(recipient, config, nowMs);
  if (fact.result === Result.DELIVERED) return (notify & NOTIFY.SUCCESS) !== 0 && (fact.relayed || nextHop?.kind === NextHopKind.MAILBOX);
  if (fact.result === Result.DISCARDED) return false;
  return notify === 0 || (notify & NOTIFY.FAILURE) !== 0;
}

/** Instant from which on somebody may have to be told about a recipient that still waits: of the delay, or that it has expired. */
export function nextWordAtMs(recipient: LiveRecipient, config: NotifyConfig): number {
  const isToldOfDelay = wantsNotification(recipient, { result: Result.DEFERRED, relayed: false }, config, Number.POSITIVE_INFINITY);
  const delayAtMs = isToldOfDelay ? recipient.message.enqueuedAtMs + config.warnAfterMs : Number.POSITIVE_INFINITY;
  return Math.min(delayAtMs, expiresAtMs(recipient, config));
}
