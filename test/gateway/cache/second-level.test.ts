import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeRecord, encodeRecord } from '../../../gateway/cache/record-codec.ts';
import { RedisSecondLevel } from '../../../gateway/cache/redis-second-level.ts';
import { ResponseCache } from '../../../gateway/cache/response-cache.ts';
import type { ResponseRecord } from '../../../gateway/cache/stored-response.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { eventually } from '../../support/processes.ts';
import { startRedis, type TestRedis } from '../../support/redis.ts';
import { startUpstream, type TestUpstream } from '../../support/upstream.ts';
import { connectWire } from '../../support/wire-client.ts';

const record: ResponseRecord = {
  resource: 'h /',
  partition: 'p',
  consumer: null,
  vary: ['a'],
  selecting: 'a:1\n',
  routeId: 'r',
  status: 200,
  headers: ['date', 'x', 'x-ü', 'é'],
  body: Buffer.from('body'),
  requestTimeMs: 1,
  responseTimeMs: 2,
  initialAgeMs: 3,
  lifetimeMs: 4,
  noCache: false,
  mustRevalidate: true,
  shareable: false,
  staleWhileRevalidateMs: 5,
  staleIfErrorMs: 6,
  tags: ['t'],
};

describe('records as bytes', () => {
  test('come back as they were', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.array(fc.string()), fc.option(fc.string()), (body, tags, consumer) => {
        const one = { ...record, body: Buffer.from(body), tags, consumer };
        const back = decodeRecord(encodeRecord(one), Buffer.alloc)!;
        assert.deepEqual({ ...back, body: Buffer.from(back.body) }, one);
      }),
    );
  });

  test('are null when they are anything else', () => {
    const whole = encodeRecord(record);
    assert.equal(decodeRecord(Buffer.alloc(0), Buffer.alloc), null);
    assert.equal(decodeRecord(whole.subarray(0, 40), Buffer.alloc), null);
    assert.equal(decodeRecord(Buffer.concat([Buffer.from([9]), whole.subarray(1)]), Buffer.alloc), null);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
        const damaged = Buffer.from(whole);
        damaged[at] = byte;
        decodeRecord(damaged, Buffer.alloc);
      }),
    );
  });
});

describe('two gateways with one Redis', () => {
  let redis: TestRedis;
  let upstream: TestUpstream;
  const gateways: { gateway: TestGateway; cache: ResponseCache; second: RedisSecondLevel }[] = [];
  let path = 0;
  let held: (() => void)[] | null = null;
  let control = 'max-age=600';

  before(async () => {
    redis = await startRedis();
    upstream = await startUpstream((request, socket) => {
      const answer = (): void => {
        const body = `${request.target} #${upstream.requests.length}`;
        socket.write(
          `HTTP/1.1 200 OK\r\nCache-Control: ${control}\r\nSurrogate-Key: k${request.target}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        );
      };
      if (held === null) answer();
      else held.push(answer);
    });
    for (let i = 0; i < 2; i++) {
      const ready = Promise.withResolvers<void>();
      const second = new RedisSecondLevel({
        url: redis.url,
        allocate: Buffer.alloc,
        now: Date.now,
        onChange: (away) => {
          if (!away) ready.resolve();
        },
      });
      const cache = new ResponseCache({
        maxBytes: 1 << 24,
        now: Date.now,
        metrics: null,
        secondLevel: second,
      });
      const gateway = await startTestGateway({
        services: [{ id: 's', targets: { live: [{ url: upstream.url }] }, retries: 0 }],
        routes: [{ id: 'r', service: 's', path: '/', authentication: 'none', cache: {} }],
        dependencies: { cache },
      });
      await ready.promise;
      gateways.push({ gateway, cache, second });
    }
  });
  after(async () => {
    for (const { gateway, second } of gateways) {
      await gateway.stop();
      await second.close();
    }
    await upstream.stop();
    await redis.stop();
  });
  beforeEach(() => {
    path++;
    held = null;
    control = 'max-age=600';
    upstream.requests.length = 0;
  });

  async function get(
    which: number,
    target = `/${path}`,
    method = 'GET',
  ): Promise<{ body: string; status: string }> {
    const wire = await connectWire(gateways[which]!.gateway.port);
    wire.send(
      `${method} ${target} HTTP/1.1\r\nHost: a.test\r\n${method === 'GET' ? '' : 'Content-Length: 0\r\n'}\r\n`,
    );
    const response = await wire.readResponse({ method });
    wire.destroy();
    return { body: response.body.toString(), status: response.header('cache-status') ?? '' };
  }

  /** Resolves when Redis has the resource, or has it no more. */
  async function stored(expected: boolean): Promise<void> {
    await eventually(async () => {
      const found = await gateways[0]!.second.look({
        key: `probe ${path}`,
        resource: `a.test /${path}`,
        waitTimeoutMs: 0,
      });
      found.release?.();
      assert.equal(found.records.length > 0, expected);
    });
  }

  test('what one has stored the other serves', async () => {
    const { body } = await get(0);
    await stored(true);
    const other = await get(1);
    assert.equal(other.body, body);
    assert.match(other.status, /^tollgate; hit; ttl=\d+; detail=shared$/);
    assert.equal(upstream.requests.length, 1);
    assert.match((await get(1)).status, /^tollgate; hit; ttl=\d+$/);
  });

  test('a crowd at both is one upstream request', async () => {
    held = [];
    const answers = Promise.all(Array.from({ length: 100 }, (_, index) => get(index % 2)));
    await eventually(() => assert.equal(held!.length, 1));
    const [answer] = held;
    held = null;
    answer!();
    assert.equal(new Set((await answers).map(({ body }) => body)).size, 1);
    assert.equal(upstream.requests.length, 1);
  });

  test('what may not be stored is not shared, and does not keep the other waiting', async () => {
    control = 'private';
    const [one, two] = await Promise.all([get(0), get(1)]);
    assert.notEqual(one.body, two.body);
    assert.equal(upstream.requests.length, 2);
    await stored(false);
  });

  test('an unsafe request at one removes it from the second level', async () => {
    await get(0);
    await stored(true);
    await get(0, `/${path}`, 'DELETE');
    await stored(false);
  });

  for (const kind of ['key', 'prefix', 'all'] as const) {
    test(`a purge by ${kind} removes it from the second level`, async () => {
      const { body } = await get(0);
      await stored(true);
      const value = { key: `k/${path}`, prefix: `http://a.test/${path}`, all: '' }[kind];
      gateways[0]!.cache.purge({ kind, value, soft: false });
      await stored(false);
      assert.notEqual((await get(0)).body, body);
    });
  }

  test('without Redis every gateway asks the upstream, within the time a command is given', async () => {
    redis.pause();
    try {
      const answers = await Promise.all([get(0), get(1)]);
      for (const { status } of answers) assert.match(status, /stored/);
      assert.equal(upstream.requests.length, 2);
    } finally {
      redis.resume();
    }
    await redis.kill();
    const next = await get(0, `/${path}/next`);
    assert.match(next.status, /stored/);
  });
});
