import { setImmediate } from 'node:timers/promises';
import { sevenBitSteps } from '@angarium/message';
import { formatData } from './smtp/content.ts';

export interface Form {
  /** As declared to the host: without dot-stuffing. */
  readonly octets: number;
  readonly data: readonly Buffer[];
}

/** A message's content in the forms that hosts may take; each is made once per attempt, when it is needed. */
export interface Contents {
  asIs(): Form;
  /** Undefined: it cannot be sent in seven bits. Lets others run in between. */
  sevenBit(): Promise<Form | undefined>;
}

const formOf = (content: Uint8Array): Form => ({ octets: content.length, data: formatData(content) });

async function convert(content: Uint8Array): Promise<Form | undefined> {
  const steps = sevenBitSteps(content);
  let step = steps.next();
  while (!step.done) {
    await setImmediate();
    step = steps.next();
  }
  return step.value && formOf(step.value);
}

export function createContents(content: Uint8Array): Contents {
  let asIs: Form | undefined;
  let sevenBit: Promise<Form | undefined> | undefined;
  return {
    asIs: () => {
      asIs ??= formOf(content);
      return asIs;
    },
    sevenBit: () => {
      sevenBit ??= convert(content);
      return sevenBit;
    },
  };
}
