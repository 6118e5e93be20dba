import type { Quota, Quota as QuotaPort } from '@angarium/rpc';
import { type CollectAction, type Company, type GrantAnswer, type GrantRequest, granterOf, type Held } from '@angarium/scheduler';
import { crash, reasonOf } from '../pause.ts';
import type { Peers } from '../peers.ts';
import type { QuotaState } from './state.ts';
import { fromAnswer, fromAsk, fromCollected, toAnswer, toAsk, toCollected } from './wire.ts';

/** A live worker and where it is reached. */
export interface Member {
  readonly incarnation: string;
  readonly address: string;
}

/** Both sides of the limits of this worker, and the way to the others. */
export interface Protocol {
  readonly port: QuotaPort;
  /** @param expire closes what a grant that has ended allowed */
  tick(company: Company & { readonly members: readonly Member[] }, expire: (key: string) => void): void;
}

/** @param changed more or less of a key may be in use than before */
export function createProtocol(state: QuotaState, peers: Peers<Quota> | undefined, changed: (key: string) => void): Protocol {
  const { grantee, granter, incarnation, meters, deps } = state;
  let addresses: ReadonlyMap<string, string> = new Map();

  const peerOf = (worker: string) => {
    const address = addresses.get(worker);
    if (address === undefined || peers === undefined) throw new Error(`no address of worker ${worker} is known`);
    return peers.at(address);
  };
  const held = (key: string, to: string): Held => {
    const now = deps.now();
    return { ...grantee.held(key, now), surrender: granter.surrender(key, to, now) };
  };
  const ask = async (request: GrantRequest, worker: string | undefined): Promise<GrantAnswer> => {
    if (worker === incarnation) return granter.asked(request, deps.now());
    if (worker === undefined) return 'elsewhere';
    return fromAnswer(await (await peerOf(worker)).ask(toAsk(request)), request);
  };
  const settle = async (request: GrantRequest, worker: string | undefined): Promise<void> => {
    try {
      const answer = await ask(request, worker);
      grantee.answered(answer, request, deps.now());
      meters.asked.inc({ answer: answer === 'elsewhere' ? 'elsewhere' : 'granted' });
    } catch (error) {
      grantee.failed(request, deps.now());
      meters.asked.inc({ answer: 'failed' });
      deps.logger.debug({ limit: request.key, worker, reason: reasonOf(error) }, 'delivery.quota.not_asked');
    }
    changed(request.key);
  };
  const collect = async ({ key, from }: CollectAction): Promise<void> => {
    try {
      const found =
        from === incarnation ? held(key, incarnation) : fromCollected(await (await peerOf(from)).collect({ key, to: incarnation }), key);
      granter.collected(found, deps.now());
    } catch (error) {
      // Asked again in a second, as long as it is taken for alive.
      deps.logger.debug({ limit: key, worker: from, reason: reasonOf(error) }, 'delivery.quota.not_collected');
    }
  };
  return {
    port: {
      ask: async (request) => toAnswer(granter.asked(fromAsk(request), deps.now())),
      collect: async ({ key, to }) => toCollected(held(key, to)),
    },
    tick(company, expire) {
      addresses = new Map(company.members.map((member) => [member.incarnation, member.address]));
      peers?.keep(new Set(addresses.values()));
      for (const action of granter.tick(company, deps.now())) collect(action).catch(crash);
      for (const action of grantee.tick(deps.now()))
        if (action.do === 'expire') expire(action.key);
        else settle(action.request, granterOf(action.request.key, company.candidates)).catch(crash);
    },
  };
}
