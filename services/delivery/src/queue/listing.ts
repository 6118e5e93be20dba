import { type ListRequest, type ListResponse, type QueuedRecipient, Refused } from '@angarium/rpc';
import type { Core } from '../core.ts';
import { select } from './selection.ts';
import { toQueuedRecipient } from './view.ts';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;

/** The last recipient of a page; `shown` on the pages so far, for the case that it waits no more. */
interface Token {
  readonly lane: number;
  readonly shown: number;
  readonly queueId: string;
  readonly address: string;
}

const formatToken = ({ lane, shown, queueId, address }: Token): string => `${lane} ${shown} ${queueId} ${address}`;

function parseToken(text: string): Token | undefined {
  if (text === '') return undefined;
  const [, lane, shown, queueId, address] = /^(\d+) (\d+) (\S+) (.+)$/.exec(text) ?? [];
  if (queueId === undefined || address === undefined) throw new Refused('invalid', 'that is no page token of ours');
  return { lane: Number(lane), shown: Number(shown), queueId, address };
}

/** One page. A recipient that comes or goes meanwhile neither hides nor repeats the others. */
export function listPage(core: Core, { filter, limit, pageToken }: ListRequest): Omit<ListResponse, 'recoveringLanes'> {
  const token = parseToken(pageToken);
  const most = Math.min(limit || DEFAULT_LIMIT, MAX_LIMIT);
  const isThere =
    token !== undefined &&
    core.lanes
      .find(({ number }) => number === token.lane)
      ?.fold.messages.get(token.queueId)
      ?.recipients.has(token.address) === true;
  const recipients: QueuedRecipient[] = [];
  let total = 0;
  let shown = token?.shown ?? 0;
  let isPast = token === undefined;
  let last: Token | undefined;
  let isMore = false;
  for (const { lane, recipient, locate } of select(core, filter)) {
    total++;
    if (!isPast && token !== undefined) {
      const isToken = recipient.address === token.address && recipient.message.queueId === token.queueId && lane.number === token.lane;
      isPast = isThere ? isToken || lane.number > token.lane : total > token.shown;
      if (isThere || !isPast) continue;
    }
    if (recipients.length === most) {
      isMore = true;
      continue;
    }
    recipients.push(toQueuedRecipient(core, lane, { recipient, standing: locate().standing }));
    shown++;
    last = { lane: lane.number, shown, queueId: recipient.message.queueId, address: recipient.address };
  }
  return { recipients, nextPageToken: isMore && last !== undefined ? formatToken(last) : '', total };
}
