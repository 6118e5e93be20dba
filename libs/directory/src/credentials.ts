import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { hash, verify } from '@node-rs/argon2';
import { LRUCache } from 'lru-cache';
import type { HostedAccount } from './state.ts';

export interface CredentialOptions {
  readonly nowMs: () => number;
  /** How long a verified password need not be verified again; 0: always verify. */
  readonly cacheMs: number;
  /** Hashes computed at once: each takes 19 MiB and a thread of the pool. */
  readonly concurrency: number;
  /** Hashes that may wait for their turn. */
  readonly maxWaiting: number;
  /** Error for a caller who finds no room to wait. */
  readonly unavailable: (text: string, cause?: unknown) => Error;
}

export interface Credentials {
  /** Argon2id hash of a password, in PHC form. */
  hash(password: string): Promise<string>;
  /** Takes the same time whether there is an account or not, unless the password was verified lately. */
  verify(account: HostedAccount | undefined, password: string): Promise<boolean>;
}

const CACHED_MAX = 10_000;

/** One Unicode form, so that every keyboard's way to type a password gives the same octets (RFC 8265 §4.2). */
const octetsOf = (password: string): Buffer => Buffer.from(password.normalize('NFC'));

function createGate({ concurrency, maxWaiting, unavailable }: CredentialOptions) {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (waiting.length >= maxWaiting) throw unavailable('too many passwords wait for their check');
    if (running < concurrency) running++;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}

/**
 * Passwords. A verified one is remembered as its HMAC under a key of this process, next to the hash that it matched: a new
 * hash ends it.
 */
export async function createCredentials(options: CredentialOptions): Promise<Credentials> {
  const key = randomBytes(32);
  const verified = new LRUCache<string, { readonly mac: Buffer; readonly passwordHash: string; readonly untilMs: number }>({
    max: CACHED_MAX,
  });
  const gate = createGate(options);
  const hashOf = (password: string) => gate(() => hash(octetsOf(password)));
  const nobodysHash = await hashOf(randomBytes(16).toString('hex'));
  return {
    hash: hashOf,
    verify: async (account, password) => {
      const mac = createHmac('sha256', key).update(octetsOf(password)).digest();
      const known = account && verified.get(account.address);
      const isKnown = known !== undefined && known.passwordHash === account?.passwordHash && known.untilMs > options.nowMs();
      if (isKnown && timingSafeEqual(known.mac, mac)) return !account?.disabled;
      const matches = await gate(() => verify(account?.passwordHash ?? nobodysHash, octetsOf(password)));
      if (!account || !matches || account.disabled) return false;
      verified.set(account.address, { mac, passwordHash: account.passwordHash, untilMs: options.nowMs() + options.cacheMs });
      return true;
    },
  };
}
