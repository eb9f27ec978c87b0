import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { AddressRules, Cors } from '#contract/access.ts';
import { addressRulesSchema } from '#contract/access.ts';
import { mintSecret } from '#contract/keys.ts';
import type { Route } from '#contract/registry.ts';
import { check } from '#contract/validation.ts';
import { compileAddressRules } from '../../../gateway/phases/addresses.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { reply, startUpstream, type TestUpstream } from '../../support/upstream.ts';

let upstream: TestUpstream;
let gateway: TestGateway;
let nowMs = Date.UTC(2026, 0, 1);
const secret = mintSecret('live', randomBytes(32));

before(async () => {
  upstream = await startUpstream();
  gateway = await startTestGateway({
    services: [{ id: 's', targets: { live: [{ url: upstream.url }] } }],
    routes: [],
    now: () => nowMs,
    trustedProxies: ['127.0.0.1'],
  });
});
after(async () => {
  await gateway.stop();
  await upstream.stop();
});
beforeEach(() => {
  upstream.handle((_request, socket) =>
    reply(socket, 200, { 'Access-Control-Allow-Origin': 'https://evil.test', Vary: 'Accept' }, 'ok'),
  );
});

function use(...routes: Partial<Route>[]): void {
  gateway.route(
    routes.map((route, n) => ({ id: `r${n}`, service: 's', path: '/', authentication: 'none', ...route })),
  );
}

