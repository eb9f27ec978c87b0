import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Redis } from 'ioredis';
import type { Limit } from '#contract/limits.ts';
import { LimitSet, type PreparedLimit } from '../../gateway/limits/limiter.ts';
import { ledgerKey, slotOf } from '../../gateway/limits/redis/ledger-keys.ts';
import { RedisLink } from '../../gateway/limits/redis/redis-link.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';

const t0 = Date.UTC(2026, 4, 31, 12) * 1000;
const second = 1_000_000;
let server: TestRedis;
let link: RedisLink;
let redis: Redis;
let sequence = 0;
let used = 0;

before(async () => {
  server = await startRedis();
  link = new RedisLink({ url: server.url, detectMs: 5000 });
  redis = new Redis(server.url);
  await link.ready(5000);
});
after(async () => {
  redis.disconnect();
  await link.close();
  await server.stop();
});

const limits = {
  bucket: { kind: 'token_bucket', name: 'b', capacity: 100, refill: 10, intervalMs: 1000 },
  window: { kind: 'sliding_window', name: 'w', limit: 100, windowMs: 10_000 },
  quota: { kind: 'quota', name: 'q', limit: 100, period: 'day' },
  charged: { kind: 'quota', name: 'o', limit: 100, period: 'day', overage: 'charge' },
  concurrency: { kind: 'concurrency', name: 'c', limit: 100 },
} as const satisfies Record<string, Limit>;

/** One counter that no other test uses, and the scripts as a gateway calls them. */
class Counter {
  readonly limit: PreparedLimit;
  readonly tag = `t${++used}`;
  readonly key: string;
  nowUs = t0;

  constructor(limit: Limit) {
    this.limit = new LimitSet([limit], [], 'r').limits[0]!;
    this.key = ledgerKey(this.tag, this.limit);
  }

  async take(cost: number, gateway = 'g1'): Promise<boolean> {
    const args = [String(this.nowUs), gateway, '5000', '1', String(cost), '1', ...this.limit.ledgerArguments];
    return (await link.run('take', this.tag, [this.key], args))[0] === 1;
  }

  async lease(
    gateway: string,
    held: number,
    want: number,
    need = 1,
    seq = ++sequence,
    extra = 0,
  ): Promise<number[]> {
    const numbers = [seq, held, want, need, extra].map(String);
    const args = [String(this.nowUs), gateway, '5000', '1', ...this.limit.ledgerArguments, ...numbers];
    return await link.run('lease', this.tag, [this.key], args);
  }

  async giveBack(gateway: string, unspent: number, keep = 0, seq = ++sequence): Promise<number> {
    const numbers = [seq, unspent, keep, 0].map(String);
    const args = [String(this.nowUs), gateway, '1', ...this.limit.ledgerArguments, ...numbers];
    return (await link.run('return', this.tag, [this.key], args))[0]!;
  }

  /** What is left, and what has been spent for good. */
  async read(): Promise<[left: number, spent: number]> {
    const args = [String(this.nowUs), 'reader', '1', ...this.limit.ledgerArguments, '0'];
    const reply = await link.run('quota', this.tag, [this.key], args);
    return [reply[0]!, reply[2]!];
  }
}

test('scripts are loaded again after Redis has forgotten them', async () => {
  const counter = new Counter(limits.quota);
  await redis.script('FLUSH');
  assert.equal(await counter.take(1), true);
  assert.deepEqual(await counter.read(), [99, 1]);
});

test('without a given time the clock is that of Redis', async () => {
  const counter = new Counter(limits.bucket);
  counter.nowUs = 0;
  assert.equal(await counter.take(100), true);
  const at = Number(await redis.hget(counter.key, 't'));
  const [seconds] = await redis.time();
  assert.ok(Math.abs(at / second - Number(seconds)) < 5);
});

test('every key expires, once its absence would say the same', async () => {
  for (const limit of Object.values(limits)) {
    const counter = new Counter(limit);
    await counter.take(30);
    await counter.lease('g1', 0, 20);
    const ttl = await redis.pttl(counter.key);
    assert.ok(ttl > 5000, `${limit.kind}: ${ttl}`);
    assert.ok(ttl <= 86_400_000 + 120_000, `${limit.kind}: ${ttl}`);
  }
  const keys = await redis.keys('*');
  for (const key of keys) assert.ok((await redis.pttl(key)) > 0, key);
});

test('what is leased is not there for anybody else, whatever the kind', async () => {
  for (const limit of [limits.bucket, limits.window, limits.quota, limits.concurrency]) {
    const counter = new Counter(limit);
    let granted = 0;
    for (const gateway of ['g1', 'g2', 'g3', 'g4']) granted += (await counter.lease(gateway, 0, 1000, 1))[0]!;
    let taken = 0;
    while (await counter.take(1, 'g5')) taken++;
    assert.equal(granted + taken, 100, limit.kind);
  }
});

