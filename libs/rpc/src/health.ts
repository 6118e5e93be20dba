import type { Server } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation, protoPath } from 'grpc-health-check';

const LOOK_MS = 1000;
const PROTO = new URL('../../../proto/', import.meta.url).pathname;

/**
 * gRPC's health service (grpc.health.v1): the server as a whole, under the empty name, and each of its services are SERVING while
 * `isReady` says so, looked at every second. The returned function says NOT_SERVING from then on.
 */
export function addHealth(server: Server, names: readonly string[], isReady: () => boolean): () => void {
  const all = ['', ...names];
  const health = new HealthImplementation(Object.fromEntries(all.map((name) => [name, 'NOT_SERVING'])));
  const tell = (status: 'SERVING' | 'NOT_SERVING') => {
    for (const name of all) health.setStatus(name, status);
  };
  let was = false;
  const look = () => {
    if (isReady() === was) return;
    was = !was;
    tell(was ? 'SERVING' : 'NOT_SERVING');
  };
  health.addToServer(server);
  look();
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    tell('NOT_SERVING');
  };
}

/** Server reflection, so that grpcurl and its like need no files: of our public interfaces, which hold no secret. */
export function addReflection(server: Server, files: readonly string[]): void {
  new ReflectionService(loadSync([...files, protoPath], { includeDirs: [PROTO] })).addToServer(server);
}
