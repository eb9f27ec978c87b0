import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { mintSecret } from '#contract/keys.ts';
import { openDecisionListener } from '../../../gateway/decision/listener.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { makeFolder, removeFolder } from '../../support/temporary-folder.ts';

let gateway: TestGateway;
const secret = mintSecret('live', randomBytes(32));
const bearer = mintSecret('live', randomBytes(32));

before(async () => {
  gateway = await startTestGateway({
    services: [{ id: 's', targets: { live: [{ url: 'http://127.0.0.1:1' }] } }],
    versions: [{ id: 'v1', state: 'deprecated', deprecatedAt: '2026-01-01T00:00:00Z' }],
    routes: [
      { id: 'payments', service: 's', path: '/v1/payments', version: 'v1', methods: ['GET', 'POST'] },
      {
        id: 'small',
        service: 's',
        path: '/small',
        limits: [{ kind: 'token_bucket', name: 'tiny', capacity: 1, refill: 1, intervalMs: 3_600_000 }],
      },
      {
        id: 'hosted',
        service: 's',
        path: '/',
        hosts: ['api.example.com'],
        addresses: { deny: ['192.0.2.9'] },
        authentication: 'none',
      },
    ],
    trustedProxies: ['198.51.100.1'],
  });
  gateway.keys.put({
    id: 'ak_live_bearer',
    kind: 'bearer',
    environment: 'live',
    app: 'app_1',
    account: 'acc_1',
    secrets: [{ plain: bearer }],
  });
  gateway.keys.put({ id: 'ak_live_signer', environment: 'live', secrets: [{ plain: secret }] });
});
after(() => gateway.stop());

function ask(headers: Record<string, string>, init: RequestInit = {}, path = '/'): Promise<Response> {
  return fetch(`http://127.0.0.1:${gateway.decisionPort}${path}`, { headers, ...init });
}

const nginx = (uri: string, more: Record<string, string> = {}): Record<string, string> => ({
  'X-Original-Method': 'GET',
  'X-Original-URI': uri,
  'X-Original-Host': 'shop.test',
  'X-API-Key': bearer,
  ...more,
});

