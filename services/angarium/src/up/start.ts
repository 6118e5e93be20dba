import { resolve } from 'node:path';
import { openFileBlobs } from '@angarium/blob';
import { createDelivery } from '@angarium/delivery';
import { createIngress } from '@angarium/ingress';
import { openEmbeddedLog } from '@angarium/log';
import { createMailbox } from '@angarium/mailbox';
import { createRouting } from '@angarium/routing';
import { connectMailbox, type Directory, type DirectoryAdmin, type Mailbox, serveRpc } from '@angarium/rpc';
import { serveHealth } from '@angarium/runtime';
import { controlAddress } from '../command/control.ts';
import { openLaneTables } from './control.ts';
import type { Base } from './deps.ts';
import type { Part } from './shutdown.ts';

export interface Running {
  readonly directory: Directory;
  readonly admin: DirectoryAdmin;
  readonly addresses: Readonly<Record<'mx' | 'submission' | 'submissions' | 'pop3' | 'pop3s', readonly string[]>> & { readonly metrics: string };
}
