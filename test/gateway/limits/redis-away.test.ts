import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Redis } from 'ioredis';
import type { Limit } from '#contract/limits.ts';
import { type Decision, LimitSet } from '../../../gateway/limits/limiter.ts';
import { LocalLimiter } from '../../../gateway/limits/local/local-limiter.ts';
import { createLimiterMemory } from '../../../gateway/limits/memory/memory.ts';
import { type AwayAction, AwayPolicy } from '../../../gateway/limits/redis/away-policy.ts';
import { Census } from '../../../gateway/limits/redis/census.ts';
import { ExactLimiter } from '../../../gateway/limits/redis/exact-limiter.ts';
import { LeasedLimiter } from '../../../gateway/limits/redis/leased-limiter.ts';
import { RedisLink } from '../../../gateway/limits/redis/redis-link.ts';
import { freshSubjects } from '../../conformance/limiter-suite.ts';
import { startRedis, type TestRedis } from '../../support/redis.ts';
import { startToxicProxy, type ToxicProxy } from '../../support/toxic-proxy.ts';

const quota = (limit: number): LimitSet =>
  new LimitSet([{ kind: 'quota', name: 'q', limit, period: 'day' }], [], 'r');

/** A gateway's limiter whose Redis is behind a link that can be harmed. */
class Harness {
  redis!: TestRedis;
  proxy!: ToxicProxy;
  link!: RedisLink;
  limiter!: LeasedLimiter | ExactLimiter;
  readonly changes: { away: boolean; at: number }[] = [];
  longestWaitMs = 0;

  static async start(mode: 'leased' | 'exact', action: AwayAction, liveGateways = 1): Promise<Harness> {
    const harness = new Harness();
    harness.redis = await startRedis();
    harness.proxy = await startToxicProxy(harness.redis.port);
    harness.link = new RedisLink({
      url: `redis://127.0.0.1:${harness.proxy.port}`,
      onChange: (_server, away) => harness.changes.push({ away, at: performance.now() }),
    });
    const away = new AwayPolicy({
      action,
      local: new LocalLimiter(createLimiterMemory({ maxCounters: 1000 }), 1),
      liveGateways: () => liveGateways,
    });
    const options = { link: harness.link, away, holder: 'gw1', budgetMs: 25 };
    harness.limiter = mode === 'leased' ? new LeasedLimiter(options) : new ExactLimiter(options);
    await harness.link.ready(2000);
    return harness;
  }

  async take(set: LimitSet, subjects: string[], cost = 1): Promise<Decision> {
    const startedAt = performance.now();
    const decision = await this.limiter.take(set, subjects, cost, Date.now());
    this.longestWaitMs = Math.max(this.longestWaitMs, performance.now() - startedAt);
    return decision;
  }

