import { Buffer } from 'node:buffer';
import { type HeaderScan, scanHeader } from './header.ts';
import { splitMultipart } from './multipart.ts';
import { hasEightBit, hasLongLine } from './octets.ts';
import { type ContentType, parseContentType, withoutComments } from './structured.ts';
import { base64, quotedPrintable, run, type Steps } from './transfer-encoding.ts';

/** Parts within parts; deeper messages are not converted. */
const MAX_DEPTH = 20;
const MAX_PARTS = 1000;

type Pieces = readonly Uint8Array[];

interface Walk {
  parts: number;
}

interface Context {
  readonly walk: Walk;
  readonly depth: number;
  /** A message with its own MIME-Version, not a part. */
  readonly isMessage: boolean;
  /** Inside multipart/digest (RFC 2046 §5.1.5). */
  readonly isInDigest: boolean;
}

/** A message or part, its header section read. */
interface Entity {
  readonly header: Uint8Array;
  readonly body: Uint8Array;
  readonly scan: HeaderScan;
  readonly contentType: ContentType;
  /** Lower case; '7bit' where none is declared. */
  readonly encoding: string;
  readonly context: Context;
}

const isClean = (octets: Uint8Array): boolean => !hasEightBit(octets) && !hasLongLine(octets);
const isIdentity = (encoding: string): boolean => encoding === '7bit' || encoding === '8bit' || encoding === 'binary';
const isSigned = ({ contentType }: Entity): boolean => contentType.type === 'multipart' && contentType.subtype === 'signed';

/** An undecipherable type is opaque (RFC 2045 §5.2 would call it text, which it hardly is). */
const OPAQUE: ContentType = { type: 'application', subtype: 'octet-stream', boundary: undefined };

/** Undefined: the header cannot travel over 7 bits, contradicts itself, or ends where readers disagree. */
function readEntity(octets: Uint8Array, context: Context): Entity | undefined {
  const scan = scanHeader(octets);
  const header = octets.subarray(0, scan.octets);
  const types = scan.fields('content-type');
  const encodings = scan.fields('content-transfer-encoding');
  if (!scan.complete || scan.defects > 0 || !isClean(header) || types.length > 1 || encodings.length > 1) return undefined;
  const [type] = types;
  const [encoding] = encodings;
  const implied = context.isInDigest ? 'message/rfc822' : 'text/plain';
  return {
    header,
    body: octets.subarray(scan.octets),
    scan,
    contentType: parseContentType(type ? scan.text(type) : implied) ?? OPAQUE,
    encoding: encoding ? (withoutComments(scan.text(encoding)) ?? '').trim().toLowerCase() : '7bit',
    context,
  };
}

/** The header section with this encoding declared and, in a message that is no MIME yet, as MIME (RFC 1428 §2). */
function declare(entity: Entity, encoding: string): Pieces {
  const { header, scan, context } = entity;
  const isMime = !context.isMessage || scan.has('mime-version');
  const [field] = scan.fields('content-transfer-encoding');
  const additions = [
    isMime ? '' : 'MIME-Version: 1.0\r\n',
    isMime || scan.has('content-type') ? '' : 'Content-Type: text/plain; charset=unknown-8bit\r\n',
    `Content-Transfer-Encoding: ${encoding}\r\n`,
  ].join('');
  const end = header.length - 2;
  const kept = field ? [header.subarray(0, field.start), header.subarray(field.end, end)] : [header.subarray(0, end)];
  return [...kept, Buffer.from(additions), header.subarray(end)];
}

/** What is clean needs no 8-bit label any more. */
function relabel(entity: Entity): Pieces {
  return entity.encoding === '8bit' || entity.encoding === 'binary' ? declare(entity, '7bit') : [entity.header];
}

function* convertLeaf(entity: Entity): Steps<Pieces | undefined> {
  const { body, contentType, encoding } = entity;
  if (isClean(body)) return [...relabel(entity), body];
  const isGlobal = contentType.type === 'message' && contentType.subtype.startsWith('global');
  // Other message types must be 7bit and may not be encoded (RFC 2046 §5.2); the global ones may (RFC 6533 §4.4).
  if (!isIdentity(encoding) || (contentType.type === 'message' && !isGlobal)) return undefined;
  if (contentType.type === 'text' || isGlobal) return [...declare(entity, 'quoted-printable'), yield* quotedPrintable(body)];
  return [...declare(entity, 'base64'), yield* base64(body)];
}

function* convertMultipart(entity: Entity): Steps<Pieces | undefined> {
  const { body, contentType, context } = entity;
  const sections = contentType.boundary ? yield* splitMultipart(body, contentType.boundary) : undefined;
  if (!sections) return undefined;
  const inner = { ...context, depth: context.depth + 1, isMessage: false, isInDigest: contentType.subtype === 'digest' };
  const pieces = [...relabel(entity)];
  for (const { isPart, octets } of sections) {
    const converted = isPart ? yield* convert(octets, inner) : isClean(octets) ? [octets] : undefined;
    if (!converted) return undefined;
    pieces.push(...converted);
  }
  return pieces;
}

function* convertMessage(entity: Entity): Steps<Pieces | undefined> {
  const { body, context } = entity;
  const inner = yield* convert(body, { ...context, depth: context.depth + 1, isMessage: true, isInDigest: false });
  return inner && [...relabel(entity), ...inner];
}

function* convert(octets: Uint8Array, context: Context): Steps<Pieces | undefined> {
  if (++context.walk.parts > MAX_PARTS || context.depth > MAX_DEPTH) return undefined;
  const entity = readEntity(octets, context);
  if (!entity) return undefined;
  const { type, subtype } = entity.contentType;
  if (isIdentity(entity.encoding)) {
    if (isSigned(entity)) return isClean(entity.body) ? [...relabel(entity), entity.body] : undefined;
    if (type === 'multipart') return yield* convertMultipart(entity);
    if (type === 'message' && subtype === 'rfc822') return yield* convertMessage(entity);
  }
  return yield* convertLeaf(entity);
}

/** As `toSevenBit`, in steps of a few milliseconds: for large messages on an event loop that others need. */
export function* sevenBitSteps(content: Uint8Array): Steps<Uint8Array | undefined> {
  if (isClean(content)) return content;
  const pieces = yield* convert(content, { walk: { parts: 0 }, depth: 0, isMessage: true, isInDigest: false });
  return pieces && Buffer.concat(pieces);
}

/**
 * Content without octets above 127 and with lines of at most 998 octets, for a host without 8BITMIME (RFC 6152 §3): parts
 * that need it become quoted-printable (text) or base64, so that each decodes to the same octets. Clean content is
 * returned itself.
 *
 * Undefined, which bounces with 5.6.3: octets above 127 or long lines in a header section, in signed parts (RFC 1847 §2.1),
 * in the text around parts, or under an encoding that forbids them; contradictory or missing MIME fields, or lines that are no fields; more than 20
 * levels or 1,000 parts. Linear; 50 MB take about 0.6 s, so use `sevenBitSteps` for large content.
 */
export function toSevenBit(content: Uint8Array): Uint8Array | undefined {
  return run(sevenBitSteps(content));
}
