import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';
import { mintSecret } from '#contract/keys.ts';
import type { Route } from '#contract/registry.ts';
import type { Version } from '#contract/versions.ts';
import { signatureHeaders } from '../../../client/index.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { echo, startUpstream, type TestUpstream } from '../../support/upstream.ts';

let upstream: TestUpstream;
let gateway: TestGateway;
let nowMs: number;
const secret = mintSecret('live', randomBytes(32));
const bearer = mintSecret('live', randomBytes(32));

before(async () => {
  upstream = await startUpstream();
  upstream.handle(echo);
  gateway = await startTestGateway({ routes: [], now: () => nowMs });
});
after(async () => {
  await gateway.stop();
  await upstream.stop();
});
beforeEach(() => {
  nowMs = Date.UTC(2026, 0, 15);
});

const v1: Version = {
  id: 'v1',
  state: 'deprecated',
  deprecatedAt: '2026-01-01T00:00:00Z',
  sunsetAt: '2026-07-01T00:00:00Z',
  successor: 'v2',
  documentation: 'https://docs.example.com/migrate',
};
const v2: Version = { id: 'v2', state: 'active' };

function use(versions: Version[], routes: Partial<Route>[]): void {
  gateway.route(
    routes.map((route, n) => ({ id: `r${n}`, service: 's', path: '/', authentication: 'none', ...route })),
    [{ id: 's', targets: { live: [{ url: upstream.url }] } }],
    versions,
  );
}

function send(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(gateway.url + path, { headers });
}

const paths: Partial<Route>[] = [
  { path: '/v1/payments', version: 'v1' },
  { path: '/v2/payments', version: 'v2' },
];

describe('a deprecated version', () => {
  test('says so on every answer: since when, until when, what comes after it', async () => {
    use([v1, v2], paths);
    const { status, headers } = await send('/v1/payments/p1?x=1');
    assert.equal(status, 200);
    assert.equal(headers.get('api-version'), 'v1');
    assert.equal(headers.get('deprecation'), `@${Date.UTC(2026, 0, 1) / 1000}`);
    assert.equal(headers.get('sunset'), 'Wed, 01 Jul 2026 00:00:00 GMT');
    assert.equal(
      headers.get('link'),
      '<https://docs.example.com/migrate>; rel="deprecation", <https://docs.example.com/migrate>; rel="sunset", </v2/payments/p1>; rel="successor-version"',
    );
    assert.equal(
      headers.get('warning'),
      '299 - "Version v1 is deprecated and its sunset is Wed, 01 Jul 2026 00:00:00 GMT; use v2"',
    );
  });

  test('says so on refusals too; an active one only gives its name', async () => {
    use([v1, v2], [{ ...paths[0], authentication: {} }, paths[1]!]);
    const refused = await send('/v1/payments');
    assert.equal(refused.status, 401);
    assert.ok(refused.headers.get('deprecation'));
    const { headers } = await send('/v2/payments');
    assert.equal(headers.get('api-version'), 'v2');
    for (const name of ['deprecation', 'sunset', 'link', 'warning'])
      assert.equal(headers.get(name), null, name);
  });

  test('goes on after its sunset unless that is enforced; then 410 with the way out', async () => {
    use([v1, v2], paths);
    nowMs = Date.UTC(2026, 6, 1);
    assert.equal((await send('/v1/payments')).status, 200);
    use([{ ...v1, enforceSunset: true }, v2], paths);
    nowMs = Date.UTC(2026, 6, 1) - 1;
    assert.equal((await send('/v1/payments')).status, 200);
    nowMs += 1;
    const response = await send('/v1/payments');
    assert.equal(response.status, 410);
    assert.match(response.headers.get('link')!, /<\/v2\/payments>; rel="successor-version"/);
    const problem = (await response.json()) as Record<string, unknown>;
    assert.equal(problem.code, 'version_sunset');
    assert.equal(problem.successor, 'v2');
    assert.equal(problem.documentation, 'https://docs.example.com/migrate');
    assert.equal((await send('/v2/payments')).status, 200);
  });

  test('is switched off in its brownouts, which are announced', async () => {
    const brownouts = [{ from: '2026-02-01T10:00:00Z', to: '2026-02-01T10:05:00Z' }];
    use([{ ...v1, brownouts }, v2], paths);
    const early = await send('/v1/payments');
    assert.equal(early.headers.get('x-brownout'), '2026-02-01T10:00:00.000Z/2026-02-01T10:05:00.000Z');
    nowMs = Date.parse('2026-02-01T10:04:00Z');
    const during = await send('/v1/payments');
    assert.equal(during.status, 410);
    assert.equal(during.headers.get('retry-after'), '60');
    assert.equal(((await during.json()) as { code: string }).code, 'version_brownout');
    nowMs = Date.parse('2026-02-01T10:05:00Z');
    const later = await send('/v1/payments');
    assert.equal(later.status, 200);
    assert.equal(later.headers.get('x-brownout'), null);
  });

  test('follows its state in the registry at run time', async () => {
    use([{ id: 'v1', state: 'active' }, v2], paths);
    assert.equal((await send('/v1/payments')).headers.get('deprecation'), null);
    use([v1, v2], paths);
    assert.ok((await send('/v1/payments')).headers.get('deprecation'));
  });
});

