import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashSecret, parseKeyBatch, parseKeyPush } from '#contract/key-push.ts';
import { parseChange } from '#contract/validation.ts';

const sha256 = 'a'.repeat(64);

test('a pushed key becomes a bearer key that the registry accepts', () => {
  const parsed = parseKeyPush('ak_test_abc123', {
    sha256,
    app: 'app_1',
    expires_at: '2030-01-01T00:00:00Z',
    scopes: ['payments:write'],
    addresses: { allow: ['10.0.0.0/8'] },
    plan: 'gold',
    quota: { burst_limit: 5, daily_quota: 10, overage_action: 'warn' },
  });
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value, {
    id: 'ak_test_abc123',
    kind: 'bearer',
    environment: 'test',
    status: 'active',
    secrets: [{ sha256 }],
    app: 'app_1',
    expiresAt: Date.parse('2030-01-01T00:00:00Z'),
    scopes: ['payments:write'],
    addresses: { allow: ['10.0.0.0/8'] },
    plan: 'gold',
    quota: { burst: 5, daily: 10, overage: 'warn' },
  });
  assert.ok(parseChange({ kind: 'key', id: parsed.value.id, object: parsed.value }).ok);
});

test('a secret is hashed, never kept', () => {
  const parsed = parseKeyPush('partner-7', { secret: 'a-secret-of-a-partner' });
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value.secrets, [{ sha256: hashSecret('a-secret-of-a-partner') }]);
  assert.equal(JSON.stringify(parsed.value).includes('a-secret-of-a-partner'), false);
  assert.equal(parsed.value.environment, 'live');
});

test('an environment that contradicts the key id is refused', () => {
  const parsed = parseKeyPush('ak_live_abc', { sha256, environment: 'test' });
  assert.ok(!parsed.ok);
  assert.equal(parsed.errors[0]?.pointer, '/environment');
});

test('neither or both of sha256 and secret are refused', () => {
  assert.equal(parseKeyPush('ak_test_abc', {}).ok, false);
  assert.equal(parseKeyPush('ak_test_abc', { sha256, secret: 'x'.repeat(20) }).ok, false);
});

test('a batch reports every error with its pointer and then changes nothing', () => {
  const parsed = parseKeyBatch({
    keys: [{ key_id: 'ak_test_aaa', sha256 }, { key_id: '!', sha256 }, { key_id: 'ak_test_bbb' }],
  });
  assert.ok(!parsed.ok);
  assert.deepEqual(
    parsed.errors.map((e) => e.pointer),
    ['/keys/1/key_id', '/keys/2'],
  );
});

test('a batch entry can remove a key', () => {
  const parsed = parseKeyBatch({ keys: [{ key_id: 'ak_test_aaa', delete: true }] });
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value, [{ keyId: 'ak_test_aaa', key: null }]);
});
