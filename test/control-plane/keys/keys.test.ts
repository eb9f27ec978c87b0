import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { hashSecret } from '#contract/key-push.ts';
import { parseKeyId, parseSecret } from '#contract/keys.ts';
import type { Key } from '#contract/registry.ts';
import { openSecret, parseLocalKey, unwrapDataKey } from '#contract/sealing.ts';
import { type Follow, onEachEngine, startTestPlane, type TestPlane } from '../../support/control-plane.ts';

const dayMs = 86_400_000;
type KeyBody = {
  key_id: string;
  secret: string;
  expires_at: string;
  previous_secrets: { expires_at: string }[];
} & Record<string, unknown>;

onEachEngine('keys', (engine) => {
  let plane: TestPlane;
  before(async () => {
    plane = await startTestPlane(engine);
  });
  after(() => plane.stop());

  /** Opens what a gateway gets, with the local key file, as the gateway does. */
  async function secretsInRegistry(follow: Follow, keyId: string): Promise<(string | null)[]> {
    await follow.until(`key/${keyId}`, (key) => key !== undefined);
    const key = follow.objects.get(`key/${keyId}`) as unknown as Key;
    const root = parseLocalKey(readFileSync(join(plane.dataDir, 'local.key'), 'utf8'))!;
    return key.secrets.map(({ dataKey, box }) => {
      const wrapped = follow.objects.get(`data_key/${dataKey}`) as { wrapped: string };
      return openSecret(unwrapDataKey(root, dataKey!, wrapped.wrapped)!, keyId, box!);
    });
  }

  test('a key is created as the guide shows and its secret is shown this once', async () => {
    const token = await plane.tokenOf('ana@example.com');
    const app = await plane.call('POST', '/api/dev/apps', { name: 'Shop' }, { token });
    assert.equal(app.status, 201);
    const made = await plane.call<KeyBody>(
      'POST',
      `/api/dev/apps/${app.body.app_id}/keys`,
      { key_type: 'api_key', environment: 'test', name: 'My Test Key' },
      { token },
    );
    assert.equal(made.status, 201);
    assert.equal(parseKeyId(made.body.key_id), 'test');
    assert.equal(parseSecret(made.body.secret), 'test');
    assert.equal(made.body.environment, 'test');
    assert.equal(made.body.name, 'My Test Key');
    assert.equal(made.body.kind, 'api_key');
    assert.equal(made.headers.get('cache-control'), 'no-store');
    const lifetime = Date.parse(made.body.expires_at) - Date.now();
    assert.ok(Math.abs(lifetime - 90 * dayMs) < 60_000);

    const list = await plane.call('GET', `/api/dev/apps/${app.body.app_id}/keys`, undefined, { token });
    const read = await plane.call('GET', `/api/dev/keys/${made.body.key_id}`, undefined, { token });
    for (const reply of [list, read]) {
      assert.equal(reply.status, 200);
      assert.equal(JSON.stringify(reply.body).includes(made.body.secret), false);
      assert.equal(JSON.stringify(reply.body).includes(made.body.key_id), true);
    }
    assert.equal(plane.log.join('').includes(made.body.secret), false);
  });

  test('a gateway can open the secret of a signing key with the local key only', async () => {
    const { keyId, secret } = await plane.makeKey();
    const follow = await plane.follow();
    await follow.snapshot();
    assert.deepEqual(await secretsInRegistry(follow, keyId), [secret]);
    await follow.stop();
  });

  test('of a bearer key only the digest is stored', async () => {
    const { keyId, secret } = await plane.makeKey(undefined, { key_type: 'bearer', environment: 'live' });
    const follow = await plane.follow();
    await follow.snapshot();
    const key = follow.objects.get(`key/${keyId}`) as unknown as Key;
    assert.deepEqual(key.secrets, [{ sha256: hashSecret(secret) }]);
    assert.equal(key.environment, 'live');
    await follow.stop();
  });

  test('rotation gives a new secret to the same key and the old one stays for seven days', async () => {
    const { keyId, secret } = await plane.makeKey();
    const rotated = await plane.call<KeyBody>('POST', `/api/dev/keys/${keyId}/rotate`);
    assert.equal(rotated.status, 200);
    assert.equal(rotated.body.key_id, keyId);
    assert.notEqual(rotated.body.secret, secret);
    const grace = Date.parse(rotated.body.previous_secrets[0]!.expires_at) - Date.now();
    assert.ok(Math.abs(grace - 7 * dayMs) < 60_000);
    const follow = await plane.follow();
    await follow.snapshot();
    assert.deepEqual(await secretsInRegistry(follow, keyId), [rotated.body.secret, secret]);
    const key = follow.objects.get(`key/${keyId}`) as unknown as Key;
    assert.equal(key.secrets[0]!.expiresAt, undefined);
    assert.ok(key.secrets[1]!.expiresAt! > Date.now());
    await follow.stop();
  });

  test('several rotations in a row keep each older secret until its own end', async () => {
    const { keyId, secret } = await plane.makeKey();
    const first = await plane.call<KeyBody>('POST', `/api/dev/keys/${keyId}/rotate`, { grace_seconds: 600 });
    const second = await plane.call<KeyBody>('POST', `/api/dev/keys/${keyId}/rotate`, { grace_days: 30 });
    const ends = second.body.previous_secrets.map((each) => Date.parse(each.expires_at) - Date.now());
    assert.equal(ends.length, 2);
    assert.ok(Math.abs(ends[0]! - 30 * dayMs) < 60_000);
    assert.ok(Math.abs(ends[1]! - 600_000) < 60_000);
    const follow = await plane.follow();
    await follow.snapshot();
    assert.deepEqual(await secretsInRegistry(follow, keyId), [second.body.secret, first.body.secret, secret]);
    await follow.stop();
  });

  test('an old secret never outlives the expiry the key had', async () => {
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    const { keyId } = await plane.makeKey(undefined, { expires_at: expiresAt });
    const rotated = await plane.call<KeyBody>('POST', `/api/dev/keys/${keyId}/rotate`, { grace_days: 30 });
    assert.equal(rotated.body.previous_secrets[0]!.expires_at, expiresAt);
    assert.ok(Date.parse(rotated.body.expires_at) > Date.parse(expiresAt));
  });

  test('rotation without grace ends the old secret at once', async () => {
    const { keyId } = await plane.makeKey();
    const rotated = await plane.call<KeyBody>('POST', `/api/dev/keys/${keyId}/rotate`, { grace_days: 0 });
    assert.deepEqual(rotated.body.previous_secrets, []);
  });

  test('grace outside 0 to 30 days is refused and changes nothing', async () => {
    const { keyId } = await plane.makeKey();
    for (const body of [{ grace_days: 31 }, { grace_days: -1 }, { grace_seconds: 1, grace_days: 1 }]) {
      const refused = await plane.call('POST', `/api/dev/keys/${keyId}/rotate`, body);
      assert.equal(refused.status, 422);
      assert.equal(refused.body.code, 'validation_failed');
    }
    const key = await plane.call<KeyBody>('GET', `/api/dev/keys/${keyId}`);
    assert.equal(key.body.rotated_at, null);
  });

  test('a revoked key is told to gateways at once, keeps its reason and cannot be rotated', async () => {
    const { keyId } = await plane.makeKey();
    const follow = await plane.follow();
    await follow.snapshot();
    const revoked = await plane.call<KeyBody>('POST', `/api/dev/keys/${keyId}/revoke`, {
      reason: 'Key compromised',
    });
    assert.equal(revoked.status, 200);
    assert.equal(revoked.body.status, 'revoked');
    assert.equal(revoked.body.revoked_reason, 'Key compromised');
    await follow.until(`key/${keyId}`, (key) => key?.status === 'revoked');
    assert.deepEqual(follow.objects.get(`key/${keyId}`)!.secrets, []);
    await follow.stop();
    assert.equal((await plane.call('POST', `/api/dev/keys/${keyId}/rotate`)).status, 409);
    const again = await plane.call<KeyBody>('POST', `/api/dev/keys/${keyId}/revoke`, { reason: 'other' });
    assert.equal(again.body.revoked_reason, 'Key compromised');
  });

  test("another account's app and key do not exist", async () => {
    const { appId, keyId } = await plane.makeKey('ana@example.com');
    const token = await plane.tokenOf('eve@example.com');
    for (const [method, path] of [
      ['GET', `/api/dev/apps/${appId}`],
      ['PATCH', `/api/dev/apps/${appId}`],
      ['DELETE', `/api/dev/apps/${appId}`],
      ['GET', `/api/dev/apps/${appId}/keys`],
      ['POST', `/api/dev/apps/${appId}/keys`],
      ['GET', `/api/dev/keys/${keyId}`],
      ['POST', `/api/dev/keys/${keyId}/rotate`],
      ['POST', `/api/dev/keys/${keyId}/revoke`],
    ] as const) {
      const reply = await plane.call(method, path, method === 'GET' ? undefined : {}, { token });
      assert.equal(reply.status, 404, `${method} ${path}`);
      assert.equal(reply.body.code, 'not_found');
      assert.equal(reply.headers.get('content-type')?.split(';')[0], 'application/problem+json');
    }
    const list = await plane.call<{ data: unknown[] }>('GET', '/api/dev/apps', undefined, { token });
    assert.deepEqual(list.body.data, []);
    assert.equal((await plane.call('GET', `/api/dev/keys/${keyId}`)).body.status, 'active');
  });

  test('every error of a key request is told with its pointer', async () => {
    const { appId } = await plane.makeKey();
    const refused = await plane.call<{ errors: { pointer: string }[] }>(
      'POST',
      `/api/dev/apps/${appId}/keys`,
      { environment: 'prod', name: 7, nonsense: 1 },
    );
    assert.equal(refused.status, 422);
    assert.deepEqual(refused.body.errors.map((error) => error.pointer).sort(), ['', '/environment', '/name']);
    const addresses = await plane.call<{ errors: { pointer: string }[] }>(
      'POST',
      `/api/dev/apps/${appId}/keys`,
      { addresses: { allow: ['10.0.0.0/8', '10.0.0.0/33', 'here'] }, expires_at: '2001-01-01T00:00:00Z' },
    );
    assert.deepEqual(
      addresses.body.errors.map((error) => error.pointer),
      ['/addresses/allow/1', '/addresses/allow/2', '/expires_at'],
    );
  });

  test('data survive a restart', async () => {
    const { keyId, secret } = await plane.makeKey();
    plane = await plane.restart();
    assert.equal((await plane.call('GET', `/api/dev/keys/${keyId}`)).status, 200);
    const follow = await plane.follow();
    await follow.snapshot();
    assert.deepEqual(await secretsInRegistry(follow, keyId), [secret]);
    await follow.stop();
  });

  test('without a token, or with a wrong one, the answer is 401 and names the scheme', async () => {
    for (const token of [null, 'wrong', 'eyJhbGciOiJub25lIn0.e30.']) {
      const reply = await plane.call('GET', '/api/dev/apps', undefined, { token });
      assert.equal(reply.status, 401);
      assert.match(reply.headers.get('www-authenticate') ?? '', /^Bearer/);
    }
  });
});
