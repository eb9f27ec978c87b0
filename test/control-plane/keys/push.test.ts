import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Key } from '#contract/registry.ts';
import { onEachEngine, startTestPlane, type TestPlane } from '../../support/control-plane.ts';

const sha256 = 'c'.repeat(64);

onEachEngine('pushed keys', (engine) => {
  let plane: TestPlane;
  before(async () => {
    plane = await startTestPlane(engine);
  });
  after(() => plane.stop());

  test('a hashed key that is put is followed by gateways and can be put again', async () => {
    const follow = await plane.follow();
    await follow.snapshot();
    const path = '/admin/v1/keys/ak_live_partner7';
    const created = await plane.call('PUT', path, { sha256, app: 'partner', quota: { burst_limit: 5 } });
    assert.equal(created.status, 201);
    await follow.until('key/ak_live_partner7', (key) => key !== undefined);
    const key = follow.objects.get('key/ak_live_partner7') as unknown as Key;
    assert.deepEqual(key.secrets, [{ sha256 }]);
    assert.deepEqual(key.quota, { burst: 5 });
    assert.equal(key.app, 'partner');
    assert.equal((follow.objects.get('app/partner') as { name: string }).name, 'partner');

    const other = 'd'.repeat(64);
    assert.equal((await plane.call('PUT', path, { sha256: other })).status, 200);
    await follow.until('key/ak_live_partner7', (next) => JSON.stringify(next?.secrets).includes(other));
    assert.equal(follow.objects.get('key/ak_live_partner7')!.quota, undefined);
    await follow.stop();
  });

  test('a removed key is gone for gateways', async () => {
    await plane.call('PUT', '/admin/v1/keys/ak_test_gone', { sha256 });
    const follow = await plane.follow();
    await follow.snapshot();
    assert.equal((await plane.call('DELETE', '/admin/v1/keys/ak_test_gone')).status, 204);
    await follow.until('key/ak_test_gone', (key) => key === undefined);
    assert.equal((await plane.call('DELETE', '/admin/v1/keys/ak_test_gone')).status, 404);
    await follow.stop();
  });

  test('a batch is applied whole as one revision, or not at all', async () => {
    const follow = await plane.follow();
    await follow.snapshot();
    const keys = Array.from({ length: 50 }, (_, i) => ({ key_id: `ak_test_batch${i}`, sha256 }));
    const bad = await plane.call('POST', '/admin/v1/keys:batch', {
      keys: [...keys, { key_id: '!', sha256 }],
    });
    assert.equal(bad.status, 422);
    assert.equal((await plane.call('GET', '/admin/v1/keys/ak_test_batch0')).status, 404);

    const done = await plane.call('POST', '/admin/v1/keys:batch', { keys });
    assert.deepEqual(done.body, { put: 50, deleted: 0 });
    const delta = await follow.next();
    assert.equal(delta.type === 'delta' && delta.changes.length, 50);
    await follow.stop();
  });

  test('only the operator may push', async () => {
    const token = await plane.tokenOf('ana@example.com');
    const refused = await plane.call('PUT', '/admin/v1/keys/ak_test_abc', { sha256 }, { token });
    assert.equal(refused.status, 403);
  });
});