  /** Decides for new subjects, which nothing is leased for, until `isReached`. */
  async until(isReached: () => boolean): Promise<void> {
    const deadline = performance.now() + 10_000;
    while (!isReached()) {
      assert.ok(performance.now() < deadline, 'never reached');
      await this.take(quota(10), freshSubjects());
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  get isAway(): boolean {
    return this.changes.at(-1)?.away ?? false;
  }

  async stop(): Promise<void> {
    await this.limiter.close();
    await this.proxy.stop();
    await this.redis.stop();
  }
}

/** Both modes share what is promised about a Redis that is away. */
for (const mode of ['leased', 'exact'] as const) {
  test(`${mode}: Redis is lost and comes back: no decision waits long, and each change is told once`, async () => {
    const harness = await Harness.start(mode, 'open');
    try {
      await harness.take(quota(10), freshSubjects());
      const lostAt = performance.now();
      harness.proxy.cut();
      await harness.until(() => harness.isAway);
      assert.ok(performance.now() - lostAt < 400, 'noticed in time');
      for (let i = 0; i < 50; i++)
        assert.equal((await harness.take(quota(10), freshSubjects())).admitted, true);
      harness.proxy.mend();
      await harness.until(() => !harness.isAway);
      assert.deepEqual(
        harness.changes.map(({ away }) => away),
        [true, false],
      );
      const subjects = freshSubjects();
      for (let i = 0; i < 10; i++) assert.equal((await harness.take(quota(10), subjects)).admitted, true);
      assert.equal((await harness.take(quota(10), subjects)).admitted, false);
      assert.ok(harness.longestWaitMs < 150, `waited ${harness.longestWaitMs} ms`);
    } finally {
      await harness.stop();
    }
  });

  test(`${mode}: a Redis that answers in 300 ms is away until it is quick again`, async () => {
    const harness = await Harness.start(mode, 'closed');
    try {
      await harness.take(quota(10), freshSubjects());
      const slowAt = performance.now();
      harness.proxy.latencyMs = 300;
      await harness.until(() => harness.isAway);
      assert.ok(performance.now() - slowAt < 400);
      const refused = await harness.take(quota(10), freshSubjects());
      assert.equal(refused.admitted, false);
      assert.equal(refused.unavailable, true);
      harness.proxy.latencyMs = 0;
      await harness.until(() => !harness.isAway);
      assert.equal((await harness.take(quota(10), freshSubjects())).admitted, true);
      assert.ok(harness.longestWaitMs < 150, `waited ${harness.longestWaitMs} ms`);
    } finally {
      await harness.stop();
    }
  });

  test(`${mode}: a Redis that hangs is noticed`, async () => {
    const harness = await Harness.start(mode, 'local');
    try {
      await harness.take(quota(10), freshSubjects());
      const frozenAt = performance.now();
      harness.redis.pause();
      await harness.until(() => harness.isAway);
      assert.ok(performance.now() - frozenAt < 400);
      harness.redis.resume();
      await harness.until(() => !harness.isAway);
    } finally {
      harness.redis.resume();
      await harness.stop();
    }
  });

  test(`${mode}: a connection that has died without a word is given up for a new one`, async () => {
    const harness = await Harness.start(mode, 'closed');
    try {
      await harness.take(quota(10), freshSubjects());
      harness.proxy.stall();
      await harness.until(() => harness.isAway);
      await harness.until(() => !harness.isAway);
      assert.equal((await harness.take(quota(10), freshSubjects())).admitted, true);
    } finally {
      await harness.stop();
    }
  });

  test(`${mode}: a Redis restarted empty works on, scripts and all`, async () => {
    const harness = await Harness.start(mode, 'local');
    try {
      const subjects = freshSubjects();
      for (let i = 0; i < 5; i++) await harness.take(quota(10), subjects);
      const { port } = harness.redis;
      await harness.redis.kill();
      await harness.until(() => harness.isAway);
      harness.redis = await startRedis({ port });
      await harness.until(() => !harness.isAway);
      const fresh = freshSubjects();
      for (let i = 0; i < 10; i++) assert.equal((await harness.take(quota(10), fresh)).admitted, true);
      assert.equal((await harness.take(quota(10), fresh)).admitted, false);
      // The lost ledger has forgotten at most what had been spent: the limit holds again from here on.
      let again = 0;
      for (let i = 0; i < 20; i++) if ((await harness.take(quota(10), subjects)).admitted) again++;
      assert.ok(again <= 10, `${again}`);
    } finally {
      await harness.stop();
    }
  });

  test(`${mode}: local enforces the limit divided by the living gateways`, async () => {
    const harness = await Harness.start(mode, 'local', 4);
    try {
      harness.proxy.cut();
      await harness.until(() => harness.isAway);
      for (const limit of [
        { kind: 'quota', name: 'q', limit: 40, period: 'day' },
        { kind: 'token_bucket', name: 'b', capacity: 40, refill: 1, intervalMs: 60_000 },
        { kind: 'sliding_window', name: 'w', limit: 40, windowMs: 60_000 },
      ] as const satisfies Limit[]) {
        const set = new LimitSet([limit], [], 'r');
        const subjects = freshSubjects();
        let admitted = 0;
        for (let i = 0; i < 50; i++) if ((await harness.take(set, subjects)).admitted) admitted++;
        assert.equal(admitted, 10, limit.kind);
      }
    } finally {
      await harness.stop();
    }
  });
}

test('leased: leases are spent before the policy for an absent Redis applies', async () => {
  const harness = await Harness.start('leased', 'closed');
  try {
    const subjects = freshSubjects();
    await harness.take(quota(1000), subjects);
    const held = (harness.limiter as LeasedLimiter).stranded();
    assert.ok(held > 2);
    harness.proxy.cut();
    await harness.until(() => harness.isAway);
    for (let i = 0; i < held; i++) assert.equal((await harness.take(quota(1000), subjects)).admitted, true);
    assert.equal((await harness.take(quota(1000), subjects)).unavailable, true);
  } finally {
    await harness.stop();
  }
});

test('leased: local counters begin where the ledger was, and what they admit is told to it afterwards', async () => {
  const harness = await Harness.start('leased', 'local');
  const direct = new Redis(harness.redis.url);
  try {
    const subjects = freshSubjects();
    for (let i = 0; i < 80; i++) assert.equal((await harness.take(quota(100), subjects)).admitted, true);
    harness.proxy.cut();
    await harness.until(() => harness.isAway);
    let admitted = 80;
    for (let i = 0; i < 100; i++) if ((await harness.take(quota(100), subjects)).admitted) admitted++;
    assert.ok(admitted <= 100 && admitted >= 90, `${admitted}`);
    harness.proxy.mend();
    await harness.until(() => !harness.isAway);
    const key = `tg:{${subjects[0]}}:k:qd/q`;
    const deadline = performance.now() + 10_000;
    while (Number(await direct.hget(key, 'u')) < admitted) {
      assert.ok(performance.now() < deadline, `told ${await direct.hget(key, 'u')} of ${admitted}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(Number(await direct.hget(key, 'u')), admitted);
  } finally {
    direct.disconnect();
    await harness.stop();
  }
});

test('leased: callers met while Redis is away are forgotten again', async () => {
  const harness = await Harness.start('leased', 'closed');
  try {
    const limiter = harness.limiter as LeasedLimiter;
    harness.proxy.cut();
    await harness.until(() => harness.isAway);
    for (let i = 0; i < 1000; i++) await harness.take(quota(10), freshSubjects());
    assert.ok(limiter.activeSubjects >= 1000);
    for (let i = 0; i < 20; i++) limiter.check();
    assert.equal(limiter.activeSubjects, 0);
  } finally {
    await harness.stop();
  }
});

test('leased: a second absence does not give out again what was spent since the first', async () => {
  const harness = await Harness.start('leased', 'local');
  try {
    const subjects = freshSubjects();
    let admitted = 0;
    const spend = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) if ((await harness.take(quota(100), subjects)).admitted) admitted++;
    };
    await spend(10);
    harness.proxy.cut();
    await harness.until(() => harness.isAway);
    await spend(20);
    harness.proxy.mend();
    await harness.until(() => !harness.isAway);
    await spend(60);
    harness.proxy.cut();
    await harness.until(() => harness.isAway);
    await spend(100);
    assert.ok(admitted <= 100 && admitted >= 85, `${admitted}`);
  } finally {
    await harness.stop();
  }
});

test('living gateways are counted in Redis', async () => {
  const redis = await startRedis();
  const links = [new RedisLink({ url: redis.url }), new RedisLink({ url: redis.url })] as const;
  const [one, two] = [new Census(links[0], 'one'), new Census(links[1], 'two')];
  try {
    for (const link of links) await link.ready(2000);
    await one.beat();
    assert.equal(one.live, 1);
    await two.beat();
    await one.beat();
    assert.deepEqual([one.live, two.live], [2, 2]);
    await redis.kill();
    await one.beat();
    assert.equal(one.live, 2);
  } finally {
    await one.leave();
    await two.leave();
    for (const link of links) await link.close();
    await redis.stop();
  }
});

test('a gateway that leaves is not counted any more', async () => {
  const redis = await startRedis();
  const link = new RedisLink({ url: redis.url });
  const [one, two] = [new Census(link, 'one'), new Census(link, 'two')];
  try {
    await link.ready(2000);
    await two.beat();
    await one.beat();
    assert.equal(one.live, 2);
    await two.leave();
    await one.beat();
    assert.equal(one.live, 1);
  } finally {
    await one.leave();
    await link.close();
    await redis.stop();
  }
});

test('without Redis from the beginning, decisions are local', async () => {
  const link = new RedisLink({ url: 'redis://127.0.0.1:1' });
  const local = new LocalLimiter(createLimiterMemory({ maxCounters: 100 }), 1);
  const limiter = new LeasedLimiter({
    ...{ link, holder: 'gw1' },
    away: new AwayPolicy({ action: 'local', local, liveGateways: () => 1 }),
  });
  assert.equal(await link.ready(300), false);
  const subjects = freshSubjects();
  let admitted = 0;
  for (let i = 0; i < 20; i++) {
    if ((await limiter.take(quota(10), subjects, 1, Date.now())).admitted) admitted++;
  }
  assert.equal(admitted, 10);
  await limiter.close();
});
