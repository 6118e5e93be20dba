// Fetches the programs that tests use beyond Node into .cache/tools: swaks, Postfix's smtp-source and smtp-sink, Prometheus,
// Kafka's jars, an S3 server, and what the chart is tested with.
// Nothing is installed on the machine: the packages are only unpacked. What cannot be had is said loudly; the tests
// that need it fail in CI and are left out elsewhere.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchKafka } from './kafka/jars.mjs';
import { fetchChartTools } from './kubernetes/chart-tools.mjs';
import { fetchS3 } from './s3/gateway.mjs';

const folder = new URL('../.cache/tools', import.meta.url).pathname;
const bin = join(folder, 'bin');
const unpacked = join(folder, 'root');
const PACKAGES = ['swaks', 'libnet-ssleay-perl', 'postfix', 'prometheus'];
const PROGRAMS = {
  swaks: 'usr/bin/swaks',
  'smtp-source': 'usr/sbin/smtp-source',
  'smtp-sink': 'usr/sbin/smtp-sink',
  prometheus: 'usr/bin/prometheus',
  promtool: 'usr/bin/promtool',
};

const run = (command, args) => execFileSync(command, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });

function download() {
  mkdirSync(unpacked, { recursive: true });
  try {
    run('apt-get', ['download', ...PACKAGES]);
  } catch {
    run('apt-get', ['update']);
    run('apt-get', ['download', ...PACKAGES]);
  }
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.deb'))) run('dpkg', ['-x', file, unpacked]);
}

/** A script that gives the unpacked program its libraries. */
function wrap(name, path) {
  const libraries = readdirSync(join(unpacked, 'usr/lib')).filter((entry) => entry.includes('-linux-'));
  const perl = libraries.flatMap((entry) => {
    const base = join(unpacked, 'usr/lib', entry, 'perl5');
    return existsSync(base) ? readdirSync(base).map((version) => join(base, version)) : [];
  });
  const script = [
    '#!/bin/sh',
    `export LD_LIBRARY_PATH=${join(unpacked, 'usr/lib/postfix')}`,
    `export PERL5LIB=${perl.join(':')}`,
    `exec ${join(unpacked, path)} "$@"`,
    '',
  ].join('\n');
  writeFileSync(join(bin, name), script);
  chmodSync(join(bin, name), 0o755);
}

fetchKafka();
fetchS3();
fetchChartTools();
if (Object.keys(PROGRAMS).every((name) => existsSync(join(bin, name)))) process.exit(0);
try {
  mkdirSync(bin, { recursive: true });
  download();
  for (const [name, path] of Object.entries(PROGRAMS)) wrap(name, path);
  console.log(`tools: ${Object.keys(PROGRAMS).join(', ')} in .cache/tools/bin`);
} catch (error) {
  console.log(
    `TOOLS MISSING: ${Object.keys(PROGRAMS).join(', ')} could not be had (${error.stderr?.trim() || error.message}). Tests that need them are left out, or fail in CI.`,
  );
}
