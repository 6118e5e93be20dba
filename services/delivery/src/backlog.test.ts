import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Result } from '@angarium/records';
import { createSmallWorld, type SmallWorld } from './testing/small-world.ts';

const WARM_UP = 5000;
const WAITING = 60_000;
/** Of fold, scheduler and what delivery adds: a queue id of 26 octets, an address of 26 and a message id of 35 among them. */
const OCTETS = 300;
const MINUTE = 60_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const held = () => {
  // Buffers go with the second one.
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

async function defer({ fold, clock, append }: SmallWorld): Promise<void> {
  const reply = { code: 451, enhanced: '4.2.1', text: 'come back', remoteHost: 'mx.test' };
  for (const { queueId, recipients } of [...fold.messages.values()]) {
    const addresses = [...recipients.values()].map(({ address }) => address);
    const dueAtMs = clock.nowMs() + 5 * MINUTE;
    const part = {
      addresses,
      result: Result.DEFERRED,
      reply,
      dueAtMs,
      attempts: 1,
      relayed: false,
      notifyId: '',
      notifyTableVersion: 0,
      remoteHost: 'mx.test',
    };
    await append({ $case: 'outcome', value: { queueId, epoch: 1, attemptId: `0.1.${queueId}`, inDoubt: false, recipients: [part] } });
  }
}

test(`a waiting recipient takes at most ${OCTETS} octets of memory, while its site is dead and when it was deferred`, async () => {
  const world = await createSmallWorld();
  const { core, clock, enqueue } = world;
  // What is there once, such as compiled code, is not counted.
  await enqueue(0, WARM_UP, 'dead.test');
  await defer(world);
  const before = held();
  await enqueue(WARM_UP, WARM_UP + WAITING, 'dead.test');
  const behindSite = (held() - before) / WAITING;
  assert.ok((core.scheduler.site('dead.test')?.recipients.ready ?? 0) >= WAITING - 1, 'nothing but a probe was tried');
  assert.ok(behindSite <= OCTETS, `${behindSite} octets`);
  await defer(world);
  const deferred = (held() - before) / WAITING;
  assert.equal(core.scheduler.census(clock.nowMs()).deferred, WARM_UP + WAITING);
  assert.ok(deferred <= OCTETS, `deferred: ${deferred} octets`);
});

/** How many messages are looked at while fresh mail is delivered and a dead site is probed, with so many waiting for it. */
async function countLooks(waiting: number): Promise<number> {
  const { core, fold, clock, enqueue } = await createSmallWorld();
  await enqueue(0, waiting, 'dead.test');
  let looks = 0;
  const { at, get, values } = fold.messages;
  Object.assign(fold.messages, {
    at(slot: number) {
      looks++;
      return at(slot);
    },
    get(queueId: string) {
      looks++;
      return get(queueId);
    },
    *values() {
      for (const message of values()) {
        looks++;
        yield message;
      }
    },
  });
  await enqueue(waiting, waiting + 50, 'live.test');
  await clock.pass(2 * MINUTE);
  core.scheduler.census(clock.nowMs());
  fold.watermark();
  assert.equal(fold.waitingRecipients, waiting, 'fresh mail is delivered, and nothing else');
  return looks;
}

test('what is looked at to deliver, to probe, to count and to trim does not grow with what waits', async () => {
  assert.equal(await countLooks(20_000), await countLooks(1000));
});
