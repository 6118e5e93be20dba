import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { Record as LogRecord } from './gen/angarium/log/v1/records.ts';

/** What a record says: the generated union, without the optional hole. */
export type Kind = NonNullable<LogRecord['kind']>;

/** Its buffer has grown to the largest record so far; a new one would grow, and copy what it has, several times for each record. */
let writer = new BinaryWriter();

/**
 * Value of a log record for one of the kinds.
 *
 * Every kind of this release is critical: an older release that skipped one would compute a wrong watermark.
 */
export function encodeRecord(kind: Kind): Uint8Array {
  try {
    return LogRecord.encode({ critical: true, kind }, writer).finish();
  } catch (error) {
    // It holds a part of the record.
    writer = new BinaryWriter();
    throw error;
  }
}

/** `unknown`: a newer release's kind. `corrupt`: not a record at all. */
export type Decoded =
  | { readonly is: 'known'; readonly kind: Kind }
  | { readonly is: 'unknown'; readonly critical: boolean }
  | { readonly is: 'corrupt'; readonly reason: string };

export function decodeRecord(value: Uint8Array): Decoded {
  let record: LogRecord;
  try {
    record = LogRecord.decode(value);
  } catch (error) {
    return {
      is: 'corrupt',
      reason: error instanceof Error ? error.message : String(error),
    };
  }
  return record.kind === undefined ? { is: 'unknown', critical: record.critical } : { is: 'known', kind: record.kind };
}
