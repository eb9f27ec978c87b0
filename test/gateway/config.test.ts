import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveConfig } from '../../gateway/config.ts';

test('overrides stand above the environment, that above the file, that above defaults', () => {
  const file = { listen: { port: 1 }, workers: 3, accessLog: 'off' };
  const environment = { TOLLGATE_LISTEN_PORT: '2', TOLLGATE_WORKERS: '4' };
  const result = resolveConfig(file, environment, { listenPort: 5 });
  assert.ok(result.ok);
  assert.equal(result.config.listen.port, 5);
  assert.equal(result.config.workers, 4);
  assert.equal(result.config.accessLog, 'off');
  assert.equal(result.config.admin?.port, 8081);
});

test('every error is reported at once, each with its source', () => {
  const result = resolveConfig(
    { trustedProxies: ['10.0.0.0/33'] },
    {
      TOLLGATE_WORKERS: 'many',
      TOLLGATE_LISTEN_PORT: '70000',
      REDIS_URL: 'http://x',
      TOLLGATE_CONTROL_URL: 'ftp://x',
    },
  );
  assert.ok(!result.ok);
  for (const source of [
    'TOLLGATE_WORKERS',
    'TOLLGATE_LISTEN_PORT',
    'REDIS_URL',
    'TOLLGATE_CONTROL_URL',
    'gateway.trustedProxies',
  ]) {
    assert.equal(result.errors.filter((error) => error.startsWith(`${source}:`)).length, 1, source);
  }
});

test('a control plane without a token is refused', () => {
  const result = resolveConfig({}, { TOLLGATE_CONTROL_URL: 'http://127.0.0.1:8140' });
  assert.ok(!result.ok);
  assert.match(result.errors[0]!, /TOLLGATE_GATEWAY_TOKEN/);
});

test('OAUTH_PROVIDER_URL names the first issuer, unless the file configures it', () => {
  const issuersOf = (file: object, environment: Record<string, string>): unknown => {
    const result = resolveConfig(file, environment);
    return result.ok ? result.config.issuers : result.errors;
  };
  const OAUTH_PROVIDER_URL = 'https://id.example.com';
  assert.deepEqual(issuersOf({}, {}), []);
  assert.deepEqual(
    issuersOf({ issuers: [{ issuer: 'https://b' }] }, { OAUTH_PROVIDER_URL, OAUTH_AUDIENCE: 'x, y' }),
    [{ issuer: OAUTH_PROVIDER_URL, audiences: ['x', 'y'] }, { issuer: 'https://b' }],
  );
  const configured = [{ issuer: OAUTH_PROVIDER_URL, rolesClaim: 'groups' }];
  assert.deepEqual(issuersOf({ issuers: configured }, { OAUTH_PROVIDER_URL }), configured);
  assert.match(
    String(issuersOf({}, { OAUTH_PROVIDER_URL: 'id.example.com' })),
    /OAUTH_PROVIDER_URL: must be/,
  );
  assert.match(String(issuersOf({}, { OAUTH_AUDIENCE: 'x' })), /OAUTH_AUDIENCE: OAUTH_PROVIDER_URL must/);
  assert.match(String(issuersOf({ issuers: [...configured, ...configured] }, {})), /listed twice/);
});
