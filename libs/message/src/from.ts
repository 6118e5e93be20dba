import { decodeEncodedWords } from './encoded-word.ts';
import type { HeaderScan } from './header.ts';
import { commentEnd } from './structured.ts';

interface Token {
  readonly is: 'word' | 'quoted' | 'literal' | 'special';
  readonly text: string;
}

const SPECIALS = '<>,;:@';
/** A run of what may stand in an atom, dots included; octets above 127 too (RFC 6532 §3.2). */
const WORD = /[^\s\p{Cc}()<>[\]:;@\\,"]+/uy;
/** Backslash pairs, then the closing character; anything but controls inside (RFC 5322 §3.2.4, §3.4.1). */
const QUOTED = /"(?:[^"\\\p{Cc}]|\\[^\p{Cc}]|\t)*"/uy;
const LITERAL = /\[[^[\]\\\p{Cc}]*\]/uy;

function readToken(text: string, at: number): Token | undefined {
  const char = text[at] ?? '';
  if (SPECIALS.includes(char)) return { is: 'special', text: char };
  const [is, pattern] =
    char === '"' ? (['quoted', QUOTED] as const) : char === '[' ? (['literal', LITERAL] as const) : (['word', WORD] as const);
  pattern.lastIndex = at;
  const found = pattern.exec(text)?.[0];
  return found === undefined ? undefined : { is, text: found };
}

/** Tokens of an unfolded value, without blanks and comments. Undefined: no such tokens by RFC 5322 §3.2, §4.1. */
function tokenize(text: string): Token[] | undefined {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; ) {
    const char = text[at];
    if (char === ' ' || char === '\t') at++;
    else if (char === '(') {
      const end = commentEnd(text, at);
      if (end === undefined) return undefined;
      at = end;
    } else {
      const token = readToken(text, at);
      if (!token) return undefined;
      tokens.push(token);
      at += token.text.length;
    }
  }
  return tokens;
}

/** Words joined where dots join them: `a . b` is one local part (RFC 5322 §4.4), `a b` is none. */
function joinWords(tokens: readonly Token[], allowed: readonly Token['is'][]): string | undefined {
  let joined = '';
  for (const token of tokens) {
    const adjacent = joined !== '' && !joined.endsWith('.') && !token.text.startsWith('.');
    if (adjacent || !allowed.includes(token.is)) return undefined;
    joined += token.text;
  }
  return joined === '' ? undefined : joined;
}

const isSpecial = (token: Token | undefined, text: string): boolean => token?.is === 'special' && token.text === text;

/** addr-spec (RFC 5322 §3.4.1, §4.4); exactly one `@` outside quotes. */
function addrSpec(tokens: readonly Token[]): string | undefined {
  const at = tokens.findIndex((token) => isSpecial(token, '@'));
  const [first, ...more] = tokens.slice(at + 1);
  const local = at > 0 ? joinWords(tokens.slice(0, at), ['word', 'quoted']) : undefined;
  const domain = first?.is === 'literal' && more.length === 0 ? first.text : joinWords(tokens.slice(at + 1), ['word']);
  return local === undefined || domain === undefined ? undefined : `${local}@${domain}`;
}

/** What stands between angle brackets, its source route dropped (RFC 5322 §4.4). */
function angleAddr(tokens: readonly Token[]): string | undefined {
  const routeEnd = isSpecial(tokens[0], '@') || isSpecial(tokens[0], ',') ? tokens.findIndex((token) => isSpecial(token, ':')) : -1;
  return addrSpec(tokens.slice(routeEnd + 1));
}

/** Reads an address list token by token; a syntax error is an `undefined` among `found`. */
class ListReader {
  readonly found: (string | undefined)[] = [];
  private item: Token[] = [];
  private angle: Token[] | undefined;
  private closed = false;
  private inGroup = false;

  read(token: Token): void {
    const special = token.is === 'special' ? token.text : '';
    if (this.angle) this.readInAngle(this.angle, special, token);
    else if (special === ',' || special === ';') this.endItem(special);
    else if (this.closed || special === '>' || (special === ':' && this.inGroup)) this.found.push(undefined);
    else if (special === '<') this.openAngle();
    else if (special === ':') this.openGroup();
    else this.item.push(token);
  }

  end(): void {
    this.endItem('');
    if (this.angle) this.found.push(undefined);
  }

  private readInAngle(angle: Token[], special: string, token: Token): void {
    if (special !== '>') {
      angle.push(token);
      return;
    }
    this.found.push(angleAddr(angle));
    this.angle = undefined;
    this.closed = true;
  }

