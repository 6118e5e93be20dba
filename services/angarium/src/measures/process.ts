import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { type Clock, type Config, type Metrics, type MetricTable, type Reading, registerGauges, type TlsSource } from '@angarium/runtime';

const LISTENERS = ['smtp', 'rpc', 'kafka', 'postgres', 'scaler'] as const;
type Listener = (typeof LISTENERS)[number];
const FOLDERS = ['data', 'blobs'] as const;
type Folder = (typeof FOLDERS)[number];

/** The release is known where it runs, and is on no page. */
const buildGauges = (release: Readonly<Record<'version' | 'node', readonly string[]>>) =>
  ({
    build: {
      kind: 'gauge',
      name: 'angarium_build_info',
      help: 'Always 1; the release that runs, and its Node.',
      labels: release,
    },
  }) as const satisfies MetricTable;

const GAUGES = {
  expiry: {
    kind: 'gauge',
    name: 'angarium_tls_certificate_expiry_seconds',
    help: 'Seconds until our certificate expires, below 0 afterwards: the one that SMTP and POP3 serve, that of the scaler, and those that are shown to peers of ours.',
    labels: { listener: LISTENERS },
  },
  free: {
    kind: 'gauge',
    name: 'angarium_disk_free_octets',
    help: 'Octets that are free for us on the disk of a folder.',
    labels: { folder: FOLDERS },
  },
  size: { kind: 'gauge', name: 'angarium_disk_size_octets', help: 'Octets of the disk of a folder.', labels: { folder: FOLDERS } },
} as const satisfies MetricTable;

/** What every process exports of itself. */
export const PROCESS_METRICS: readonly MetricTable[] = [buildGauges({ version: [], node: [] }), GAUGES];

interface Deps {
  readonly config: Config;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly tls: TlsSource;
}

/** Certificate files by what uses them. SMTP's own comes from `tls`: a pair that cannot be used is not served. */
function certificateFiles({ rpcTls, kafka, postgres, scaling }: Config): readonly (readonly [Listener, string])[] {
  const files = [
    ['rpc', rpcTls?.certificateFile],
    ['kafka', kafka.tls.certificateFile],
    ['postgres', postgres?.tls?.certificateFile],
    ['scaler', scaling.tls.certificateFile],
  ] as const;
  return files.flatMap(([listener, file]) => (file === undefined || file === '' ? [] : [[listener, file] as const]));
}

/** Undefined: it cannot be read, or is being written. Whoever needs it says so; here it is only not told. */
function parseCertificate(read: () => Buffer): X509Certificate | undefined {
  try {
    return new X509Certificate(read());
  } catch {
    return undefined;
  }
}

function readExpiry({ config, clock, tls }: Deps): Reading {
  const certificates = [
    ['smtp', () => tls.current().cert] as const,
    ...certificateFiles(config).map(([listener, file]) => [listener, () => readFileSync(file)] as const),
  ];
  return certificates.flatMap(([listener, read]) => {
    const certificate = parseCertificate(read);
    return certificate === undefined ? [] : [[(certificate.validToDate.getTime() - clock.nowMs()) / 1000, { listener }] as const];
  });
}

/** Where our files are. Of several folders for blobs, all are looked at. */
const foldersOf = ({ dataFolder, blobFolder, mailbox, blobs }: Config): Readonly<Record<Folder, readonly string[]>> => {
  const named = [blobFolder, mailbox.blobFolder].filter((folder) => folder !== '');
  return { data: [dataFolder], blobs: blobs.engine === 's3' ? [] : named.length > 0 ? named : [dataFolder] };
};

interface Disk {
  readonly freeOctets: number;
  readonly sizeOctets: number;
}

async function lookAt(folder: string): Promise<readonly Disk[]> {
  try {
    const { bavail, blocks, bsize } = await statfs(folder);
    return [{ freeOctets: bavail * bsize, sizeOctets: blocks * bsize }];
  } catch {
    // Not there yet, or out of reach: whoever keeps files in it says so.
    return [];
  }
}

/** Disks as they were at the last question; each question has them looked at anew, in the background. */
function watchDisks(config: Config): (of: (disk: Disk) => number) => Reading {
  const folders = foldersOf(config);
  const found = new Map<Folder, Disk>();
  let isLooking = false;
  const look = async () => {
    isLooking = true;
    for (const name of FOLDERS) {
      const disks = (await Promise.all(folders[name].map(lookAt))).flat();
      const [fullest] = disks.sort((one, other) => one.freeOctets - other.freeOctets);
      if (fullest === undefined) found.delete(name);
      else found.set(name, fullest);
    }
    isLooking = false;
  };
  void look();
  return (of) => {
    if (!isLooking) void look();
    return [...found].map(([folder, disk]) => [of(disk), { folder }] as const);
  };
}

function releaseOf(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  return version;
}

/** Build, certificates and disks. */
export function exportProcess(deps: Deps): void {
  const release = { version: releaseOf(), node: process.version };
  const values = { version: [release.version], node: [release.node] };
  registerGauges(deps.metrics, buildGauges(values), { build: () => [[1, release]] });
  const disks = watchDisks(deps.config);
  registerGauges(deps.metrics, GAUGES, {
    expiry: () => readExpiry(deps),
    free: () => disks(({ freeOctets }) => freeOctets),
    size: () => disks(({ sizeOctets }) => sizeOctets),
  });
}