function send(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> {
  return fetch(gateway.url + path, { method, headers });
}

async function codeOf(response: Response): Promise<string> {
  return `${response.status} ${((await response.json()) as { code: string }).code}`;
}

describe('address rules', () => {
  const admits = (rules: AddressRules, address: string): boolean =>
    (compileAddressRules(rules) ?? (() => true))(address);

  test('deny stands above allow; an allow list admits only what is on it', () => {
    const rules = { allow: ['10.0.0.0/8', '2001:db8::/32'], deny: ['10.1.0.0/16', '2001:db8:1::/48'] };
    for (const [address, expected] of [
      ['10.0.0.1', true],
      ['10.1.2.3', false],
      ['11.0.0.1', false],
      ['2001:db8::1', true],
      ['2001:db8:1::1', false],
      ['::1', false],
      ['::ffff:10.0.0.1', true],
      ['nonsense', false],
    ] as const) {
      assert.equal(admits(rules, address), expected, address);
    }
    assert.ok(admits({ deny: ['10.0.0.1'] }, '10.0.0.2'));
    assert.ok(!admits({ deny: ['10.0.0.1'] }, '10.0.0.1'));
    assert.ok(!admits({ allow: [] }, '10.0.0.1'));
    assert.equal(compileAddressRules({}), null);
  });

  test('an entry that is no network is refused with the configuration, and admits nobody', () => {
    for (const entry of ['10.0.0.256', '10.0.0.0/33', 'example.com', '10.0.0', '::/129', '', '10.0.0.0/']) {
      assert.notDeepEqual(check(addressRulesSchema, { deny: [entry] }), [], entry);
      assert.ok(!admits({ deny: [entry] }, '10.9.9.9'), entry);
    }
    for (const entry of ['10.0.0.1', '0.0.0.0/0', '::/0', '::1', '2001:db8::/32', '::ffff:1.2.3.4']) {
      assert.deepEqual(check(addressRulesSchema, { allow: [entry] }), [], entry);
    }
  });

  test("a route's rules hold before authentication, for the client behind trusted proxies", async () => {
    use({ addresses: { deny: ['192.0.2.0/24'] }, authentication: {} });
    const from = (address: string) => send('/', { 'X-Forwarded-For': address });
    assert.equal(await codeOf(await from('192.0.2.7')), '403 address_not_allowed');
    assert.equal(await codeOf(await from('192.0.3.7')), '401 credentials_invalid');
  });

  test("a key's rules hold once it is authenticated", async () => {
    const keys = { id: 'ak_live_fenced', kind: 'bearer', environment: 'live' } as const;
    gateway.keys.put({ ...keys, secrets: [{ plain: secret }], addresses: { allow: ['192.0.2.0/24'] } });
    use({ authentication: {} });
    const from = (address: string) => send('/', { 'X-Forwarded-For': address, 'X-API-Key': secret });
    assert.equal((await from('192.0.2.7')).status, 200);
    assert.equal(await codeOf(await from('192.0.3.7')), '403 address_not_allowed');
  });
});

describe('failed attempts', () => {
  test('beyond the limit of an address are refused for the minute, right guesses too', async () => {
    gateway.keys.put({
      id: 'ak_live_good',
      kind: 'bearer',
      environment: 'live',
      secrets: [{ plain: secret }],
    });
    use({ authentication: { maxFailuresPerMinute: 3 } });
    const from = (address: string, key: string) =>
      send('/', { 'X-Forwarded-For': address, 'X-API-Key': key });
    for (let n = 0; n < 3; n++) assert.equal((await from('192.0.2.1', 'wrong')).status, 401);
    const refused = await from('192.0.2.1', secret);
    assert.equal(refused.headers.get('retry-after'), '60');
    assert.equal(await codeOf(refused), '429 rate_limited');
    assert.equal((await from('192.0.2.2', secret)).status, 200, 'another address');
    nowMs += 60_000;
    assert.equal((await from('192.0.2.1', secret)).status, 200, 'the next minute');
  });

  test('of one IPv6 network count together', async () => {
    use({ authentication: { maxFailuresPerMinute: 2 } });
    const from = (address: string) => send('/', { 'X-Forwarded-For': address, 'X-API-Key': 'wrong' });
    assert.equal((await from('2001:db8::1')).status, 401);
    assert.equal((await from('2001:db8::2')).status, 401);
    assert.equal((await from('2001:db8::3')).status, 429);
    assert.equal((await from('2001:db8:0:1::3')).status, 401);
  });
});

describe('CORS', () => {
  const origin = 'https://shop.example';
  const rules: Cors = { origins: [origin], credentials: true, headers: ['X-API-Key'], maxAgeSeconds: 60 };

  function preflight(from: string, method = 'POST', path = '/'): Promise<Response> {
    const headers = {
      Origin: from,
      'Access-Control-Request-Method': method,
      'Access-Control-Request-Headers': 'x-api-key, content-type',
    };
    return send(path, headers, 'OPTIONS');
  }

  test('a preflight is answered before authentication and reaches no service', async () => {
    use({ cors: rules, authentication: {}, methods: ['GET', 'POST'] });
    const before = upstream.requests.length;
    const response = await preflight(origin);
    assert.equal(response.status, 204);
    assert.equal(response.headers.get('access-control-allow-origin'), origin);
    assert.equal(response.headers.get('access-control-allow-credentials'), 'true');
    assert.equal(response.headers.get('access-control-allow-methods'), 'GET, POST');
    assert.equal(response.headers.get('access-control-allow-headers'), 'X-API-Key');
    assert.equal(response.headers.get('access-control-max-age'), '60');
    assert.match(response.headers.get('vary')!, /Origin/);
    assert.equal(upstream.requests.length, before);
  });

  test('a preflight belongs to the route of the method that it asks for', async () => {
    use({ methods: ['GET'] }, { methods: ['PUT'], cors: { origins: ['*'] } });
    assert.equal((await preflight(origin, 'PUT')).status, 204);
    assert.equal((await preflight(origin, 'GET')).status, 405);
    assert.equal((await send('/', {}, 'OPTIONS')).status, 405);
  });

  test('another origin gets no permission: 403 to its preflight, a bare answer to its request', async () => {
    use({ cors: rules });
    assert.equal(await codeOf(await preflight('https://evil.test')), '403 origin_not_allowed');
    const response = await send('/', { Origin: 'https://evil.test' });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('access-control-allow-origin'), null);
    assert.equal(response.headers.get('vary'), 'Accept, Origin');
  });

  test('refusals can be read by the page as well', async () => {
    use({ cors: rules, authentication: {} });
    const response = await send('/', { Origin: origin });
    assert.equal(response.status, 401);
    assert.equal(response.headers.get('access-control-allow-origin'), origin);
    assert.match(response.headers.get('access-control-expose-headers')!, /RateLimit/);
  });

  test('a wildcard never comes with credentials, and what the service says is replaced', async () => {
    use({ cors: { origins: ['*'], credentials: true } });
    const response = await send('/', { Origin: 'https://anyone.test' });
    assert.equal(response.headers.get('access-control-allow-origin'), '*');
    assert.equal(response.headers.get('access-control-allow-credentials'), null);
    assert.equal(response.headers.get('vary'), 'Accept');
  });

  test('a route without rules leaves all to the service', async () => {
    use({});
    const response = await send('/', { Origin: origin });
    assert.equal(response.headers.get('access-control-allow-origin'), 'https://evil.test');
  });
});
