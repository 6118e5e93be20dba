import type { Config } from '@angarium/runtime';
import type { PoolOptions } from '@angarium/scheduler';
import { MAILBOX_SITE } from './transport/mailbox.ts';

export type PoolName = 'remote' | 'mailbox' | 'resolve';

/** Where units wait whose next hop is not looked up; no host is named like it. */
export const RESOLVE_SITE = ' resolve';

export const poolOf = (site: string): PoolName => (site === MAILBOX_SITE ? 'mailbox' : site === RESOLVE_SITE ? 'resolve' : 'remote');

/** Share of the connections that sites with many of them leave to sites with none. */
const RESERVE = 0.2;

export function poolsOf(config: Config['delivery']): Readonly<Record<PoolName, PoolOptions>> {
  const { maxConnections, siteConnections, siteInitialConnections, mailboxConcurrency, resolveConcurrency } = config;
  const throttleMs = config.throttledSitePauseMs;
  /** A service of our own: all of it from the first moment. */
  const own = (limit: number) => ({ limit, reserve: 0, siteInitial: limit, siteLimit: limit, throttleMs });
  return {
    remote: {
      limit: maxConnections,
      reserve: Math.floor(maxConnections * RESERVE),
      siteInitial: Math.min(siteInitialConnections, siteConnections),
      siteLimit: siteConnections,
      probeMs: config.deadSiteProbeMs,
      throttleMs,
      tenantShare: 1,
      startRecipients: config.maxRecipientsPerTransaction,
    },
    mailbox: {
      ...own(mailboxConcurrency),
      probeMs: config.mailboxProbeMs,
      tenantShare: 1,
      startRecipients: config.maxRecipientsPerMailboxDelivery,
    },
    // Names that nobody answers for hold a place for many seconds: no tenant fills them all.
    resolve: { ...own(resolveConcurrency), probeMs: config.ownFaultRetryMs, tenantShare: 0.5, startRecipients: Number.POSITIVE_INFINITY },
  };
}