describe('choosing a version', () => {
  const neutral: Partial<Route>[] = [
    { path: '/payments', version: 'v2', authentication: {} },
    { path: '/payments', version: 'v1', authentication: {} },
  ];

  async function versionOf(headers: Record<string, string>): Promise<string | null> {
    const response = await send('/payments', headers);
    await response.body?.cancel();
    return response.status === 200 ? response.headers.get('api-version') : String(response.status);
  }

  before(() => {
    const app = { id: 'app', account: 'acc', name: 'App', version: 'v1' };
    const live = { environment: 'live' } as const;
    gateway.keys.put({ ...live, id: 'ak_live_free', secrets: [{ plain: secret }] });
    gateway.keys.put({ ...live, id: 'ak_live_pinned', secrets: [{ plain: secret }], version: 'v1' });
    gateway.keys.put({ ...live, id: 'ak_live_app', secrets: [{ plain: secret }] }, app);
    gateway.keys.put({ ...live, id: 'ak_live_gone', secrets: [{ plain: secret }], version: 'v0' });
    gateway.keys.put({
      ...live,
      id: 'ak_live_bearer',
      kind: 'bearer',
      secrets: [{ plain: bearer }],
      version: 'v1',
    });
  });

  const mac = createHmac('sha256', secret).digest('hex');
  const key = (id: string): Record<string, string> => ({ 'X-API-Key': `ak_live_${id}:${mac}` });

  test('by API-Version, else by the pin of the key or its app, else the first', async () => {
    use([v1, v2], neutral);
    assert.equal(await versionOf(key('free')), 'v2');
    assert.equal(await versionOf({ ...key('free'), 'API-Version': 'v1' }), 'v1');
    assert.equal(await versionOf(key('pinned')), 'v1');
    assert.equal(await versionOf(key('app')), 'v1');
    assert.equal(await versionOf({ ...key('pinned'), 'API-Version': 'v2' }), 'v2');
    assert.equal(await versionOf({ 'X-API-Key': bearer }), 'v1');
    assert.equal(await versionOf({ Authorization: `Bearer ${bearer}` }), 'v1');
  });

  test('a pin to a version that the resource does not have falls back to the first', async () => {
    use([v1, v2], neutral);
    assert.equal(await versionOf(key('gone')), 'v2');
  });

  test('an unknown version is 404', async () => {
    use([v1, v2], neutral);
    assert.equal(await versionOf({ ...key('free'), 'API-Version': 'v9' }), '404');
  });

  test('a signed request is led to the pinned version and its nonce spent once', async () => {
    use([v1, v2], neutral);
    const url = `${gateway.url}/payments`;
    const signed = await signatureHeaders(
      { method: 'GET', url },
      { keyId: 'ak_live_pinned', secret },
      { nowMs },
    );
    assert.equal(await versionOf(signed), 'v1');
    assert.equal(await versionOf(signed), '401');
  });

  test('a pin is no way around authentication', async () => {
    use([v1, v2], neutral);
    assert.equal(await versionOf({ 'X-API-Key': `ak_live_pinned:${'0'.repeat(64)}` }), '401');
  });
});

describe('GET /versions', () => {
  test('lists the versions with their state of today', async () => {
    use([v1, v2, { id: 'v3', state: 'active', deprecatedAt: '2026-01-14T00:00:00Z' }], paths);
    const response = await send('/versions');
    assert.equal(response.status, 200);
    const { api_versions: versions } = (await response.json()) as { api_versions: Record<string, unknown>[] };
    assert.deepEqual(versions[0], {
      id: 'v1',
      state: 'deprecated',
      deprecated_at: '2026-01-01T00:00:00Z',
      sunset_at: '2026-07-01T00:00:00Z',
      sunset_enforced: false,
      successor: 'v2',
      documentation: 'https://docs.example.com/migrate',
      brownouts: [],
    });
    assert.deepEqual(
      versions.map(({ id, state }) => [id, state]),
      [
        ['v1', 'deprecated'],
        ['v2', 'active'],
        ['v3', 'deprecated'],
      ],
    );
    assert.equal((await fetch(`${gateway.url}/versions`, { method: 'POST' })).status, 405);
  });

  test('gives way to a route of that path', async () => {
    use([v1], [{ path: '/' }]);
    assert.equal(((await (await send('/versions')).json()) as { target: string }).target, '/versions');
  });
});
