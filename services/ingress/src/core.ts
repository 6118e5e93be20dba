import { createQueueIds } from '@angarium/records';
import { type Config, createGuesses, type Guesses } from '@angarium/runtime';
import type { IngressDeps } from './deps.ts';
import { type Clients, createClients } from './limits/clients.ts';
import { createRecipientRoom, type RecipientRoom } from './limits/recipient-room.ts';
import { createRelayNetworks, type RelayNetworks } from './limits/relay-networks.ts';
import { Unacknowledged } from './limits/unacknowledged.ts';
import { createQuota, type Quota } from './limits/windows.ts';
import { type Blocks, createBlocks } from './message/blocks.ts';
import { createMeters, type Meters } from './meters.ts';
import { createRecipientCheck, type RecipientCheck } from './session/recipient-check.ts';

/** What all sessions of all listeners share. */
export interface Core extends Pick<IngressDeps, 'clock' | 'logger' | 'tracing' | 'log' | 'blobs' | 'directory' | 'laneTableVersion'> {
  readonly config: Config['ingress'];
  readonly hostname: string;
  readonly meters: Meters;
  readonly clients: Clients;
  readonly relayNetwork: RelayNetworks;
  /** Of balancers. */
  readonly isProxy: RelayNetworks;
  readonly unacknowledged: Unacknowledged;
  readonly blocks: Blocks;
  readonly recipientRoom: RecipientRoom;
  readonly quota: Quota;
  readonly guesses: Guesses;
  readonly checkRecipient: RecipientCheck;
  readonly nextQueueId: () => string;
  /** New connections are refused and running ones end when they can. */
  isStopping: boolean;
  /** The event loop was late: new connections are refused. */
  isLate: boolean;
}

export function createCore(deps: IngressDeps): Core {
  const { clock } = deps;
  const config = deps.config.ingress;
  const nowMs = () => clock.nowMs();
  const clients = createClients(config);
  // Room for one message of the largest size, whatever was configured: it could never be taken otherwise.
  const unacknowledged = new Unacknowledged(Math.max(config.maxUnacknowledgedOctets, config.maxMessageOctets));
  const recipientRoom = createRecipientRoom(config);
  return {
    ...deps,
    config,
    hostname: deps.config.hostname,
    meters: createMeters(deps.metrics, {
      connections: () => clients.connections,
      unacknowledgedOctets: () => unacknowledged.octets,
      recipientOctets: () => recipientRoom.octets,
    }),
    clients,
    relayNetwork: createRelayNetworks(config.relayNetworks),
    isProxy: createRelayNetworks(config.proxyNetworks),
    unacknowledged,
    blocks: createBlocks(),
    recipientRoom,
    quota: createQuota({ ...config, nowMs }),
    guesses: createGuesses({ ...config, nowMs }),
    checkRecipient: createRecipientCheck({ directory: deps.directory, cacheMs: config.recipientCacheMs, nowMs }),
    nextQueueId: createQueueIds({ nowMs, random: deps.random }),
    isStopping: false,
    isLate: false,
  };
}
