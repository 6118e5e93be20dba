import { type AuthenticateResponse, Unavailable } from '@angarium/rpc';
import type { Clock } from '@angarium/runtime';
import type { Core } from '../core.ts';
import { REFUSALS, type Refusal } from '../replies.ts';
import type { Dialog } from './dialog.ts';

export interface Credentials {
  readonly login: string;
  readonly password: string;
  /** Identity to act as (RFC 4616 §2); empty: that of `login`. */
  readonly actAs: string;
}

const pause = (clock: Clock, delayMs: number): Promise<void> => new Promise((resolve) => clock.after(delayMs, resolve));

/**
 * Looks a password up. Resolves with the account, or with the refusal: a wrong password is answered after a pause, and the
 * last one that a session may try ends it. Nobody may act as somebody else.
 *
 * @param failures wrong passwords of this session before this one
 */
export async function answerLogin(
  core: Core,
  dialog: Dialog,
  credentials: Credentials,
  failures: number,
): Promise<{ readonly account: string } | { readonly refusal: Refusal }> {
  const { login, password, actAs } = credentials;
  if (!core.guesses.begin(dialog.client.key)) return { refusal: REFUSALS.authLocked };
  let answer: AuthenticateResponse;
  try {
    answer = await core.directory.authenticate({ login, password });
  } catch (error) {
    core.guesses.right(dialog.client.key); // no guess was judged
    if (error instanceof Unavailable) return { refusal: REFUSALS.authUnavailable };
    throw error;
  }
  if (answer.accepted && (actAs === '' || actAs === login)) {
    core.guesses.right(dialog.client.key);
    return { account: answer.account };
  }
  core.meters.authFailures.inc();
  core.logger.warn({ client: dialog.client.address, listener: dialog.listener }, 'ingress.auth.failed');
  await pause(core.clock, core.config.authFailureDelayMs);
  return { refusal: failures + 1 >= core.config.maxAuthFailures ? REFUSALS.authGivenUp : REFUSALS.authFailed };
}
