import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { mintSecret } from '#contract/keys.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { startNginx } from '../../support/nginx.ts';
import { findFreePort, startProcess } from '../../support/processes.ts';
import { adapt, readRecipe } from '../../support/recipes.ts';
import { makeFolder, removeFolder } from '../../support/temporary-folder.ts';
import { requireTool } from '../../support/tools.ts';
import { echo, startUpstream, type TestUpstream } from '../../support/upstream.ts';

/** The recipes of docs/forward-auth.md, each with the real proxy in front of a real service. */
const secret = mintSecret('live', randomBytes(32));
let service: TestUpstream;
let gateway: TestGateway;
let addresses: Record<string, string>;

before(async () => {
  service = await startUpstream();
  service.handle(echo);
});
after(() => service.stop());

/** A fresh gateway for each proxy, so that limits start full. */
async function startGateway(): Promise<void> {
  gateway = await startTestGateway({
    services: [{ id: 's', targets: { live: [{ url: 'http://127.0.0.1:1' }] } }],
    routes: [
      { id: 'open', service: 's', path: '/open', authentication: 'none' },
      {
        id: 'r',
        service: 's',
        path: '/v1',
        methods: ['GET', 'POST'],
        limits: [{ kind: 'token_bucket', name: 'tiny', capacity: 2, refill: 1, intervalMs: 3_600_000 }],
      },
    ],
  });
  gateway.keys.put({
    id: 'ak_live_bearer',
    kind: 'bearer',
    environment: 'live',
    app: 'app_1',
    secrets: [{ plain: secret }],
  });
  addresses = {
    '127.0.0.1:8082': `127.0.0.1:${gateway.decisionPort}`,
    '127.0.0.1:3000': `127.0.0.1:${service.port}`,
  };
}

interface Echo {
  readonly method: string;
  readonly target: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** What has to hold behind every proxy. */
async function checkProxy(url: string): Promise<void> {
  const call = (
    path: string,
    headers: Record<string, string> = {},
    init: RequestInit = {},
  ): Promise<Response> => fetch(url + path, { headers, ...init });
  const before = service.requests.length;

  const missing = await call('/v1/payments');
  assert.equal(missing.status, 401);
  assert.equal(((await missing.json()) as { code: string }).code, 'credentials_invalid');
  assert.match(missing.headers.get('www-authenticate') ?? '', /ApiKey/);
  const unknown = await call('/nowhere', { 'X-API-Key': secret });
  assert.equal(unknown.status, 404);
  assert.equal(((await unknown.json()) as { code: string }).code, 'route_not_found');
  assert.equal(service.requests.length, before, 'refused requests do not reach the service');

  const passed = await call(
    '/v1/payments?x=1&y=%2F',
    { 'X-API-Key': secret, 'X-Tollgate-Key-Id': 'ak_live_forged' },
    { method: 'POST', body: '{"amount":1}' },
  );
  assert.equal(passed.status, 200);
  const seen = (await passed.json()) as Echo;
  assert.equal(seen.method, 'POST');
  assert.equal(seen.target, '/v1/payments?x=1&y=%2F');
  assert.equal(seen.body, '{"amount":1}');
  assert.equal(seen.headers['x-tollgate-key-id'], 'ak_live_bearer');
  assert.equal(seen.headers['x-tollgate-app'], 'app_1');
  const exchange = gateway.observed.at(-1)!;
  assert.equal(exchange.method, 'POST');
  assert.equal(exchange.clientIp, '127.0.0.1');

  const anonymous = await call('/open', { 'X-Tollgate-Subject': 'forged' });
  assert.equal(anonymous.status, 200);
  assert.equal(((await anonymous.json()) as Echo).headers['x-tollgate-subject'] ?? '', '');

  assert.equal((await call('/v1/a', { 'X-API-Key': secret })).status, 200);
  const limited = await call('/v1/a', { 'X-API-Key': secret });
  assert.equal(limited.status, 429);
  assert.ok(Number(limited.headers.get('retry-after')) > 0);
  assert.equal(((await limited.json()) as { code: string }).code, 'rate_limited');
  assert.deepEqual(gateway.faults, []);
}

/** HAProxy says nothing when it is ready. */
async function waitForPort(port: number): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt++) {
    const connected = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      }).on('error', () => setTimeout(() => resolve(false), 20));
    });
    if (connected) return;
  }
  throw new Error('HAProxy does not listen');
}

describe('the recipe of docs/forward-auth.md', () => {
  test('nginx, auth_request', async (t) => {
    await startGateway();
    t.after(() => gateway.stop());
    const nginx = await startNginx({ server: adapt(readRecipe('forward-auth.md', 'nginx'), addresses) });
    t.after(() => nginx.stop());
    await checkProxy(nginx.url);
  });

  test('Caddy, forward_auth', async (t) => {
    await startGateway();
    t.after(() => gateway.stop());
    const folder = makeFolder('caddy');
    const port = await findFreePort();
    const site = adapt(readRecipe('forward-auth.md', 'caddy'), {
      ...addresses,
      ':8000 {': `http://127.0.0.1:${port} {`,
    });
    writeFileSync(join(folder, 'Caddyfile'), `{\n\tadmin off\n\tauto_https off\n}\n${site}`);
    const caddy = startProcess(
      requireTool('caddy'),
      ['run', '--adapter', 'caddyfile', '--config', join(folder, 'Caddyfile')],
      { env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder } },
    );
    t.after(async () => {
      await caddy.stop('SIGTERM');
      removeFolder(folder);
    });
    await caddy.waitFor(/serving initial configuration/);
    await checkProxy(`http://127.0.0.1:${port}`);
  });

  test('HAProxy, Lua', async (t) => {
    await startGateway();
    t.after(() => gateway.stop());
    const folder = makeFolder('haproxy');
    const port = await findFreePort();
    const script = join(folder, 'tollgate.lua');
    writeFileSync(
      script,
      adapt(readRecipe('forward-auth.md', 'haproxy-lua'), { '127.0.0.1:8082': addresses['127.0.0.1:8082']! }),
    );
    writeFileSync(
      join(folder, 'haproxy.cfg'),
      adapt(readRecipe('forward-auth.md', 'haproxy'), {
        '127.0.0.1:3000': addresses['127.0.0.1:3000']!,
        '127.0.0.1:8000': `127.0.0.1:${port}`,
        '/etc/haproxy/tollgate.lua': script,
      }),
    );
    const haproxy = startProcess(requireTool('haproxy'), ['-db', '-f', join(folder, 'haproxy.cfg')]);
    t.after(async () => {
      await haproxy.stop('SIGTERM');
      removeFolder(folder);
    });
    await waitForPort(port);
    await checkProxy(`http://127.0.0.1:${port}`);
  });
});
