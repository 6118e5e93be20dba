import { DELIVERY } from './delivery.ts';
import { INGRESS } from './ingress.ts';
import { MAILBOX } from './mailbox.ts';
import { MESSAGE } from './message.ts';
import { OVERVIEW } from './overview.ts';
import type { Dashboard } from './panel.ts';
import { QUEUE } from './queue.ts';
import { STORES } from './stores.ts';

/** In the order that somebody on duty opens them. */
export const DASHBOARDS: readonly Dashboard[] = [OVERVIEW, INGRESS, QUEUE, DELIVERY, MAILBOX, STORES, MESSAGE];
