import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { allocateFlightLocks, FlightLocks } from '../../../gateway/cache/flight-locks.ts';
import { ResponseStore } from '../../../gateway/cache/store.ts';
import type { ResponseRecord } from '../../../gateway/cache/stored-response.ts';

const request = { headers: [] as string[], forwardedFor: '', forwardedHost: '', forwardedProto: '' };

function record(resource: string, more: Partial<ResponseRecord> = {}): ResponseRecord {
  return {
    resource,
    partition: 'p',
    consumer: null,
    vary: [],
    selecting: '',
    routeId: 'r',
    status: 200,
    headers: ['date', 'Thu, 15 Jan 2026 12:00:00 GMT'],
    body: Buffer.alloc(1000),
    requestTimeMs: 1000,
    responseTimeMs: 1000,
    initialAgeMs: 0,
    lifetimeMs: 60_000,
    noCache: false,
    mustRevalidate: false,
    shareable: false,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    tags: [],
    ...more,
  };
}

const lookup = (resource: string, consumer: string | null = null) => ({ resource, partition: 'p', consumer });

describe('the store', () => {
  test('holds no more bytes than it is given, header bytes counted', () => {
    const store = new ResponseStore(100_000);
    for (let i = 0; i < 1000; i++) store.put(record(`h /${i}`, { headers: ['x-long', 'v'.repeat(500)] }));
    assert.ok(store.bytes <= 100_000);
    assert.ok(store.size > 20 && store.size < 60, `${store.size}`);
    const { bytes, entries, evictions } = store.usage().get('r')!;
    assert.deepEqual([bytes, entries, evictions], [store.bytes, store.size, 1000 - store.size]);
  });

  test('evicts what was used longest ago', () => {
    const store = new ResponseStore(10_000);
    for (const name of ['a', 'b', 'c']) store.put(record(`h /${name}`));
    store.find(lookup('h /a'), request);
    store.put(record('h /d'));
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((name) => store.has(`h /${name}`)),
      [true, false, true, true],
    );
  });

  test('refuses what is larger than all of it', () => {
    const store = new ResponseStore(5000);
    assert.equal(store.put(record('h /', { body: Buffer.alloc(6000) })), null);
    assert.equal(store.has('h /'), false);
    assert.equal(store.bytes, 0);
  });

  test('a response for one consumer is found by nobody else', () => {
    const store = new ResponseStore(1e6);
    store.put(record('h /', { consumer: 'me' }));
    assert.ok(store.find(lookup('h /', 'me'), request));
    assert.equal(store.find(lookup('h /', 'you'), request), null);
    assert.equal(store.find(lookup('h /'), request), null);
  });

  test('another partition finds nothing', () => {
    const store = new ResponseStore(1e6);
    store.put(record('h /'));
    assert.equal(store.find({ ...lookup('h /'), partition: 'q' }, request), null);
  });

  test('what was asked for before a removal is not stored after it, what was asked for later is', () => {
    const store = new ResponseStore(1e6);
    store.invalidate('h /', 2000);
    assert.equal(store.put(record('h /', { requestTimeMs: 2000 })), null);
    assert.ok(store.put(record('h /', { requestTimeMs: 2001 })));
    store.purge({ kind: 'key', value: 'tag', soft: false }, 3000);
    assert.equal(store.put(record('h /2', { requestTimeMs: 2500, tags: ['tag'] })), null);
    assert.ok(store.put(record('h /2', { requestTimeMs: 2500, tags: ['other'] })));
    store.purge({ kind: 'prefix', value: 'h/a', soft: false }, 4000);
    assert.equal(store.put(record('h /abc', { requestTimeMs: 3500 })), null);
    assert.ok(store.put(record('h /b', { requestTimeMs: 3500 })));
  });

  test('older news do not replace newer', () => {
    const store = new ResponseStore(1e6);
    store.put(record('h /', { requestTimeMs: 5000, body: Buffer.from('new') }));
    store.put(record('h /', { requestTimeMs: 4000, body: Buffer.from('old') }));
    assert.equal(store.find(lookup('h /'), request)!.body.toString(), 'new');
  });

  test('purging by key, prefix and all removes exactly what is meant', () => {
    const store = new ResponseStore(1e6);
    const fill = (): void => {
      store.put(record('a /x', { tags: ['one', 'two'], requestTimeMs: Date.now() }));
      store.put(record('a /x/y', { tags: ['two'], requestTimeMs: Date.now() }));
      store.put(record('b /x', { tags: ['oneandmore'], requestTimeMs: Date.now() }));
    };
    fill();
    assert.equal(store.purge({ kind: 'key', value: 'one', soft: false }, 0), 1);
    assert.deepEqual([store.has('a /x'), store.has('a /x/y'), store.has('b /x')], [false, true, true]);
    fill();
    assert.equal(store.purge({ kind: 'prefix', value: 'https://A/x', soft: false }, 0), 2);
    assert.deepEqual([store.has('a /x'), store.has('a /x/y'), store.has('b /x')], [false, false, true]);
    fill();
    assert.equal(store.purge({ kind: 'all', value: '', soft: false }, 0), 3);
    assert.equal(store.bytes, 0);
  });

  test('a soft purge makes stale and keeps', () => {
    const store = new ResponseStore(1e6);
    store.put(record('a /'));
    assert.equal(store.purge({ kind: 'all', value: '', soft: true }, 11_000), 1);
    const entry = store.find(lookup('a /'), request)!;
    assert.equal(entry.lifetimeMs, 10_000);
  });

  test('its books stay right under any sequence of changes', () => {
    const step = fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd'),
      size: fc.nat(3000),
      kind: fc.constantFrom('put', 'put', 'vary', 'drop', 'invalidate'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const store = new ResponseStore(12_000);
        let time = 10;
        for (const { name, size, kind } of steps) {
          time += 10;
          const resource = `h /${name}`;
          if (kind === 'put') store.put(record(resource, { body: Buffer.alloc(size), requestTimeMs: time }));
          else if (kind === 'vary')
            store.put(
              record(resource, { vary: ['foo'], selecting: `foo:${size % 3}\n`, requestTimeMs: time }),
            );
          else if (kind === 'invalidate') store.invalidate(resource, time - 5);
          else for (const entry of store.variantsOf(lookup(resource))) store.drop(entry);
          let bytes = 0;
          let entries = 0;
          for (const each of ['a', 'b', 'c', 'd']) {
            const variants = store.variantsOf(lookup(`h /${each}`));
            assert.equal(store.has(`h /${each}`), variants.length > 0);
            for (const entry of variants) bytes += entry.size;
            entries += variants.length;
          }
          assert.deepEqual([store.bytes, store.size], [bytes, entries]);
          assert.ok(store.bytes <= 12_000);
          const usage = store.usage().get('r');
          assert.deepEqual([usage?.bytes ?? 0, usage?.entries ?? 0], [bytes, entries]);
        }
      }),
    );
  });
});

describe('locks of flights', () => {
  test('one holder at a time; whoever waits is woken by the release', async () => {
    const locks = new FlightLocks(allocateFlightLocks());
    const release = locks.acquire('k');
    assert.ok(release);
    assert.equal(locks.acquire('k'), null);
    const waiting = locks.wait('k', 60_000);
    release();
    await waiting;
    assert.ok(locks.acquire('k'));
  });

  test('a lock whose holder died runs out', async () => {
    const table = allocateFlightLocks();
    assert.ok(new FlightLocks(table, -1).acquire('k'));
    const locks = new FlightLocks(table);
    await locks.wait('k', 60_000);
    assert.ok(locks.acquire('k'));
  });

  test('releasing twice does not release the next holder', () => {
    const locks = new FlightLocks(allocateFlightLocks());
    const first = locks.acquire('k')!;
    first();
    assert.ok(locks.acquire('k'));
    first();
    assert.equal(locks.acquire('k'), null);
  });
});
