import { type Accepted, type Content, encodeRecord, type Source } from '@angarium/records';
import { type Chunk, cutChunks, type Placed } from './recipients.ts';

/** Largest value of the log; what an `Enqueued` takes besides content and recipients is kept free for it. */
const RECORD_MAX_OCTETS = 512 * 1024;
const ENVELOPE_MAX_OCTETS = 16 * 1024;

export interface LaneChunk extends Chunk {
  readonly lane: number;
  readonly number: number;
}

/** The records that a message becomes, before their content's place is settled. */
export function cutLanes({ lanes }: Placed): readonly LaneChunk[] {
  return [...lanes].flatMap(([lane, recipients]) => cutChunks(recipients).map((chunk, number) => ({ lane, number, ...chunk })));
}

const inlineOctets = (content: Content): number => (content.place?.$case === 'inline' ? content.place.value.length : 0);

/** Would copies of an inline body in every record take more than `fanoutMaxOctets`? One copy never does. */
export function wantsBlob(content: Content, chunks: readonly LaneChunk[], fanoutMaxOctets: number): boolean {
  const octets = inlineOctets(content);
  return (chunks.length > 1 && octets * chunks.length > fanoutMaxOctets) || !fitsInline(content, chunks);
}

export function fitsInline(content: Content, chunks: readonly LaneChunk[]): boolean {
  const largest = chunks.reduce((octets, chunk) => Math.max(octets, chunk.octets), 0);
  return largest + inlineOctets(content) + ENVELOPE_MAX_OCTETS <= RECORD_MAX_OCTETS;
}

export interface Stamp {
  readonly src: Source;
  readonly floor: number;
  readonly content: Content;
  readonly expandedRecipients: number;
}

/** @throws RangeError when the record is larger than the log takes: its envelope is beyond all limits */
export function encodeEnqueued(accepted: Accepted, chunk: LaneChunk, { src, floor, content, expandedRecipients }: Stamp): Uint8Array {
  const value = encodeRecord({
    $case: 'enqueued',
    value: {
      src,
      floor,
      envelope: accepted.envelope,
      content,
      chunk: chunk.number,
      recipients: [...chunk.recipients],
      acceptedRecipients: accepted.recipients.length,
      expandedRecipients,
    },
  });
  if (value.length > RECORD_MAX_OCTETS) throw new RangeError(`Enqueued of ${value.length} octets`);
  return value;
}
