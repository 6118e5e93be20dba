/** Index after the comment that starts at `from`; comments nest (RFC 5322 §3.2.2). Undefined: it never ends. */
export function commentEnd(text: string, from: number): number | undefined {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const char = text[at];
    if (char === '\\') at++;
    else if (char === '(') depth++;
    else if (char === ')' && --depth === 0) return at + 1;
  }
  return undefined;
}

/** Index after the quoted string that starts at `from`. */
function quotedEnd(text: string, from: number): number | undefined {
  for (let at = from + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '"') return at + 1;
  }
  return undefined;
}

/** A structured field's text with a blank for each comment. Undefined: a comment or quoted string never ends. */
export function withoutComments(text: string): string | undefined {
  let kept = '';
  let from = 0;
  for (let at = 0; at < text.length; ) {
    const char = text[at];
    if (char !== '(' && char !== '"') {
      at++;
      continue;
    }
    const end = char === '(' ? commentEnd(text, at) : quotedEnd(text, at);
    if (end === undefined) return undefined;
    if (char === '(') {
      kept += `${text.slice(from, at)} `;
      from = end;
    }
    at = end;
  }
  return kept + text.slice(from);
}

export interface ContentType {
  /** Lower case. */
  readonly type: string;
  readonly subtype: string;
  /** Undefined where it is absent, or given twice. */
  readonly boundary: string | undefined;
}

const TYPE = /^\s*([!#-'*+.0-9A-Z^-~-]+)\s*\/\s*([!#-'*+.0-9A-Z^-~-]+)\s*(?=;|$)/i;
const PARAMETER = /\s*;\s*(?:([!#-'*+.0-9A-Z^-~-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;"]+)\s*(?=;|$))?/iy;

/** Media type and boundary (RFC 2045 §5.1). Undefined: the value is none. */
export function parseContentType(value: string): ContentType | undefined {
  const text = withoutComments(value);
  const match = text === undefined ? undefined : TYPE.exec(text);
  if (text === undefined || !match) return undefined;
  const boundaries: string[] = [];
  PARAMETER.lastIndex = match[0].length;
  while (PARAMETER.lastIndex < text.length) {
    const [, name, written] = PARAMETER.exec(text) ?? [];
    if (PARAMETER.lastIndex === 0) return undefined;
    if (name?.toLowerCase() !== 'boundary' || written === undefined) continue;
    boundaries.push(written.startsWith('"') ? written.slice(1, -1).replace(/\\(.)/g, '$1') : written);
  }
  const [boundary] = boundaries.length === 1 ? boundaries : [];
  return { type: (match[1] ?? '').toLowerCase(), subtype: (match[2] ?? '').toLowerCase(), boundary };
}