describe('a question', () => {
  test('about a request that may pass is answered 200 with identity, limits and life cycle, and forwards nothing', async () => {
    const response = await ask(nginx('/v1/payments?x=1'));
    assert.equal(response.status, 200);
    assert.equal(await response.text(), '');
    const { headers } = response;
    assert.equal(headers.get('x-tollgate-key-id'), 'ak_live_bearer');
    assert.equal(headers.get('x-tollgate-app'), 'app_1');
    assert.equal(headers.get('x-tollgate-account'), 'acc_1');
    assert.equal(headers.get('x-tollgate-environment'), 'live');
    assert.match(headers.get('ratelimit')!, /burst/);
    assert.ok(headers.get('deprecation'));
    assert.ok(headers.get('x-request-id'));
    const exchange = gateway.observed.at(-1)!;
    assert.equal(exchange.path, '/v1/payments');
    assert.equal(exchange.host, 'shop.test');
  });

  test('may come with the fields of Caddy and Traefik, or as the request itself', async () => {
    const caddy = { 'X-Forwarded-Method': 'POST', 'X-Forwarded-Uri': '/v1/payments', 'X-API-Key': bearer };
    assert.equal((await ask(caddy)).status, 200);
    assert.equal((await ask({ ...caddy, 'X-Forwarded-Method': 'DELETE' })).status, 405);
    assert.equal((await ask({ 'X-API-Key': bearer }, { method: 'POST' }, '/v1/payments')).status, 200);
    const ingress = {
      'X-Original-URL': 'https://api.example.com/anything?x',
      'X-Forwarded-For': '192.0.2.1',
    };
    assert.equal((await ask(ingress)).status, 200);
  });

  test('with the body that Envoy sends along verifies its HMAC', async () => {
    const body = '{"amount":1}';
    const mac = createHmac('sha256', secret).update(body).digest('hex');
    const headers = { 'X-API-Key': `ak_live_signer:${mac}` };
    assert.equal((await ask(headers, { method: 'POST', body }, '/v1/payments')).status, 200);
    assert.equal((await ask(headers, { method: 'POST', body: `${body} ` }, '/v1/payments')).status, 401);
  });

  test('about a request that may not pass is answered with the refusal and names its problem', async () => {
    const cases: [Record<string, string>, number, string][] = [
      [nginx('/v1/payments', { 'X-API-Key': 'wrong' }), 401, 'credentials_invalid'],
      [nginx('/nowhere'), 404, 'route_not_found'],
      [nginx('/v1/payments', { 'X-Original-Method': 'PUT' }), 405, 'method_not_allowed'],
    ];
    for (const [headers, status, code] of cases) {
      const response = await ask(headers);
      assert.equal(response.status, status);
      assert.equal(response.headers.get('x-tollgate-problem'), code);
      assert.equal(response.headers.get('content-type'), 'application/problem+json');
      assert.equal(((await response.json()) as { code: string }).code, code);
    }
  });

  test('spends the same limits as traffic, and a proxy may have every refusal as 403', async () => {
    assert.equal((await ask(nginx('/small'))).status, 200);
    const direct = await fetch(`${gateway.url}/small`, { headers: { 'X-API-Key': bearer } });
    assert.equal(direct.status, 429);
    const response = await ask(nginx('/small', { 'X-Tollgate-Refuse-With': '403' }));
    assert.equal(response.status, 403);
    assert.equal(response.headers.get('x-tollgate-status'), '429');
    assert.equal(response.headers.get('x-tollgate-problem'), 'rate_limited');
    assert.ok(response.headers.get('retry-after'));
    assert.equal((await ask(nginx('/small', { 'X-Tollgate-Refuse-With': '200' }))).status, 429);
  });

  test('is about the client that the proxy names last; earlier hops count only behind trusted proxies', async () => {
    const from = async (forwardedFor: string): Promise<number> =>
      (
        await ask({
          'X-Original-URI': '/',
          'X-Original-Host': 'api.example.com',
          'X-Forwarded-For': forwardedFor,
        })
      ).status;
    assert.equal(await from('192.0.2.9'), 403);
    assert.equal(await from('192.0.2.9, 192.0.2.1'), 200);
    assert.equal(await from('192.0.2.9, 198.51.100.1'), 403);
  });

  test('does not let the client name its own identity', async () => {
    const response = await ask({
      'X-Original-URI': '/',
      'X-Original-Host': 'api.example.com',
      'X-Tollgate-Key-Id': 'ak_live_other',
    });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('x-tollgate-key-id'), '', 'there, to overwrite what the client claims');
  });
});

test('a problem can be fetched by its code', async () => {
  const response = await ask({}, {}, '/tollgate/problems/rate_limited');
  assert.equal(response.status, 429);
  assert.equal(((await response.json()) as { code: string }).code, 'rate_limited');
  assert.equal((await ask({}, {}, '/tollgate/problems/nothing')).status, 404);
});

test('a Unix socket belongs to the first worker and is replaced when it was left behind', async () => {
  const folder = makeFolder('decision');
  const socket = join(folder, 'decision.sock');
  const handler = {
    decide: (exchange: { answer(status: number, headers: string[], body: null): void }) =>
      exchange.answer(200, [], null),
    observe: () => undefined,
    onFault: () => undefined,
  };
  assert.equal(await openDecisionListener({ socket }, 1, handler, 0), null);
  assert.equal(await openDecisionListener(null, 0, handler, 0), null);
  for (let n = 0; n < 2; n++) {
    const listener = await openDecisionListener({ socket }, 0, handler, 0);
    assert.ok(existsSync(socket));
    const status = await new Promise((resolve, reject) => {
      httpRequest({ socketPath: socket, path: '/', agent: false }, (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode));
      })
        .on('error', reject)
        .end();
    });
    assert.equal(status, 200);
    await listener!.close();
  }
  removeFolder(folder);
});
