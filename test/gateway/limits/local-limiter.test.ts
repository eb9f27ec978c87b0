import assert from 'node:assert/strict';
import test from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { defaultLimits, type Limit } from '#contract/limits.ts';
import { LimitSet } from '../../../gateway/limits/limiter.ts';
import { LocalLimiter } from '../../../gateway/limits/local/local-limiter.ts';
import { createLimiterMemory, type LimiterMemory } from '../../../gateway/limits/memory/memory.ts';
import { reclaimMember } from '../../../gateway/limits/memory/reclaim.ts';

const t0 = Date.UTC(2026, 4, 31, 12);
const subjects = (key: string): string[] => [key, 'app', 'account', 'route', `ip:${key}`, 'sub', ''];
const setOf = (...limits: Limit[]): LimitSet => new LimitSet(limits, [], 'r');
const small = (): LimiterMemory => createLimiterMemory({ maxCounters: 1000 });
const bucket = (capacity: number, refill: number, intervalMs: number): Limit => ({
  kind: 'token_bucket',
  name: 'burst',
  capacity,
  refill,
  intervalMs,
});

test('a bucket admits its burst, then its sustained rate', () => {
  const limiter = new LocalLimiter(small(), 1);
  const set = setOf(bucket(600, 100, 60_000));
  let admitted = 0;
  for (let i = 0; i < 700; i++) if (limiter.take(set, subjects('k'), 1, t0).admitted) admitted++;
  assert.equal(admitted, 600);
  const refused = limiter.take(set, subjects('k'), 1, t0);
  assert.equal(refused.retryAfterMs, 600);
  assert.equal(refused.resetMs[0], 360_000);
  assert.equal(limiter.take(set, subjects('k'), 1, t0 + 599).admitted, false);
  assert.equal(limiter.take(set, subjects('k'), 1, t0 + 600).admitted, true);
  admitted = 0;
  for (let ms = 0; ms < 60_000; ms += 10) {
    if (limiter.take(set, subjects('k'), 1, t0 + 600 + ms).admitted) admitted++;
  }
  assert.equal(admitted, 99);
});

test('what one limit refuses is not spent from the others', () => {
  const limiter = new LocalLimiter(small(), 1);
  const both = setOf(bucket(5, 1, 3_600_000), { kind: 'quota', name: 'daily', limit: 3, period: 'day' });
  for (let i = 0; i < 3; i++) assert.equal(limiter.take(both, subjects('k'), 1, t0).admitted, true);
  for (let i = 0; i < 9; i++) {
    const decision = limiter.take(both, subjects('k'), 1, t0);
    assert.equal(decision.admitted, false);
    assert.deepEqual([...decision.violated], [0, 1]);
    assert.deepEqual([...decision.remaining], [2, 0]);
  }
});

test('a quota begins anew with the UTC day and the UTC month', () => {
  const limiter = new LocalLimiter(small(), 1);
  const day = setOf({ kind: 'quota', name: 'daily', limit: 1, period: 'day' });
  const month = setOf({ kind: 'quota', name: 'monthly', limit: 1, period: 'month' });
  const midnight = Date.UTC(2026, 5, 1);
  for (const set of [day, month]) {
    assert.equal(limiter.take(set, subjects('k'), 1, midnight - 1000).admitted, true);
    const refused = limiter.take(set, subjects('k'), 1, midnight - 1000);
    assert.equal(refused.admitted, false);
    assert.equal(refused.retryAfterMs, 1000);
    assert.equal(limiter.take(set, subjects('k'), 1, midnight - 1).admitted, false);
    assert.equal(limiter.take(set, subjects('k'), 1, midnight).admitted, true);
  }
});

test('overage warn and charge admit beyond the quota and say so', () => {
  const limiter = new LocalLimiter(small(), 1);
  for (const overage of ['warn', 'charge'] as const) {
    const set = setOf({ kind: 'quota', name: overage, limit: 2, period: 'day', overage });
    assert.equal(limiter.take(set, subjects('k'), 2, t0).overage, null);
    const over = limiter.take(set, subjects('k'), 1, t0);
    assert.equal(over.admitted, true);
    assert.equal(over.overage, overage);
    assert.equal(over.remaining[0], 0);
  }
});

