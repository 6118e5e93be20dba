// Builds the S3 server of the tests, versitygw, into .cache/tools through Go. A finished program is used as it is: no network, no Go.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export const GATEWAY_VERSION = '1.8.0';

/** A build from nothing takes a minute and a half. */
const BUILD_WITHIN_MS = 300_000;

const cache = new URL('../../.cache/tools', import.meta.url).pathname;

/**
 * Path of the program; built when it is not there.
 *
 * @throws when Go is missing or cannot reach its proxy
 */
export function fetchGateway() {
  const program = join(cache, 'bin', `versitygw-${GATEWAY_VERSION}`);
  if (existsSync(program)) return program;
  const unfinished = join(cache, `versitygw.${process.pid}`);
  mkdirSync(unfinished, { recursive: true });
  mkdirSync(join(cache, 'bin'), { recursive: true });
  try {
    execFileSync('go', ['install', `github.com/versity/versitygw/cmd/versitygw@v${GATEWAY_VERSION}`], {
      env: { ...process.env, GOBIN: unfinished, CGO_ENABLED: '0' },
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
      timeout: BUILD_WITHIN_MS,
    });
    renameSync(join(unfinished, 'versitygw'), program);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return program;
}

/** Why the server cannot run here; undefined when it can. */
export function gatewayMissing() {
  try {
    fetchGateway();
    return undefined;
  } catch (error) {
    return (error.stderr?.trim() || error.message).split('\n').at(-1);
  }
}

/** What `npm run tools` does about S3. */
export function fetchS3() {
  const missing = gatewayMissing();
  if (missing === undefined) console.log(`tools: versitygw ${GATEWAY_VERSION}, an S3 server, in .cache/tools/bin`);
  else
    console.log(`TOOLS MISSING: versitygw ${GATEWAY_VERSION} cannot be had (${missing}). Tests that need it are left out, or fail in CI.`);
}
