import type { BlobStore } from '@angarium/blob';
import type { LiveMessage } from '@angarium/lanes';
import type { Log } from '@angarium/log';
import { decodeRecord, type Kind } from '@angarium/records';
import { messageKey } from './flights.ts';

/** The content is where the record says it is, and is not there: an operator must look. */
export class ContentMissing extends Error {
  override readonly name = 'ContentMissing';
}

/**
 * Contents of messages, read when they are needed. Only those of mail that just came or is being read are at hand, up to a
 * number of octets.
 */
export interface Contents {
  /** A record that was just read brings its content along. */
  fresh(message: LiveMessage, content: Uint8Array): void;
  /** @throws ContentMissing; any other error is a failure of log or blob store that may pass */
  read(lane: number, message: LiveMessage): Promise<Uint8Array>;
  /** It will not be asked for soon. */
  forget(message: LiveMessage): void;
}

/** Inline content of a lane record. */
export function inlineContent(kind: Kind): Uint8Array | undefined {
  if (kind.$case !== 'enqueued' && kind.$case !== 'moved') return undefined;
  const place = kind.value.content?.place;
  return place?.$case === 'inline' ? place.value : undefined;
}

export function createContents({ log, blobs, cacheOctets }: { log: Log; blobs: BlobStore; cacheOctets: number }): Contents {
  /** Oldest first. */
  const held = new Map<string, Uint8Array>();
  const reading = new Map<string, Promise<Uint8Array>>();
  let octets = 0;

  const forget = (key: string) => {
    octets -= held.get(key)?.length ?? 0;
    held.delete(key);
  };
  const hold = (key: string, content: Uint8Array) => {
    if (content.length > cacheOctets) return;
    forget(key);
    held.set(key, content);
    octets += content.length;
    for (const oldest of held.keys()) {
      if (octets <= cacheOctets) break;
      forget(oldest);
    }
  };
  const readRecord = async (lane: number, offset: number): Promise<Uint8Array> => {
    const [record] = await log.read('mail.lane', lane, offset, 1);
    const decoded = record?.offset === offset ? decodeRecord(record.value) : undefined;
    const content = decoded?.is === 'known' ? inlineContent(decoded.kind) : undefined;
    if (content === undefined) throw new ContentMissing(`no content in lane ${lane}, offset ${offset}`);
    return content;
  };
  const readPlace = async (lane: number, message: LiveMessage): Promise<Uint8Array> => {
    const place = message.content;
    if (place.in === 'record') return readRecord(lane, place.offset);
    const content = await blobs.get(place.key);
    if (content === undefined) throw new ContentMissing(`no blob ${place.key}`);
    return content;
  };
  return {
    fresh: (message, content) => hold(messageKey(message), content),
    forget: (message) => forget(messageKey(message)),
    async read(lane, message) {
      const key = messageKey(message);
      const known = held.get(key) ?? reading.get(key);
      if (known !== undefined) return known;
      const read = readPlace(lane, message).finally(() => reading.delete(key));
      reading.set(key, read);
      const content = await read;
      // Worth keeping where several transactions need it.
      if (message.recipients.size > 1) hold(key, content);
      return content;
    },
  };
}
