// Builds the S3 server of the tests, versitygw, into .cache/tools.
import { fetchGoProgram, reasonOf } from '../fixtures/go-programs.mjs';

export const GATEWAY_VERSION = '1.8.0';

/**
 * Path of the program; built when it is not there.
 *
 * @throws when Go is missing or cannot reach its proxy
 */
export const fetchGateway = () =>
  fetchGoProgram({ name: 'versitygw', module: 'github.com/versity/versitygw/cmd/versitygw', version: GATEWAY_VERSION });

/** Why the server cannot run here; undefined when it can. */
export function gatewayMissing() {
  try {
    fetchGateway();
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

/** What `npm run tools` does about S3. */
export function fetchS3() {
  const missing = gatewayMissing();
  if (missing === undefined) console.log(`tools: versitygw ${GATEWAY_VERSION}, an S3 server, in .cache/tools/bin`);
  else
    console.log(`TOOLS MISSING: versitygw ${GATEWAY_VERSION} cannot be had (${missing}). Tests that need it are left out, or fail in CI.`);
}