test('a limit in shadow reports and never refuses', () => {
  const limiter = new LocalLimiter(small(), 1);
  const set = setOf({ ...bucket(1, 1, 60_000), shadow: true });
  assert.equal(limiter.take(set, subjects('k'), 1, t0).shadowed, false);
  const decision = limiter.take(set, subjects('k'), 1, t0);
  assert.equal(decision.admitted, true);
  assert.equal(decision.shadowed, true);
  assert.equal(decision.violated[0], 1);
});

test('concurrency counts until release, and release counts once', () => {
  const limiter = new LocalLimiter(small(), 1);
  const set = setOf({ kind: 'concurrency', name: 'parallel', limit: 2 });
  const first = limiter.take(set, subjects('k'), 1, t0).release;
  const second = limiter.take(set, subjects('k'), 1, t0).release;
  assert.ok(first && second);
  assert.equal(limiter.take(set, subjects('k'), 1, t0).admitted, false);
  first();
  first();
  assert.equal(limiter.take(set, subjects('k'), 1, t0).admitted, true);
  assert.equal(limiter.take(set, subjects('k'), 1, t0).admitted, false);
});

test('a changed plan takes effect at once and keeps what has been spent', () => {
  const limiter = new LocalLimiter(small(), 1);
  const before = setOf(bucket(600, 100, 60_000));
  const after = setOf(bucket(1000, 200, 60_000));
  for (let i = 0; i < 600; i++) limiter.take(before, subjects('k'), 1, t0);
  assert.equal(limiter.take(before, subjects('k'), 1, t0).admitted, false);
  assert.equal(limiter.take(after, subjects('k'), 1, t0).remaining[0], 399);
  assert.equal(limiter.take(before, subjects('k'), 1, t0).admitted, false);
});

test('an adjustment spends or gives back without refusing', () => {
  const limiter = new LocalLimiter(small(), 1);
  const set = setOf(
    bucket(10, 1, 60_000),
    { kind: 'quota', name: 'daily', limit: 20, period: 'day' },
    {
      kind: 'sliding_window',
      name: 'minute',
      limit: 15,
      windowMs: 60_000,
    },
  );
  limiter.take(set, subjects('k'), 1, t0);
  assert.deepEqual([...limiter.adjust(set, subjects('k'), 11, t0)!.remaining], [0, 8, 3]);
  assert.equal(limiter.take(set, subjects('k'), 1, t0).admitted, false);
  assert.deepEqual([...limiter.adjust(set, subjects('k'), -11, t0)!.remaining], [9, 19, 14]);
});

