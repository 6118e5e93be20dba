import type { Directory, Expansion } from '@angarium/rpc';
import { PLACEMENT_NAMES } from './placements.ts';

/** Forward-paths of one question: bounds the answer. */
const ASKED_MAX = 1000;

/**
 * Expansions of the forward-paths, each asked once.
 *
 * @throws Error when the directory does not answer, or answers what this release does not understand: never a verdict
 */
export async function askExpansions(directory: Directory, forwardPaths: ReadonlySet<string>): Promise<ReadonlyMap<string, Expansion>> {
  const asked = [...forwardPaths];
  const found = new Map<string, Expansion>();
  for (let from = 0; from < asked.length; from += ASKED_MAX) {
    const part = asked.slice(from, from + ASKED_MAX);
    const { expansions } = await directory.expand({ forwardPaths: part });
    part.forEach((forwardPath, at) => {
      const expansion = expansions[at];
      const isUsable =
        expansion && expansion.targets.length > 0 && expansion.targets.every(({ placement }) => PLACEMENT_NAMES.has(placement));
      if (!isUsable) throw new Error('the directory gave an answer that this release does not understand');
      found.set(forwardPath, expansion);
    });
  }
  return found;
}
