import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Limit, ThresholdEvent } from '#contract/limits.ts';
import { LimitSet } from '../../gateway/limits/limiter.ts';
import { LocalLimiter } from '../../gateway/limits/local/local-limiter.ts';
import { createLimiterMemory } from '../../gateway/limits/memory/memory.ts';
import { AwayPolicy } from '../../gateway/limits/redis/away-policy.ts';
import { ExactLimiter } from '../../gateway/limits/redis/exact-limiter.ts';
import { RedisLink } from '../../gateway/limits/redis/redis-link.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { type Engine, freshSubjects, playRandom, playVector, t0, vectors } from './limiter-suite.ts';

function localEngine(): Engine {
  const events: ThresholdEvent[] = [];
  const limiter = new LocalLimiter(createLimiterMemory({ maxCounters: 10_000 }), 1, (event) =>
    events.push(event),
  );
  return { limiter, events, setNow: () => undefined, settle: async () => undefined };
}

const redisOf: { server: TestRedis | null; limiter: ExactLimiter | null } = { server: null, limiter: null };

function redisEngine(): Engine {
  let nowMs = t0;
  const events: ThresholdEvent[] = [];
  const link = new RedisLink({ url: redisOf.server!.url, detectMs: 5000 });
  const local = new LocalLimiter(createLimiterMemory({ maxCounters: 10 }), 1);
  const limiter = new ExactLimiter({
    ...{ link, holder: 'gw', budgetMs: 5000, leaseMs: 1_000_000_000 },
    away: new AwayPolicy({ action: 'closed', local, liveGateways: () => 1 }),
    ledgerNowUs: () => nowMs * 1000,
    onThreshold: (event) => events.push(event),
  });
  redisOf.limiter = limiter;
  return {
    limiter,
    events,
    setNow: (value) => {
      nowMs = value;
    },
    settle: async () => {
      await link.ready(5000);
      // Calls are answered in order, so that a later answer means that the earlier call is done.
      await new Promise((resolve) => setImmediate(resolve));
      await link.command('PING');
    },
  };
}

for (const [name, make] of [
  ['in-process', localEngine],
  ['Redis', redisEngine],
] as const) {
  describe(name, () => {
    let engine: Engine;
    before(async () => {
      if (name === 'Redis') redisOf.server = await startRedis();
      engine = make();
      await engine.settle();
    });
    after(async () => {
      await redisOf.limiter?.close();
      await redisOf.server?.stop();
      redisOf.limiter = null;
    });

    for (const vector of vectors) test(vector.title, () => playVector(engine, vector));

    test('the slots of a concurrency limit come back one by one', async () => {
      const set = new LimitSet([{ kind: 'concurrency', name: 'parallel', limit: 2 }], [], 'r');
      const subjects = freshSubjects();
      const take = async () => await engine.limiter.take(set, subjects, 1, t0);
      const first = (await take()).release!;
      const second = (await take()).release!;
      assert.equal((await take()).admitted, false);
      first();
      first();
      await engine.settle();
      assert.equal((await take()).admitted, true);
      assert.equal((await take()).admitted, false);
      second();
      await engine.settle();
      assert.equal((await take()).admitted, true);
    });

    test('a quota tells 80, 90 and 100 % once in its period', async () => {
      engine.events.length = 0;
      const set = new LimitSet(
        [{ kind: 'quota', name: 'daily', limit: 50, period: 'day', overage: 'warn' }],
        [],
        'r',
      );
      const subjects = freshSubjects();
      const spend = async (from: number) => {
        engine.setNow(from);
        for (let i = 0; i < 60; i++) await engine.limiter.take(set, subjects, 1, from);
        return engine.events
          .splice(0)
          .map(({ percent, subject, policy }) => `${subject} ${policy} ${percent}`);
      };
      const expected = [80, 90, 100].map((percent) => `${subjects[0]} daily ${percent}`);
      assert.deepEqual(await spend(t0), expected);
      assert.deepEqual(await spend(t0 + 1000), []);
      assert.deepEqual(await spend(t0 + 86_400_000), expected);
    });

    test('a changed plan keeps what has been spent', async () => {
      const subjects = freshSubjects();
      const bucket = (capacity: number, refill: number): LimitSet =>
        new LimitSet(
          [{ kind: 'token_bucket', name: 'b', capacity, refill, intervalMs: 60_000 } as Limit],
          [],
          'r',
        );
      engine.setNow(t0);
      assert.equal((await engine.limiter.take(bucket(10, 1), subjects, 10, t0)).admitted, true);
      assert.equal((await engine.limiter.take(bucket(15, 1), subjects, 6, t0)).admitted, false);
      assert.equal((await engine.limiter.take(bucket(15, 1), subjects, 5, t0)).admitted, true);
      engine.setNow(t0 + 60_000);
      assert.equal((await engine.limiter.take(bucket(15, 3), subjects, 3, t0 + 60_000)).admitted, true);
    });
  });
}

test('both engines decide a random sequence alike, step by step', async () => {
  redisOf.server = await startRedis();
  try {
    for (const seed of [1, 2, 3]) {
      const inProcess = await playRandom(localEngine(), seed, 2500);
      const engine = redisEngine();
      await engine.settle();
      const inRedis = await playRandom(engine, seed, 2500);
      await redisOf.limiter!.close();
      for (const [step, decision] of inProcess.entries()) {
        assert.equal(
          inRedis[step]?.replace(/"reachedAt":\d+/, ''),
          decision.replace(/"reachedAt":\d+/, ''),
          `seed ${seed}, step ${step}`,
        );
      }
      assert.equal(inRedis.length, inProcess.length);
      const refused = inProcess.filter((decision) => decision.includes('"admitted":false')).length;
      assert.ok(refused > 500 && refused < 2000, `the sequence decides both ways: ${refused} refused`);
    }
  } finally {
    await redisOf.server.stop();
  }
});
