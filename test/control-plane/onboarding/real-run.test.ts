import assert from 'node:assert/strict';
import { request } from 'node:https';
import { after, before, test } from 'node:test';
import { resolveConfig } from '../../../gateway/config.ts';
import { startGateway } from '../../../gateway/main.ts';
import { startBind, type TestBind } from '../../support/bind.ts';
import { signBody } from '../../support/instance.ts';
import { startPebble, type TestPebble } from '../../support/pebble.ts';
import { type TestPostgres, usePostgres } from '../../support/postgres.ts';
import { eventually } from '../../support/processes.ts';
import { makeFolder } from '../../support/temporary-folder.ts';
import { startUpstream, type TestUpstream } from '../../support/upstream.ts';
import { gatewayToken, type Instances, operatorToken, startInstances } from './instances.ts';

const baseDomain = 'akasigroup.test';
const customDomain = 'portal.clinic.example';

let bind: TestBind;
let pebble: TestPebble;
let postgres: TestPostgres;
let upstream: TestUpstream;
let instances: Instances;
let gateway: Awaited<ReturnType<typeof startGateway>>;
let masterKey: string;

before(async () => {
  bind = await startBind({
    [baseDomain]: '',
    'clinic.example': `portal IN CNAME clinique-du-lac.${baseDomain}.
_acme-challenge.portal IN CNAME ${customDomain}._challenges.${baseDomain}.`,
  });
  [pebble, postgres, upstream] = await Promise.all([startPebble(bind.port), usePostgres(), startUpstream()]);
  instances = await startInstances(await postgres.createDatabase(), {
    baseDomain,
    targets: ['127.0.0.1'],
    route: { service: 'portal' },
    dns: {
      provider: 'rfc2136',
      host: '127.0.0.1',
      port: bind.port,
      keyName: bind.keyName,
      keySecret: bind.keySecret.toString('base64'),
    },
    tls: {
      issuer: 'acme',
      directoryUrl: pebble.directoryUrl,
      caFile: pebble.caFile,
      email: 'ops@example.com',
    },
  });
  const put = await instances.call('PUT', '/admin/v1/services/portal', {
    body: { id: 'portal', targets: { live: [{ url: upstream.url }] } },
    headers: { Authorization: `Bearer ${operatorToken}` },
  });
  assert.ok(put.status < 300, JSON.stringify(put.body));
  const config = resolveConfig(
    {},
    { TOLLGATE_KEY_FILE: instances.keyFile },
    {
      listenHost: '127.0.0.1',
      listenPort: 0,
      tlsPort: 0,
      adminPort: 0,
      workers: 1,
      dataDir: makeFolder('gateway'),
      control: { url: instances.planes[0]!.url, token: gatewayToken },
      accessLog: 'off',
    },
  );
  assert.ok(config.ok);
  gateway = await startGateway(config.config);
  const { body } = await instances.call('POST', '/api/v1/applications/register', {
    body: { app_name: 'SIH' },
  });
  masterKey = body.master_key as string;
});
after(async () => {
  await gateway.close();
  await instances.close();
  await Promise.all([bind.stop(), pebble.stop(), postgres.stop(), upstream.stop()]);
});

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** A client that knows nothing but the name: it asks BIND for the address and trusts Pebble's root only. */
async function visit(name: string, headers: Record<string, string> = {}, body = ''): Promise<Answer> {
  const address = (await bind.dig(name, 'A')).find((line) => !line.endsWith('.'));
  assert.equal(address, '127.0.0.1', `${name} does not resolve`);
  return new Promise((resolve, reject) => {
    request(
      {
        host: address,
        port: new URL(gateway.tlsUrl!).port,
        servername: name,
        headers: { Host: name, ...headers },
        ca: pebble.issuingRoot,
        method: 'POST',
        path: '/hello',
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode!, body: text }));
      },
    )
      .on('error', reject)
      .end(body);
  });
}

test('a tenant is reached by its name, over TLS that Pebble vouches for, within two seconds of activation', async () => {
  const started = await instances.call('POST', '/api/v1/onboarding/start', {
    masterKey,
    body: { email: 'admin@example.com', organization_name: 'Clinique du Lac', custom_domain: customDomain },
  });
  assert.equal(started.status, 201, JSON.stringify(started.body));
  const { uuid, full_domain: name } = started.body as { uuid: string; full_domain: string };
  assert.equal(name, `clinique-du-lac.${baseDomain}`);
  assert.deepEqual(await bind.dig(name, 'A'), []);

  const provisioned = await instances.call('POST', '/api/v1/onboarding/provision', {
    masterKey,
    body: { uuid, generate_api_key: true },
  });
  assert.equal(provisioned.status, 200, JSON.stringify(provisioned.body));
  const activatedAt = performance.now();
  const key = {
    key_id: provisioned.body.api_key as string,
    secret: provisioned.body.api_secret as string,
  };
  const body = '{"a":1}';
  for (const host of [name, customDomain]) {
    const answer = await eventually(async () => {
      const got = await visit(host, { 'X-API-Key': signBody(key, body) }, body);
      assert.equal(got.status, 200);
      return got;
    });
    const seen = JSON.parse(answer.body) as { target: string; headers: Record<string, string> };
    assert.equal(seen.target, '/hello');
    assert.equal(seen.headers['x-forwarded-host'], host);
    assert.equal(seen.headers['x-forwarded-proto'], 'https');
  }
  assert.ok(performance.now() - activatedAt < 2000);
  assert.equal((await visit(name)).status, 401, 'without the key the route is closed');
});

test('a second tenant needs no certificate of its own, and no name but a tenant is served', async () => {
  const { uuid } = (
    await instances.call('POST', '/api/v1/onboarding/start', {
      masterKey,
      body: { email: 'b@example.com', organization_name: 'Pharmacie Centrale' },
    })
  ).body as { uuid: string };
  const provisioned = await instances.call('POST', '/api/v1/onboarding/provision', {
    masterKey,
    body: { uuid },
  });
  assert.equal(provisioned.status, 200);
  await eventually(async () => assert.equal((await visit(`pharmacie-centrale.${baseDomain}`)).status, 401));
  assert.deepEqual(await bind.dig(`nobody.${baseDomain}`, 'A'), []);
});

test('a deleted tenant neither resolves nor is served, and its key is refused', async () => {
  const { uuid, full_domain: name } = (
    await instances.call('POST', '/api/v1/onboarding/start', {
      masterKey,
      body: { email: 'c@example.com', organization_name: 'Short Lived' },
    })
  ).body as { uuid: string; full_domain: string };
  await instances.call('POST', '/api/v1/onboarding/provision', { masterKey, body: { uuid } });
  await eventually(async () => assert.equal((await visit(name)).status, 401));
  assert.equal((await instances.call('DELETE', `/api/v1/onboarding/${uuid}`, { masterKey })).status, 200);
  assert.deepEqual(await bind.dig(name, 'A'), []);
  await eventually(async () => {
    const response = await fetch(`${gateway.url}/hello`, { headers: { Host: name } });
    assert.equal(response.status, 404);
  });
});
