import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LimitSet } from '../../../gateway/limits/limiter.ts';
import { LocalLimiter } from '../../../gateway/limits/local/local-limiter.ts';
import { createLimiterMemory } from '../../../gateway/limits/memory/memory.ts';
import { AwayPolicy } from '../../../gateway/limits/redis/away-policy.ts';
import { ExactLimiter } from '../../../gateway/limits/redis/exact-limiter.ts';
import { LeasedLimiter } from '../../../gateway/limits/redis/leased-limiter.ts';
import { slotOf } from '../../../gateway/limits/redis/ledger-keys.ts';
import { RedisLink } from '../../../gateway/limits/redis/redis-link.ts';
import { startRedisCluster, type TestRedisCluster } from '../../support/redis-cluster.ts';

let cluster: TestRedisCluster;
let holders = 0;
const open: (LeasedLimiter | ExactLimiter)[] = [];

before(async () => {
  cluster = await startRedisCluster(3);
});
after(async () => {
  for (const limiter of open) await limiter.close();
  await cluster.stop();
});

async function start(
  mode: 'leased' | 'exact',
): Promise<{ limiter: LeasedLimiter | ExactLimiter; link: RedisLink }> {
  const link = new RedisLink({ url: cluster.url });
  const local = new LocalLimiter(createLimiterMemory({ maxCounters: 100 }), 1);
  const away = new AwayPolicy({ action: 'closed', local, liveGateways: () => 1 });
  const options = { link, away, holder: `gw${++holders}`, budgetMs: 1000 };
  const limiter = mode === 'leased' ? new LeasedLimiter(options) : new ExactLimiter(options);
  open.push(limiter);
  assert.equal(await link.ready(10_000), true);
  return { limiter, link };
}

const quota = new LimitSet([{ kind: 'quota', name: 'q', limit: 20, period: 'day' }], [], 'r');
const subjectsOf = (key: string, ip = ''): string[] => [key, '', '', '', ip, '', ''];

for (const mode of ['leased', 'exact'] as const) {
  test(`${mode}: limits hold on every master, for two gateways`, async () => {
    const gateways = [await start(mode), await start(mode)];
    const used = new Set<number>();
    for (let k = 0; k < 12; k++) {
      const key = `${mode}-${k}`;
      used.add(cluster.masterOf(slotOf(key)));
      let admitted = 0;
      for (let i = 0; i < 60; i++) {
        const { limiter } = gateways[i % 2]!;
        if ((await limiter.take(quota, subjectsOf(key), 1, Date.now())).admitted) admitted++;
      }
      assert.equal(admitted, 20, key);
    }
    assert.equal(used.size, 3);
  });

  test(`${mode}: limits whose counters are on different masters are decided together`, async () => {
    const { limiter } = await start(mode);
    const set = new LimitSet(
      [
        { kind: 'quota', name: 'q', scope: 'key', limit: 30, period: 'day' },
        { kind: 'quota', name: 'q', scope: 'ip', limit: 5, period: 'day' },
      ],
      [],
      'r',
    );
    for (let k = 0; k < 6; k++) {
      const key = `mixed-${mode}-${k}`;
      let admitted = 0;
      for (let ip = 0; ip < 10; ip++) {
        for (let i = 0; i < 8; i++) {
          const subjects = subjectsOf(key, `${key}-ip${ip}`);
          if ((await limiter.take(set, subjects, 1, Date.now())).admitted) admitted++;
        }
      }
      // Five for each address, and what an address refuses is not lost to the key: six addresses use the key up.
      assert.equal(admitted, 30, key);
    }
  });
}

test('a master that is killed takes only its own counters away, and nothing is admitted twice', async () => {
  const gateways = [await start('leased'), await start('exact')];
  const keys = Array.from({ length: 30 }, (_, i) => `killed-${i}`);
  const victim = 1;
  const isVictims = (key: string): boolean => cluster.masterOf(slotOf(key)) === victim;
  const admitted = new Map<string, number>();
  const round = async (): Promise<void> => {
    for (const key of keys) {
      for (const { limiter } of gateways) {
        const decision = await limiter.take(quota, subjectsOf(key), 1, Date.now());
        if (decision.admitted) admitted.set(key, (admitted.get(key) ?? 0) + 1);
      }
    }
  };
  for (let i = 0; i < 3; i++) await round();
  await cluster.masters[victim]!.kill();
  const deadline = performance.now() + 10_000;
  const victims = keys.filter(isVictims);
  while (!gateways.every(({ link }) => victims.some((key) => link.isAway(key)))) {
    assert.ok(performance.now() < deadline, 'the loss is noticed');
    await round();
  }
  for (let i = 0; i < 20; i++) await round();
  assert.ok(victims.length > 3 && victims.length < 27);
  for (const key of keys) {
    const count = admitted.get(key) ?? 0;
    assert.ok(count <= 20, `${key}: ${count}`);
    // Those of the living masters get all of their quota but for what the leased gateway still holds.
    if (!isVictims(key)) assert.ok(count >= 16, `${key}: ${count}`);
  }
});