  private openAngle(): void {
    this.endName();
    this.angle = [];
  }

  private openGroup(): void {
    this.endName();
    this.inGroup = true;
    this.item = [];
  }

  /** A name with `@` outside quotes is an address to some readers: `a@x <b@y>`; Outlook puts apostrophes around it. */
  private endName(): void {
    if (this.item.some((token) => isSpecial(token, '@'))) this.found.push(addrSpec(this.item)?.replace(/^'|'$/g, ''));
  }

  private endItem(special: string): void {
    if (!this.closed && this.item.length > 0) this.found.push(addrSpec(this.item));
    this.item = [];
    this.closed = false;
    if (special === ';') this.inGroup = false;
  }
}

/** Mailboxes of an address list, those of groups included (RFC 5322 §3.4, §4.4, RFC 6854 §2). Undefined: it is none. */
function mailboxes(tokens: readonly Token[]): string[] | undefined {
  const reader = new ListReader();
  for (const token of tokens) reader.read(token);
  reader.end();
  const known = reader.found.filter((address) => address !== undefined);
  return known.length === reader.found.length ? known : undefined;
}

/** Without what is put around an address in running text: quotes, dashes, full stops. */
function trimMarks(text: string): string {
  const isMark = (char: string | undefined): boolean => char !== undefined && !/[\p{L}\p{N}]/u.test(char);
  let start = 0;
  let end = text.length;
  while (start < end && isMark(text[start])) start++;
  while (end > start && isMark(text[end - 1])) end--;
  return text.slice(start, end);
}

/** Characters that look alike made one, and those that show nothing left out. */
const asShown = (text: string): string => text.normalize('NFKC').replace(/\p{Cf}/gu, '');

/**
 * Whatever looks like an address anywhere in the text, names and comments included: with a dot in its domain, or in angle
 * brackets. Readers differ in where they find the address of a malformed field, and many show the name alone.
 */
function shownAddresses(text: string, known: ReadonlySet<string>): string[] {
  const shown: string[] = [];
  for (const piece of text.split(/[\s\p{Cc}()[\]\\,;:"]+|(?=<)|>/u)) {
    const bracketed = piece.startsWith('<');
    const bare = bracketed ? piece.slice(1) : piece;
    if (!bare.includes('@') || known.has(bare)) continue;
    const trimmed = trimMarks(bare);
    const at = trimmed.lastIndexOf('@');
    const lastDot = trimmed.lastIndexOf('.');
    const isAddress = at > 0 && (bracketed || (lastDot > at && /\p{L}/u.test(trimmed.slice(lastDot))));
    if (isAddress && !known.has(trimmed)) shown.push(trimmed);
  }
  return shown;
}

/** Longest text of the From fields together: read in 20 ms whatever it holds. */
const MAX_FROM_OCTETS = 16 * 1024;

function addressesOf(value: string): string[] | undefined {
  const tokens = tokenize(value);
  const decoded = decodeEncodedWords(value);
  const listed = tokens && mailboxes(tokens);
  if (!listed || decoded === undefined) return undefined;
  const known = new Set([...listed, ...listed.map(asShown)]);
  const shown = [value, decoded].flatMap((text) => shownAddresses(asShown(text), known));
  return [...listed, ...shown];
}

/**
 * Every address that a mail reader could show as the author, for the check of RFC 6409 §6.1: the mailboxes of all From
 * fields by RFC 5322 §3.4 with its obsolete forms and RFC 6532, and besides them whatever looks like an address in display
 * names, comments and decoded encoded words. As written, quotes of local parts kept, comments and blanks taken out.
 *
 * Undefined: a From field is no address list or names a charset that is not known, they are longer than 16 KiB together, or
 * the header section was not read to its end or holds lines that are no fields, which some readers take for some.
 * Empty: there is no From field, or only empty groups. The same for Sender, where it is asked about.
 */
export function fromAddresses(scan: HeaderScan, field: 'from' | 'sender' = 'from'): readonly string[] | undefined {
  const fields = scan.fields(field);
  const octets = fields.reduce((sum, { start, end }) => sum + end - start, 0);
  if (octets > MAX_FROM_OCTETS || !scan.complete || scan.defects > 0) return undefined;
  const all = new Set<string>();
  for (const each of fields) {
    const addresses = addressesOf(scan.text(each));
    if (!addresses) return undefined;
    for (const address of addresses) all.add(address);
  }
  return [...all];
}
