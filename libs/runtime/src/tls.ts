import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Clock } from './clock.ts';
import type { Logger } from './logger.ts';

export interface KeyPair {
  readonly key: Buffer;
  readonly cert: Buffer;
}

/** Certificate and key that are in force now. */
export interface TlsSource {
  current(): KeyPair;
  /** Calls `listener` after each change; the returned function ends that. */
  onChange(listener: () => void): () => void;
}

export interface TlsFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly reloadMs: number;
}

async function readPair({ certificateFile, keyFile }: TlsFiles): Promise<KeyPair> {
  const [cert, key] = await Promise.all([readFile(certificateFile), readFile(keyFile)]);
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) throw new Error(`${keyFile} is not the key of ${certificateFile}`);
  // TLS refuses more than a mismatch, such as a short key: listeners that found out would be left without any context.
  createSecureContext({ key, cert });
  return { key, cert };
}

/**
 * Reads the pair and looks at the files again every `reloadMs`. A pair that cannot be used is logged once and the old one
 * stays in force.
 *
 * @throws when the first pair cannot be used
 */
export async function watchTls(
  files: TlsFiles,
  deps: { readonly clock: Clock; readonly logger: Logger },
): Promise<TlsSource & { close(): void }> {
  let pair = await readPair(files);
  let lastError = '';
  const listeners = new Set<() => void>();
  let stop = () => {};
  let closed = false;
  const look = async () => {
    try {
      const found = await readPair(files);
      lastError = '';
      if (!found.cert.equals(pair.cert) || !found.key.equals(pair.key)) {
        pair = found;
        deps.logger.info(
          {
            certificateFile: files.certificateFile,
            validTo: new X509Certificate(found.cert).validTo,
          },
          'tls.certificate.reloaded',
        );
        for (const listener of listeners) listener();
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== lastError)
        deps.logger.error(
          {
            ...files,
            reason,
            cure: 'the old pair stays in force; put a matching pair in place',
          },
          'tls.certificate.refused',
        );
      lastError = reason;
    }
    if (!closed) stop = deps.clock.after(files.reloadMs, () => void look());
  };
  stop = deps.clock.after(files.reloadMs, () => void look());
  return {
    current: () => pair,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => {
      closed = true;
      stop();
    },
  };
}
