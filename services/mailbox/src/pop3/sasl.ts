const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export interface Credentials {
  readonly login: string;
  readonly password: string;
}

/**
 * Credentials in a response of mechanism PLAIN (RFC 4616 §2), base64; `undefined` when it is none, or when it wants to
 * act as somebody else than it logs in as.
 */
export function parsePlain(response: string): Credentials | undefined {
  if (response === '' || !BASE64.test(response)) return undefined;
  const text = decodeUtf8(Buffer.from(response, 'base64'));
  const [authorize, login, password, ...more] = text?.split('\0') ?? [];
  if (!login || !password || more.length > 0) return undefined;
  if (authorize !== '' && authorize?.toLowerCase() !== login.toLowerCase()) return undefined;
  return { login, password };
}

/** `undefined` when the octets are not UTF-8. */
export function decodeUtf8(octets: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(octets);
  } catch {
    return undefined;
  }
}