test('slices shrink to one as the ledger runs dry', async () => {
  const counter = new Counter(limits.quota);
  const slices: number[] = [];
  let held = 0;
  for (;;) {
    const [granted] = await counter.lease('g1', held, 1000);
    if (granted === 0) break;
    slices.push(granted!);
    held += granted!;
  }
  assert.deepEqual(slices.slice(0, 3), [50, 25, 12]);
  assert.deepEqual(slices.slice(-2), [1, 1]);
  assert.equal(held, 100);
});

test('the debt of a lease begins to be refilled only when its spending has been told', async () => {
  const counter = new Counter(limits.bucket);
  assert.equal((await counter.lease('g1', 0, 100, 100))[0], 100);
  counter.nowUs += 4 * second;
  assert.equal((await counter.lease('g2', 0, 1))[0], 0);
  await counter.lease('g1', 40, 0);
  assert.deepEqual(await counter.read(), [0, 60]);
  counter.nowUs += second;
  assert.deepEqual(await counter.read(), [10, 50]);
});

test('unspent tokens that are returned are there again at once', async () => {
  for (const limit of [limits.bucket, limits.window, limits.quota]) {
    const counter = new Counter(limit);
    await counter.lease('g1', 0, 80, 80);
    assert.equal(await counter.giveBack('g1', 70), 90, limit.kind);
    assert.deepEqual(await counter.read(), [90, 10], limit.kind);
    assert.equal(await redis.hget(counter.key, 'Lg1'), null);
  }
});

test('the lease of a gateway that has gone counts as spent when it ends', async () => {
  for (const limit of [limits.bucket, limits.window, limits.quota]) {
    const counter = new Counter(limit);
    await counter.lease('g1', 0, 80, 80);
    counter.nowUs += 4.9 * second;
    assert.deepEqual(await counter.read(), [20, 0], limit.kind);
    counter.nowUs += 0.2 * second;
    assert.deepEqual(await counter.read(), [20, 80], limit.kind);
  }
  const slots = new Counter(limits.concurrency);
  await slots.lease('g1', 0, 80, 80);
  slots.nowUs += 5.1 * second;
  assert.deepEqual(await slots.read(), [100, 0]);
});

test('a quota lease ends with its period and does not burden the next', async () => {
  const counter = new Counter(limits.quota);
  counter.nowUs = t0 + 12 * 3600 * second - 2 * second;
  const reply = await counter.lease('g1', 0, 80, 80);
  assert.equal(reply[4], 2 * second);
  counter.nowUs += 2 * second;
  assert.deepEqual(await counter.read(), [100, 0]);
  assert.equal((await counter.lease('g1', 0, 1))[0], 1);
  assert.deepEqual(await counter.read(), [99, 0]);
});

test('a call that was overtaken by a later one changes nothing', async () => {
  const counter = new Counter(limits.quota);
  await counter.lease('g1', 0, 10, 10, 1000);
  await counter.lease('g1', 4, 10, 10, 1002);
  assert.deepEqual(await counter.read(), [80, 6]);
  assert.equal((await counter.lease('g1', 0, 10, 10, 1001))[0], -1);
  assert.deepEqual(await counter.read(), [80, 6]);
  await counter.giveBack('g1', 0, 0, 1001);
  assert.deepEqual(await counter.read(), [80, 6]);
});

test('the same report twice counts once', async () => {
  const counter = new Counter(limits.bucket);
  await counter.lease('g1', 0, 50, 50);
  for (let i = 0; i < 3; i++) await counter.lease('g1', 20, 0);
  assert.deepEqual(await counter.read(), [50, 30]);
});

test('a ledger that has lost its state takes in what gateways say they hold', async () => {
  const counter = new Counter(limits.quota);
  await counter.lease('g1', 0, 50, 50);
  await redis.del(counter.key);
  const [granted] = await counter.lease('g1', 50, 100);
  assert.equal(granted, 25);
  assert.deepEqual(await counter.read(), [25, 0]);
});

test('beyond a quota with overage, grants are marked', async () => {
  const counter = new Counter(limits.charged);
  await counter.take(100);
  const [granted, , , , , , overage] = await counter.lease('g1', 0, 30);
  assert.equal(granted, 30);
  assert.equal(overage, 1);
});

test('slots in use stay counted when the unused ones go back', async () => {
  const counter = new Counter(limits.concurrency);
  await counter.lease('g1', 0, 50, 50);
  assert.equal(await counter.giveBack('g1', 47, 3), 97);
  counter.nowUs += 4 * second;
  await counter.lease('g1', -4, 0);
  counter.nowUs += 4 * second;
  assert.deepEqual(await counter.read(), [97, 3]);
});

test('cluster slots are computed as Redis does', async () => {
  const cluster = await startRedis({ args: ['--cluster-enabled', 'yes'] });
  const client = new Redis(cluster.url);
  try {
    for (const tag of ['ak_test_abc', 'a', 'é', '#x', 'ip:2001:db8::/64']) {
      assert.equal(slotOf(tag), await client.cluster('KEYSLOT', `tg:{${tag}}:k:b/burst`));
    }
  } finally {
    client.disconnect();
    await cluster.stop();
  }
});
