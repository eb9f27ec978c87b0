import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Limit } from '#contract/limits.ts';
import { type Decision, LimitSet } from '../../../gateway/limits/limiter.ts';
import { LocalLimiter } from '../../../gateway/limits/local/local-limiter.ts';
import { createLimiterMemory } from '../../../gateway/limits/memory/memory.ts';
import { AwayPolicy } from '../../../gateway/limits/redis/away-policy.ts';
import { LeasedLimiter } from '../../../gateway/limits/redis/leased-limiter.ts';
import { RedisLink } from '../../../gateway/limits/redis/redis-link.ts';
import { freshSubjects, t0 } from '../../conformance/limiter-suite.ts';
import { startRedis, type TestRedis } from '../../support/redis.ts';

let server: TestRedis;
let reader: RedisLink;
let nowMs = t0;
let holders = 0;
const open = new Set<LeasedLimiter>();

before(async () => {
  server = await startRedis();
  reader = new RedisLink({ url: server.url, detectMs: 5000 });
  await reader.ready(5000);
});
after(async () => {
  for (const limiter of open) await limiter.close();
  await reader.close();
  await server.stop();
});

interface Gateway {
  readonly limiter: LeasedLimiter;
  readonly link: RedisLink;
  /** Until nothing is under way. */
  settle(): Promise<void>;
}

async function start(): Promise<Gateway> {
  const link = new RedisLink({ url: server.url, detectMs: 5000 });
  await link.ready(5000);
  const limiter = new LeasedLimiter({
    ...{ link, holder: `gw${++holders}`, budgetMs: 5000, leaseMs: 5000, idleMs: 1500 },
    away: new AwayPolicy({
      action: 'closed',
      local: new LocalLimiter(createLimiterMemory({ maxCounters: 100 }), 1),
      liveGateways: () => 1,
    }),
    ledgerNowUs: () => nowMs * 1000,
    monotonicMs: () => nowMs - t0,
  });
  open.add(limiter);
  return {
    limiter,
    link,
    settle: async () => {
      for (let i = 0; i < 3; i++) {
        await new Promise((resolve) => setImmediate(resolve));
        await link.command('PING');
      }
    },
  };
}

const quota = (limit: number, overage: 'block' | 'warn' | 'charge' = 'block'): LimitSet =>
  new LimitSet([{ kind: 'quota', name: 'q', limit, period: 'day', overage }], [], 'r');

/** What the ledger has left, and what it counts as spent. */
async function ledger(set: LimitSet, subject: string): Promise<[left: number, spent: number]> {
  const { ledgerSuffix, ledgerArguments } = set.limits[0]!;
  const key = `tg:{${subject}${ledgerSuffix}`;
  const reply = await reader.run(
    'quota',
    subject,
    [key],
    [String(nowMs * 1000), 'r', '1', ...ledgerArguments, '0'],
  );
  return [reply[0]!, reply[2]!];
}

async function take(gateway: Gateway, set: LimitSet, subjects: string[], cost = 1): Promise<Decision> {
  return await gateway.limiter.take(set, subjects, cost, nowMs);
}

