import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestDirectory } from '../testing/fixture.ts';
import { createHandClock } from '../testing/hand-clock.ts';
import { createAccountStates } from './accounts.ts';

function setUp() {
  const directory = createTestDirectory();
  const clock = createHandClock(0);
  let asked = 0;
  const counting = {
    ...directory,
    account: (request: { address: string }) => {
      asked += 1;
      return directory.account(request);
    },
  };
  return { directory, clock, states: createAccountStates({ directory: counting, clock, cacheMs: 2000 }), asked: () => asked };
}

test('the directory is asked once per account and cacheMs', async () => {
  const { directory, clock, states, asked } = setUp();
  directory.accounts.set('a@b', { quotaOctets: 5, disabled: false });
  assert.deepEqual(await Promise.all([states.stateOf('a@b'), states.stateOf('a@b')]), [
    { is: 'open', mailbox: 'a@b', quotaOctets: 5 },
    { is: 'open', mailbox: 'a@b', quotaOctets: 5 },
  ]);
  assert.equal(asked(), 1);
  clock.move(2000);
  directory.accounts.set('a@b', { quotaOctets: 5, disabled: true });
  assert.deepEqual(await states.stateOf('a@b'), { is: 'gone' });
});

test('an account that was gone and is there again is open at once', async () => {
  const { directory, states } = setUp();
  assert.deepEqual(await states.stateOf('a@b'), { is: 'gone' });
  directory.accounts.set('a@b', { quotaOctets: 0, disabled: false });
  assert.deepEqual(await states.stateOf('a@b'), { is: 'open', mailbox: 'a@b', quotaOctets: 0 });
});

test('an account that is unknown is gone; a directory that is down is asked again', async () => {
  const { directory, states } = setUp();
  directory.isDown = true;
  await assert.rejects(states.stateOf('a@b'));
  directory.isDown = false;
  assert.deepEqual(await states.stateOf('a@b'), { is: 'gone' });
});
