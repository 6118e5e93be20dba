import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';

/** A certificate that a server signed for itself, PEM. */
export function makeCertificate(name: string, serial: number): { readonly certificate: string; readonly key: string } {
  const folder = mkdtempSync(join(tmpdir(), 'angarium-certificate-'));
  try {
    const [key, cert] = [join(folder, 'tls.key'), join(folder, 'tls.crt')];
    const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-set_serial', String(serial)];
    const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', ...subject, '-keyout', key, '-out', cert];
    execFileSync('openssl', made, { stdio: 'ignore' });
    return { certificate: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Hexadecimal serial number of the certificate that is served there. */
export function servedSerial(address: string): Promise<string> {
  const [host = '', port] = address.split(':');
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.once('error', reject);
  });
}
