import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ChannelCredentials, experimental, ServerCredentials } from '@grpc/grpc-js';

/** Files of mutual TLS, PEM. */
export interface MutualTls {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly authorityFile: string;
  /** Name that the certificate of a called peer must have; left out: the host of the address. */
  readonly peerName?: string | undefined;
  /** How often the files are looked at; 10 s when left out. */
  readonly reloadMs?: number;
  /** Told when what the files hold now cannot be used: what was read before stays in force. */
  readonly onBroken?: (error: unknown) => void;
}

interface Pem {
  readonly certificate: Buffer;
  readonly privateKey: Buffer;
  readonly caCertificate: Buffer;
}

const RELOAD_MS = 10_000;

async function readPem({ certificateFile, keyFile, authorityFile }: MutualTls): Promise<Pem> {
  const [certificate, privateKey, caCertificate] = await Promise.all([
    readFile(certificateFile),
    readFile(keyFile),
    readFile(authorityFile),
  ]);
  if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(privateKey)))
    throw new Error(`${keyFile} is not the key of ${certificateFile}`);
  // Throws for what is no certificate.
  new X509Certificate(caCertificate);
  return { certificate, privateKey, caCertificate };
}

type CaListener = Parameters<experimental.CertificateProvider['addCaCertificateListener']>[0];
type IdentityListener = Parameters<experimental.CertificateProvider['addIdentityCertificateListener']>[0];

/** What new connections use: renewed files from their next look on, whole and fitting pairs alone. */
async function watchFiles(tls: MutualTls) {
  let pem = await readPem(tls);
  const ofAuthority = new Set<CaListener>();
  const ofIdentity = new Set<IdentityListener>();
  const look = async (): Promise<void> => {
    try {
      const next = await readPem(tls);
      const isSame = (['certificate', 'privateKey', 'caCertificate'] as const).every((part) => next[part].equals(pem[part]));
      if (isSame) return;
      pem = next;
      for (const listener of ofAuthority) listener(pem);
      for (const listener of ofIdentity) listener(pem);
    } catch (error) {
      tls.onBroken?.(error);
    }
  };
  const timer = setInterval(() => void look(), tls.reloadMs ?? RELOAD_MS);
  timer.unref();
  const provider: experimental.CertificateProvider = {
    addCaCertificateListener(listener) {
      ofAuthority.add(listener);
      // Whoever asks is not ready to hear before it has asked.
      queueMicrotask(() => listener(pem));
    },
    removeCaCertificateListener: (listener) => void ofAuthority.delete(listener),
    addIdentityCertificateListener(listener) {
      ofIdentity.add(listener);
      queueMicrotask(() => listener(pem));
    },
    removeIdentityCertificateListener: (listener) => void ofIdentity.delete(listener),
  };
  return { provider, close: () => clearInterval(timer) };
}

export interface Held<T> {
  readonly credentials: T;
  close(): void;
}

/** @throws when a file cannot be read, or they do not belong together */
export async function serverCredentials(tls: MutualTls | undefined): Promise<Held<ServerCredentials>> {
  if (tls === undefined) return { credentials: ServerCredentials.createInsecure(), close: () => {} };
  const { provider, close } = await watchFiles(tls);
  return { credentials: experimental.createCertificateProviderServerCredentials(provider, provider, true), close };
}

/** @throws when a file cannot be read, or they do not belong together */
export async function channelCredentials(tls: MutualTls | undefined): Promise<Held<ChannelCredentials>> {
  if (tls === undefined) return { credentials: ChannelCredentials.createInsecure(), close: () => {} };
  const { provider, close } = await watchFiles(tls);
  return { credentials: experimental.createCertificateProviderChannelCredentials(provider, provider), close };
}
