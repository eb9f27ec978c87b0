import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Redis } from 'ioredis';
import { allocateNonces, SharedNonces } from '../../../gateway/credentials/nonces.ts';
import { openNonces } from '../../../gateway/credentials/open-nonces.ts';
import { RedisNonces } from '../../../gateway/credentials/redis-nonces.ts';
import { startRedis } from '../../support/redis.ts';

const nowMs = Date.UTC(2026, 0, 1);
const laterMs = nowMs + 301_000;

describe('nonces in shared memory', () => {
  test('a nonce is new once for each key', () => {
    const store = new SharedNonces(allocateNonces(1024));
    assert.equal(store.remember('a', 'n', laterMs, nowMs), 'new');
    assert.equal(store.remember('a', 'n', laterMs, nowMs), 'seen');
    assert.equal(store.remember('b', 'n', laterMs, nowMs), 'new');
    assert.equal(store.remember('a', 'm', laterMs, nowMs), 'new');
  });

  test('is remembered until it expires, and its room is used again afterwards', () => {
    const store = new SharedNonces(allocateNonces(32));
    for (let n = 0; n < 32; n++) assert.equal(store.remember('a', `n${n}`, laterMs, nowMs), 'new');
    assert.equal(store.remember('a', 'n0', laterMs, laterMs - 1), 'seen');
    assert.equal(store.remember('a', 'one more', laterMs, laterMs - 1), 'unavailable');
    const muchLaterMs = laterMs + 10_000;
    for (let n = 0; n < 32; n++) {
      assert.equal(store.remember('a', `n${n}`, muchLaterMs + 300_000, muchLaterMs), 'new');
    }
  });

  test('a full memory refuses rather than forgets', () => {
    const store = new SharedNonces(allocateNonces(32));
    for (let n = 0; n < 32; n++) store.remember('a', `n${n}`, laterMs, nowMs);
    assert.equal(store.remember('a', 'x', laterMs, nowMs), 'unavailable');
    for (let n = 0; n < 32; n++) assert.equal(store.remember('a', `n${n}`, laterMs, nowMs), 'seen');
  });

  test('several workers together admit each nonce exactly once', async () => {
    const workers = 4;
    const nonces = 3000;
    const memory = allocateNonces(1 << 13);
    const gate = new SharedArrayBuffer(4);
    const counts = new Array<number>(nonces).fill(0);
    await Promise.all(
      Array.from({ length: workers }, async () => {
        const worker = new Worker(new URL('./nonce-worker.ts', import.meta.url), {
          workerData: { memory, gate, workers, nonces, nowMs },
        });
        worker.on('message', (fresh: number[]) => {
          for (const n of fresh) counts[n]!++;
        });
        await once(worker, 'exit');
      }),
    );
    assert.deepEqual(new Set(counts), new Set([1]));
  });
});

describe('nonces in Redis', () => {
  test('are exact across gateways; without Redis as the policy says', async (t) => {
    const server = await startRedis();
    t.after(() => server.stop());
    const client = new Redis(server.url, { maxRetriesPerRequest: 0, retryStrategy: null });
    client.on('error', () => {});
    t.after(() => client.disconnect());
    const failures: unknown[] = [];
    const gateway = (whenAway: 'local' | 'closed'): RedisNonces =>
      new RedisNonces(client, new SharedNonces(allocateNonces(1024)), {
        whenAway,
        onFailure: (error) => failures.push(error),
      });
    const one = gateway('local');
    const two = gateway('closed');
    assert.equal(await one.remember('a', 'n', laterMs, nowMs), 'new');
    assert.equal(await one.remember('a', 'n', laterMs, nowMs), 'seen');
    assert.equal(await two.remember('a', 'n', laterMs, nowMs), 'seen');
    const lifeMs = await client.pttl('tollgate:nonce:{a}:n');
    assert.ok(lifeMs > 0 && lifeMs <= 301_000);
    assert.equal(failures.length, 0);
    await server.kill();
    assert.equal(await one.remember('a', 'after', laterMs, nowMs), 'new');
    assert.equal(await one.remember('a', 'after', laterMs, nowMs), 'seen');
    assert.equal(await two.remember('a', 'other', laterMs, nowMs), 'unavailable');
    assert.ok(failures.length >= 2);
  });

  test('a gateway with a Redis address uses it, and goes on alone without it', async (t) => {
    const server = await startRedis();
    t.after(() => server.stop());
    const changes: boolean[] = [];
    let changed = (): void => undefined;
    const open = async () => {
      const opened = await openNonces({
        memory: allocateNonces(1024),
        redisUrl: server.url,
        onChange: (away) => {
          changes.push(away);
          changed();
        },
      });
      t.after(() => opened.close());
      return opened.store;
    };
    const [one, two] = [await open(), await open()];
    const client = new Redis(server.url);
    await client.ping();
    client.disconnect();
    // Connections are made behind the scenes; what cannot be asked is decided alone.
    for (let n = 0; ; n++) {
      await one.remember('a', `warm-up ${n}`, laterMs, nowMs);
      if ((await two.remember('a', `warm-up ${n}`, laterMs, nowMs)) === 'seen') break;
      assert.ok(n < 10_000, 'both gateways reach Redis');
    }
    assert.equal(await one.remember('a', 'n', laterMs, nowMs), 'new');
    assert.equal(await two.remember('a', 'n', laterMs, nowMs), 'seen');
    changes.length = 0;
    const away = new Promise<void>((resolve) => {
      changed = resolve;
    });
    await server.kill();
    await away;
    assert.equal(changes[0], true);
    assert.equal(await one.remember('a', 'm', laterMs, nowMs), 'new');
    assert.equal(await one.remember('a', 'm', laterMs, nowMs), 'seen');
  });
});