test('in any window at most the limit is admitted, and no request is held back over 1 % too long', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.constantFrom(1, 10, 1000, 60_000, 3_600_000),
      fc.array(fc.tuple(fc.double({ min: 0, max: 0.3, noNaN: true }), fc.integer({ min: 1, max: 3 })), {
        maxLength: 300,
      }),
      (limit, windowMs, steps) => {
        const limiter = new LocalLimiter(small(), 1);
        const set = setOf({ kind: 'sliding_window', name: 'w', limit, windowMs });
        const admitted: { at: number; cost: number }[] = [];
        const within = (at: number, span: number): number =>
          admitted.reduce((sum, one) => (one.at > at - span ? sum + one.cost : sum), 0);
        let at = t0;
        for (const [pause, cost] of steps) {
          at += pause * windowMs;
          const used = within(at, windowMs);
          const decision = limiter.take(set, subjects('k'), cost, at);
          if (decision.admitted) {
            admitted.push({ at, cost });
            assert.ok(used + cost <= limit, `over-admitted: ${used} + ${cost} > ${limit}`);
          } else {
            assert.ok(within(at, windowMs * 1.0101) + cost > limit, 'refused without need');
          }
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('a bucket never admits more than burst plus refill in any span', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 7 }),
      fc.array(fc.tuple(fc.integer({ min: 0, max: 700 }), fc.integer({ min: 1, max: 3 })), {
        maxLength: 200,
      }),
      (capacity, refill, steps) => {
        const limiter = new LocalLimiter(small(), 1);
        const set = setOf(bucket(capacity, refill, 999));
        const admitted: { at: number; cost: number }[] = [];
        let at = t0;
        for (const [pause, cost] of steps) {
          at += pause;
          if (limiter.take(set, subjects('k'), cost, at).admitted) admitted.push({ at, cost });
        }
        for (let from = 0; from < admitted.length; from++) {
          let sum = 0;
          for (let to = from; to < admitted.length; to++) {
            sum += admitted[to]!.cost;
            const span = admitted[to]!.at - admitted[from]!.at;
            assert.ok(sum <= capacity + (span * refill) / 999 + 1e-6);
          }
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('windows and buckets survive the eviction of idle counters around them', () => {
  const limiter = new LocalLimiter(createLimiterMemory({ maxCounters: 48 }), 1);
  const set = setOf({ kind: 'sliding_window', name: 'w', limit: 3, windowMs: 60_000 });
  const idle = setOf(bucket(10, 10, 1000));
  let at = t0;
  for (let i = 0; i < 3; i++) assert.equal(limiter.take(set, subjects('k'), 1, at).admitted, true);
  for (let i = 0; i < 1000; i++) {
    at += 50;
    assert.equal(limiter.take(idle, subjects(`other-${i}`), 1, at).admitted, true);
    assert.equal(limiter.take(set, subjects('k'), 1, at).admitted, false);
  }
  assert.equal(limiter.table.displaced, 0);
});

test('memory full of active quotas refuses new counters instead of forgetting old ones', () => {
  const limiter = new LocalLimiter(createLimiterMemory({ maxCounters: 48 }), 1);
  const set = setOf({ kind: 'quota', name: 'daily', limit: 1, period: 'day' });
  const outcomes = new Map<string, boolean>();
  for (let i = 0; i < 100; i++) {
    const decision = limiter.take(set, subjects(`k${i}`), 1, t0);
    outcomes.set(`k${i}`, decision.admitted);
    assert.equal(decision.unavailable, !decision.admitted);
  }
  const known = [...outcomes].filter(([, admitted]) => admitted).length;
  assert.ok(known > 40 && known < 64, `${known}`);
  for (const key of outcomes.keys()) assert.equal(limiter.take(set, subjects(key), 1, t0).admitted, false);
  assert.equal(limiter.take(set, subjects('next day'), 1, t0 + 86_400_000).admitted, true);
});

test('a million keys under the default plan are all counted, in 120 MB', () => {
  const memory = createLimiterMemory();
  assert.ok(memory.buffer.byteLength <= 120e6);
  const limiter = new LocalLimiter(memory, 1);
  const set = setOf(...defaultLimits);
  const who = subjects('');
  for (let i = 0; i < 1_000_000; i++) {
    who[0] = `ak_live_${i}`;
    if (!limiter.take(set, who, 600, t0).admitted) assert.fail(`key ${i}`);
  }
  assert.equal(limiter.table.displaced, 0);
  for (let i = 0; i < 1_000_000; i += 997) {
    assert.equal(limiter.take(set, subjects(`ak_live_${i}`), 1, t0).remaining[1], 999_400);
  }
});

function runWorker(code: string, workerData: unknown): Worker {
  const url = (path: string): string =>
    JSON.stringify(new URL(`../../../gateway/limits/${path}`, import.meta.url).href);
  return new Worker(
    `const { workerData, parentPort } = require('node:worker_threads');
    (async () => {
      const { LocalLimiter } = await import(${url('local/local-limiter.ts')});
      const { LimitSet } = await import(${url('limiter.ts')});
      const limiter = new LocalLimiter(workerData.memory, workerData.member);
      ${code}
    })();`,
    { eval: true, workerData },
  );
}
const ended = (worker: Worker): Promise<unknown> => new Promise((resolve) => worker.once('exit', resolve));

test('all workers of a host together admit exactly the limit', async () => {
  const memory = small();
  const workers = 4;
  const limits: Limit[] = [
    bucket(100_000, 1, 86_400_000),
    { kind: 'quota', name: 'daily', limit: 87_654, period: 'day' },
    { kind: 'sliding_window', name: 'hour', limit: 90_000, windowMs: 3_600_000 },
  ];
  // They begin together, so that they are in each other's way.
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const counts = await Promise.all(
    Array.from(
      { length: workers },
      (_, i) =>
        new Promise<number>((resolve, reject) => {
          const worker = runWorker(
            `const set = new LimitSet(workerData.limits, [], 'r');
            const { gate, workers } = workerData;
            if (Atomics.add(gate, 0, 1) + 1 === workers) Atomics.notify(gate, 0);
            for (let n; (n = Atomics.load(gate, 0)) < workers; ) Atomics.wait(gate, 0, n);
            let admitted = 0;
            for (let i = 0; i < 40000; i++) {
              if (limiter.take(set, ['k', '', '', '', '', '', ''], 1, workerData.t0).admitted) admitted++;
            }
            parentPort.postMessage(admitted);`,
            { memory, member: i + 1, limits, t0, gate, workers },
          );
          worker.once('message', resolve).once('error', reject);
        }),
    ),
  );
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    87_654,
  );
  assert.ok(counts.filter((count) => count > 0).length > 1, 'more than one of them was admitted');
});

test('a worker that dies in the middle of a decision neither wedges the others nor keeps its slots', async () => {
  const memory = small();
  const parallel: Limit[] = [{ kind: 'concurrency', name: 'parallel', limit: 3 }];
  const worker = runWorker(
    `const set = new LimitSet(workerData.parallel, [], 'r');
    for (let i = 0; i < 3; i++) limiter.take(set, ['k', '', '', '', '', '', ''], 1, workerData.t0);
    for (let segment = 0; segment < limiter.table.segments; segment++) limiter.table.lock(segment);
    process.exit(0);`,
    { memory, member: 7, parallel, t0 },
  );
  await ended(worker);
  assert.equal(reclaimMember(memory, 7, 1), 3);
  const limiter = new LocalLimiter(memory, 2);
  const set = new LimitSet(parallel, [], 'r');
  for (let i = 0; i < 3; i++) assert.equal(limiter.take(set, subjects('k'), 1, t0).admitted, true);
  assert.equal(limiter.take(set, subjects('k'), 1, t0).admitted, false);
});

test('workers that are killed at any moment leave nothing locked, held, or spent too little', async () => {
  const memory = createLimiterMemory({ maxCounters: 48 });
  const limits: Limit[] = [
    { kind: 'concurrency', name: 'parallel', limit: 5 },
    { kind: 'quota', name: 'daily', limit: 1_000_000_000, period: 'day' },
  ];
  const set = new LimitSet(limits, [], 'r');
  const limiter = new LocalLimiter(memory, 1);
  const counted = new Int32Array(new SharedArrayBuffer(4));
  const rounds = 6;
  for (let round = 0; round < rounds; round++) {
    const workers = [2, 3].map((member) =>
      runWorker(
        `const set = new LimitSet(workerData.limits, [], 'r');
        const idle = new LimitSet([{ kind: 'token_bucket', name: 'b', capacity: 9, refill: 9, intervalMs: 1 }], [], 'r');
        const { counted } = workerData;
        parentPort.postMessage('running');
        for (let i = 0; ; i++) {
          const { admitted, release } = limiter.take(set, ['k', '', '', '', '', '', ''], 1, workerData.t0 + i);
          if (admitted) Atomics.add(counted, 0, 1);
          limiter.take(idle, ['other' + i, '', '', '', '', '', ''], 1, workerData.t0 + i * 1000);
          if (release) release();
        }`,
        { memory, member, limits, t0, counted },
      ),
    );
    await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
    const before = Atomics.load(counted, 0);
    while (Atomics.load(counted, 0) < before + 500 + round * 37)
      await new Promise((resolve) => setImmediate(resolve));
    await Promise.all(workers.map((worker) => worker.terminate()));
    for (const member of [2, 3]) reclaimMember(memory, member, 1);
    const taken = Array.from({ length: 6 }, () => {
      const { admitted, release } = limiter.take(set, subjects('k'), 1, t0);
      return { admitted, release };
    });
    assert.deepEqual(
      taken.map(({ admitted }) => admitted),
      [true, true, true, true, true, false],
      `round ${round}`,
    );
    for (const { release } of taken) release?.();
  }
  const { release, remaining } = limiter.take(set, subjects('k'), 1, t0);
  release?.();
  const spent = 1_000_000_000 - remaining[1]!;
  const known = Atomics.load(counted, 0) + rounds * 5 + 1;
  assert.ok(spent >= known, `spent ${spent}, admitted ${known}`);
  assert.ok(spent <= known + rounds * 2, `spent ${spent}, admitted ${known}`);
});

test('a lock whose holder died is taken over even if nobody reclaims it', async () => {
  const memory = createLimiterMemory({ maxCounters: 10 });
  const worker = runWorker('limiter.table.lock(0); process.exit(0);', { memory, member: 7 });
  await ended(worker);
  const limiter = new LocalLimiter(memory, 2);
  assert.equal(limiter.take(setOf(bucket(1, 1, 1000)), subjects('k'), 1, t0).admitted, true);
});
