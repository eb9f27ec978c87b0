import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { CachePolicy } from '#contract/cache.ts';
import type { App, Plan, Route } from '#contract/registry.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { MemoryKeys } from '../../support/memory-keys.ts';
import { startUpstream, type TestUpstream } from '../../support/upstream.ts';
import { connectWire, type WireResponse } from '../../support/wire-client.ts';

const plan: Plan = {
  id: 'gold',
  limits: [
    { kind: 'token_bucket', name: 'burst', capacity: 1000, refill: 1, intervalMs: 86_400_000 },
    { kind: 'quota', name: 'daily', limit: 1000, period: 'day' },
  ],
};
const app = (id: string): App => ({ id, account: 'acc', name: id });
const shop = { secret: 'sk_live_shop', key: 'ak_live_shop' };
const other = { secret: 'sk_live_other', key: 'ak_live_other' };
const second = { secret: 'sk_live_second', key: 'ak_live_second' };
const tester = { secret: 'sk_test_shop', key: 'ak_test_shop' };

let upstream: TestUpstream;
let gateway: TestGateway;
let control = 'max-age=60';
let path = 0;

before(async () => {
  upstream = await startUpstream((request, socket) => {
    const body = `${request.header('x-tollgate-app')} ${request.header('x-tollgate-environment')}`;
    socket.write(
      `HTTP/1.1 200 OK\r\nCache-Control: ${control}\r\nX-RateLimit-Remaining: 7\r\nRateLimit: "up";r=7\r\nX-RateLimit-Cost: 5\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
  });
  const keys = new MemoryKeys();
  for (const [{ key, secret }, owner, environment] of [
    [shop, 'app_shop', 'live'],
    [second, 'app_shop', 'live'],
    [other, 'app_other', 'live'],
    [tester, 'app_shop', 'test'],
  ] as const) {
    keys.put(
      { id: key, kind: 'bearer', environment, app: owner, secrets: [{ plain: secret }] },
      app(owner),
      plan,
    );
  }
  for (const id of ['ak_live_signer', 'ak_live_signer2']) {
    keys.put(
      { id, environment: 'live', app: 'app_shop', secrets: [{ plain: `plain ${id}` }] },
      app('app_shop'),
      plan,
    );
  }
  const route = (id: string, cache: CachePolicy, more: Partial<Route> = {}): Route => ({
    ...{ id, service: 'origin', path: `/${id}`, authentication: { accept: ['bearer', 'hmac'] }, cache },
    ...more,
  });
  gateway = await startTestGateway({
    keys,
    services: [{ id: 'origin', targets: { live: [{ url: upstream.url }], test: [{ url: upstream.url }] } }],
    routes: [
      route('plain', {}),
      route('app', { perConsumer: true }),
      route('free', { countQuota: false }),
      route('optional', {}, { authentication: { accept: ['hmac'], optional: true } }),
    ],
  });
});

after(async () => {
  await gateway.stop();
  await upstream.stop();
});

async function get(
  route: string,
  secret: string | null,
): Promise<WireResponse & { hit: boolean; text: string }> {
  const wire = await connectWire(gateway.port);
  const credential = secret === null ? '' : `Authorization: Bearer ${secret}\r\n`;
  wire.send(`GET /${route}/${path} HTTP/1.1\r\nHost: a\r\n${credential}\r\n`);
  const response = await wire.readResponse();
  wire.destroy();
  return Object.assign(response, {
    hit: /hit/.test(response.header('cache-status') ?? ''),
    text: response.body.toString(),
  });
}

function fresh(cacheControl: string): void {
  path++;
  control = cacheControl;
  upstream.requests.length = 0;
}

describe('answers made for an identified consumer', () => {
  test('are shared only where the origin says that they are for everyone', async () => {
    for (const value of ['public, max-age=60', 's-maxage=60', 'max-age=60, must-revalidate']) {
      fresh(value);
      await get('plain', shop.secret);
      const answer = await get('plain', other.secret);
      assert.ok(answer.hit, value);
      assert.equal(upstream.requests.length, 1);
    }
  });

  test('are not stored from Authorization otherwise, without perConsumer', async () => {
    fresh('max-age=60');
    await get('plain', shop.secret);
    assert.equal((await get('plain', shop.secret)).hit, false);
  });

  test('are stored for the key alone when it signs instead', async () => {
    fresh('max-age=60');
    const signed = (id: string): string => {
      const code = createHmac('sha256', `plain ${id}`).update('').digest('hex');
      return `X-API-Key: ${id}:${code}\r\n`;
    };
    const ask = async (id: string): Promise<WireResponse> => {
      const wire = await connectWire(gateway.port);
      wire.send(`GET /plain/${path} HTTP/1.1\r\nHost: a\r\n${signed(id)}\r\n`);
      const response = await wire.readResponse();
      wire.destroy();
      return response;
    };
    assert.equal((await ask('ak_live_signer')).status, 200);
    assert.match((await ask('ak_live_signer')).header('cache-status')!, /hit/);
    assert.match((await ask('ak_live_signer2')).header('cache-status')!, /fwd=vary-miss/);
    assert.match((await ask('ak_live_signer2')).header('cache-status')!, /hit/);
    assert.equal(upstream.requests.length, 2);
  });

  test('with perConsumer are stored for each app', async () => {
    fresh('max-age=60');
    assert.equal((await get('app', shop.secret)).text, 'app_shop live');
    assert.ok((await get('app', second.secret)).hit, 'another key of the same app');
    const foreign = await get('app', other.secret);
    assert.equal(foreign.hit, false);
    assert.equal(foreign.text, 'app_other live');
    assert.ok((await get('app', other.secret)).hit);
  });

  test('with perConsumer even public ones are kept apart', async () => {
    fresh('public, max-age=60');
    await get('app', shop.secret);
    assert.equal((await get('app', other.secret)).hit, false);
  });

  test('private ones are not stored for anybody', async () => {
    fresh('private, max-age=60');
    await get('app', shop.secret);
    assert.equal((await get('app', shop.secret)).hit, false);
  });

  test('test and live are kept apart, whatever is public', async () => {
    fresh('public, max-age=60');
    assert.equal((await get('plain', shop.secret)).text, 'app_shop live');
    const answer = await get('plain', tester.secret);
    assert.equal(answer.text, 'app_shop test');
    assert.ok((await get('plain', tester.secret)).hit);
  });

  test('a crowd of consumers never gets what was made for another', async () => {
    fresh('max-age=60');
    const callers = Array.from({ length: 60 }, (_, i) => [shop, other][i % 2]!);
    const answers = await Promise.all(callers.map(({ secret }) => get('app', secret)));
    for (const [i, { text }] of answers.entries())
      assert.equal(text, i % 2 === 0 ? 'app_shop live' : 'app_other live');
    assert.ok(upstream.requests.length <= 4, `${upstream.requests.length}`);
  });
});

describe('a hit', () => {
  test('is only for those who may call the route', async () => {
    fresh('public, max-age=60');
    await get('plain', shop.secret);
    assert.equal((await get('plain', null)).status, 401);
    assert.equal((await get('plain', 'sk_live_unknown')).status, 401);
    assert.equal(upstream.requests.length, 1);
  });

  test('carries the limits of the one who asks, never stored ones', async () => {
    fresh('public, max-age=60');
    await get('plain', shop.secret);
    const remaining = (response: WireResponse): number =>
      Number(/"daily";r=(\d+)/.exec(response.header('ratelimit')!)![1]);
    const one = await get('plain', shop.secret);
    const two = await get('plain', shop.secret);
    assert.ok(one.hit && two.hit);
    assert.equal(remaining(two), remaining(one) - 1);
    assert.equal(
      two.headers.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'ratelimit').length,
      1,
    );
    assert.doesNotMatch(two.head, /"up"/);
    const names = two.headers.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
    assert.equal(new Set(names).size, names.length, 'no field twice');
  });

  test('has its own request id', async () => {
    fresh('public, max-age=60');
    const ids = [await get('plain', shop.secret), await get('plain', shop.secret)].map((response) =>
      response.header('x-request-id'),
    );
    assert.notEqual(ids[0], ids[1]);
  });

  test('spends no quota where the route says so, but the other limits', async () => {
    fresh('public, max-age=60');
    const before = await get('free', shop.secret);
    const hit = await get('free', shop.secret);
    assert.ok(hit.hit);
    assert.doesNotMatch(hit.header('ratelimit')!, /daily/);
    assert.match(hit.header('ratelimit')!, /"burst"/);
    fresh('no-store');
    const next = await get('free', shop.secret);
    const daily = (response: WireResponse): number =>
      Number(/"daily";r=(\d+)/.exec(response.header('ratelimit')!)![1]);
    // One for the miss in between, at the cost that its upstream stated.
    assert.equal(daily(before) - daily(next), 5);
  });

  test('says in its event that it was one', async () => {
    fresh('public, max-age=60');
    await get('plain', shop.secret);
    await get('plain', shop.secret);
    const states = gateway.observed.slice(-2).map(({ cacheState }) => cacheState);
    assert.deepEqual(states, ['miss', 'hit']);
  });
});
