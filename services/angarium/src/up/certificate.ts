import { access, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generate } from 'selfsigned';

const YEARS = 10;

/** Files of a self-signed pair in the folder, made on the first call. For a first try: real clients want a real one. */
export async function selfSignedFiles(folder: string, hostname: string): Promise<{ certificateFile: string; keyFile: string }> {
  const certificateFile = join(folder, 'certificate.pem');
  const keyFile = join(folder, 'key.pem');
  const isThere = await access(certificateFile).then(
    () => true,
    () => false,
  );
  if (isThere) return { certificateFile, keyFile };
  const notAfterDate = new Date();
  notAfterDate.setFullYear(notAfterDate.getFullYear() + YEARS);
  const pair = await generate([{ name: 'commonName', value: hostname }], {
    keyType: 'ec',
    curve: 'P-256',
    notAfterDate,
    extensions: [
      { name: 'basicConstraints', cA: false },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: hostname },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(keyFile, pair.private, { mode: 0o600 });
  await writeFile(`${certificateFile}.new`, pair.cert);
  await rename(`${certificateFile}.new`, certificateFile);
  return { certificateFile, keyFile };
}
