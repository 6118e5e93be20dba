import { type ServiceError, status } from '@grpc/grpc-js';
import { Refused, Unavailable } from './ports.ts';

const CODE_BY_REASON = { invalid: status.INVALID_ARGUMENT, notFound: status.NOT_FOUND, exists: status.ALREADY_EXISTS } as const;

/** Status that goes over the wire. What is not ours to tell becomes INTERNAL without its text. */
export function toStatus(error: unknown): { code: status; details: string } {
  if (error instanceof Refused) return { code: CODE_BY_REASON[error.reason], details: error.message };
  if (error instanceof Unavailable) return { code: status.UNAVAILABLE, details: error.message };
  return { code: status.INTERNAL, details: 'internal error' };
}

/** The port's error of a failed call: `Refused` where the service said so, `Unavailable` for everything else. */
export function fromStatus(error: ServiceError): Refused | Unavailable {
  for (const [reason, code] of Object.entries(CODE_BY_REASON)) {
    if (error.code === code) return new Refused(reason as Refused['reason'], error.details);
  }
  return new Unavailable(`${status[error.code] ?? error.code}: ${error.details}`, { cause: error });
}