test('nearly all decisions are taken at once, with few calls', async () => {
  const gateway = await start();
  const set = new LimitSet(
    [
      { kind: 'token_bucket', name: 'b', capacity: 100_000, refill: 10_000, intervalMs: 1000 },
      { kind: 'quota', name: 'q', limit: 1e9, period: 'day' },
    ],
    [],
    'r',
  );
  const subjects = freshSubjects();
  for (let i = 0; i < 20_000; i++) {
    nowMs += 0.1;
    assert.equal((await take(gateway, set, subjects)).admitted, true);
    if (i % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const { immediate, waited, alone } = gateway.limiter;
  assert.equal(immediate + waited + alone, 20_000);
  assert.ok(immediate >= 19_000, `${immediate} at once`);
  assert.ok(gateway.link.calls.lease <= 1000, `${gateway.link.calls.lease} calls for 20,000 requests`);
});

test('a refusal is remembered, not asked for again', async () => {
  const gateway = await start();
  const set = quota(10);
  const subjects = freshSubjects();
  for (let i = 0; i < 10; i++) assert.equal((await take(gateway, set, subjects)).admitted, true);
  await gateway.settle();
  assert.equal((await take(gateway, set, subjects)).admitted, false);
  const calls = gateway.link.calls.lease;
  for (let i = 0; i < 1000; i++) {
    const refused = await take(gateway, set, subjects);
    assert.equal(refused.admitted, false);
    assert.ok(Math.abs(refused.retryAfterMs - (12 * 3_600_000 - (nowMs - t0))) < 5);
  }
  assert.equal(gateway.link.calls.lease, calls);
});

test('a raised limit is in force at once, also for a gateway that remembers a refusal', async () => {
  const gateway = await start();
  const subjects = freshSubjects();
  assert.equal((await take(gateway, quota(1), subjects)).admitted, true);
  await gateway.settle();
  assert.equal((await take(gateway, quota(1), subjects)).admitted, false);
  assert.equal((await take(gateway, quota(3), subjects)).admitted, true);
});

test('a small limit can be used up by whoever comes, whichever gateway it meets', async () => {
  const gateways = await Promise.all(Array.from({ length: 6 }, start));
  const set = new LimitSet(
    [{ kind: 'sliding_window', name: 'hour', limit: 10, windowMs: 3_600_000 }],
    [],
    'r',
  );
  const subjects = freshSubjects();
  let admitted = 0;
  for (let i = 0; i < 20; i++) {
    nowMs += 300;
    const gateway = gateways[(i * 5) % 6]!;
    if ((await take(gateway, set, subjects)).admitted) admitted++;
    await gateway.settle();
  }
  assert.equal(admitted, 10);
});

test('what is unspent goes back at shutdown', async () => {
  const gateway = await start();
  const set = quota(1000);
  const subjects = freshSubjects();
  for (let i = 0; i < 5; i++) await take(gateway, set, subjects);
  await gateway.settle();
  assert.ok(gateway.limiter.stranded() > 0);
  await gateway.limiter.close();
  open.delete(gateway.limiter);
  assert.deepEqual(await ledger(set, subjects[0]!), [995, 5]);
});

test('what is idle goes back, and the lease is forgotten', async () => {
  const gateway = await start();
  const set = quota(1000);
  const subjects = freshSubjects();
  for (let i = 0; i < 5; i++) await take(gateway, set, subjects);
  await gateway.settle();
  for (let i = 0; i < 40; i++) {
    nowMs += 250;
    gateway.limiter.check();
    await gateway.settle();
  }
  assert.deepEqual(await ledger(set, subjects[0]!), [995, 5]);
  assert.equal(gateway.limiter.activeSubjects, 0);
  assert.equal(gateway.limiter.stranded(), 0);
});

test('a lease in use is renewed for as long as it is used', async () => {
  const gateway = await start();
  const set = quota(1000);
  const subjects = freshSubjects();
  for (let i = 0; i < 60; i++) {
    assert.equal((await take(gateway, set, subjects)).admitted, true);
    await gateway.settle();
    nowMs += 250;
    gateway.limiter.check();
    await gateway.settle();
  }
  const [left, spent] = await ledger(set, subjects[0]!);
  const held = gateway.limiter.stranded();
  assert.equal(left + spent + (1000 - left - spent), 1000);
  assert.ok(left >= 1000 - 60 - held && spent <= 60, `${left} left, ${spent} spent, ${held} held`);
});

test('a lease is not spent once the ledger may have ended it', async () => {
  const gateway = await start();
  const set = quota(1000);
  const subjects = freshSubjects();
  await take(gateway, set, subjects);
  await gateway.settle();
  const calls = gateway.link.calls.lease;
  nowMs += 4400;
  assert.ok(!(gateway.limiter.take(set, subjects, 1, nowMs) instanceof Promise));
  await gateway.settle();
  nowMs += 4600;
  const late = gateway.limiter.take(set, subjects, 1, nowMs);
  assert.ok(late instanceof Promise, 'asks again');
  assert.equal((await late).admitted, true);
  assert.ok(gateway.link.calls.lease > calls);
});

test('slots of a concurrency limit are shared by gateways and come back', async () => {
  const [one, two] = [await start(), await start()];
  const set = new LimitSet([{ kind: 'concurrency', name: 'c', limit: 6 } as Limit], [], 'r');
  const subjects = freshSubjects();
  const releases: (() => void)[] = [];
  for (let i = 0; i < 12; i++) {
    for (const gateway of [one, two]) {
      nowMs += 30;
      const { admitted, release } = await take(gateway, set, subjects);
      if (admitted) releases.push(release!);
      await gateway.settle();
    }
  }
  assert.equal(releases.length, 6);
  for (const release of releases) release();
  for (let i = 0; i < 40; i++) {
    nowMs += 250;
    for (const gateway of [one, two]) {
      gateway.limiter.check();
      await gateway.settle();
    }
  }
  assert.deepEqual(await ledger(set, subjects[0]!), [6, 0]);
});

test('a slot that one gateway does not use is soon there for another', async () => {
  const [one, two] = [await start(), await start()];
  const set = new LimitSet([{ kind: 'concurrency', name: 'c', limit: 3 } as Limit], [], 'r');
  const subjects = freshSubjects();
  const releases = [];
  for (let i = 0; i < 3; i++) {
    releases.push((await take(one, set, subjects)).release!);
    await one.settle();
  }
  assert.equal(one.limiter.stranded(), 0);
  for (const release of releases) release();
  for (let i = 0; i < 4; i++) {
    nowMs += 250;
    one.limiter.check();
    await one.settle();
  }
  for (let i = 0; i < 3; i++) assert.equal((await take(two, set, subjects)).admitted, true);
});

test('slots stay taken while their requests run, however long', async () => {
  const [one, two] = [await start(), await start()];
  const set = new LimitSet([{ kind: 'concurrency', name: 'c', limit: 1 } as Limit], [], 'r');
  const subjects = freshSubjects();
  const { release } = await take(one, set, subjects);
  for (let i = 0; i < 80; i++) {
    nowMs += 250;
    one.limiter.check();
    await one.settle();
    if (i % 10 === 0) assert.equal((await take(two, set, subjects)).admitted, false);
  }
  release!();
  for (let i = 0; i < 20; i++) {
    nowMs += 250;
    one.limiter.check();
    await one.settle();
  }
  assert.equal((await take(two, set, subjects)).admitted, true);
});

test('overage is admitted and marked, after the quota has been used up', async () => {
  const gateway = await start();
  const set = quota(20, 'charge');
  const subjects = freshSubjects();
  let charged = 0;
  for (let i = 0; i < 50; i++) {
    const { admitted, overage } = await take(gateway, set, subjects);
    await gateway.settle();
    assert.equal(admitted, true);
    if (overage === 'charge') charged++;
    else assert.equal(charged, 0);
  }
  assert.equal(charged, 30);
});

test('an adjustment reaches the ledger', async () => {
  const gateway = await start();
  const set = quota(100);
  const subjects = freshSubjects();
  await take(gateway, set, subjects);
  await gateway.settle();
  const before = (await take(gateway, set, subjects)).remaining[0]!;
  assert.equal(gateway.limiter.adjust(set, subjects, 30).remaining[0], before - 30);
  await gateway.settle();
  gateway.limiter.adjust(set, subjects, -5);
  await gateway.settle();
  await gateway.limiter.close();
  open.delete(gateway.limiter);
  assert.deepEqual(await ledger(set, subjects[0]!), [73, 27]);
});

test('limits with different subjects are decided together', async () => {
  const gateway = await start();
  const set = new LimitSet(
    [
      { kind: 'quota', name: 'q', scope: 'key', limit: 5, period: 'day' },
      { kind: 'quota', name: 'q', scope: 'ip', limit: 8, period: 'day' },
    ],
    [],
    'r',
  );
  const ip = `ip-${holders}`;
  const key = (name: string): string[] => [`${name}-${holders}`, '', '', '', ip, '', ''];
  const outcomes: string[] = [];
  for (const name of ['a', 'b']) {
    for (let i = 0; i < 6; i++) {
      const decision = await take(gateway, set, key(name));
      await gateway.settle();
      outcomes.push(decision.admitted ? '+' : decision.violated.slice(0, 2).join(''));
    }
  }
  assert.deepEqual(outcomes.slice(0, 6), ['+', '+', '+', '+', '+', '10']);
  assert.deepEqual(outcomes.slice(6, 9), ['+', '+', '+']);
  assert.equal(outcomes[9]![1], '1');
});
