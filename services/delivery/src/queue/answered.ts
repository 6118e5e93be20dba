import { Unavailable } from '@angarium/rpc';
import { reasonOf } from '../pause.ts';

/** Whoever gave an order that could not be written may give it again. @throws Unavailable */
export async function answered<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new Unavailable(reasonOf(error));
  }
}
