import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { onEachEngine, startTestPlane, type TestPlane } from '../../support/control-plane.ts';

onEachEngine('quotas', (engine) => {
  let plane: TestPlane;
  before(async () => {
    plane = await startTestPlane(engine);
  });
  after(() => plane.stop());

  test('a key starts with the limits of the default plan', async () => {
    const { keyId } = await plane.makeKey();
    const quota = await plane.call('GET', `/api/dev/keys/${keyId}/quota`);
    assert.deepEqual(quota.body, {
      key_id: keyId,
      plan: 'default',
      burst_limit: null,
      sustained_limit: null,
      daily_quota: null,
      overage_action: null,
      effective: { burst_limit: 600, sustained_limit: 100, daily_quota: 1_000_000, overage_action: 'block' },
    });
  });

  test('the operator overrides them for one key, and gateways are told', async () => {
    const { keyId } = await plane.makeKey();
    const follow = await plane.follow();
    await follow.snapshot();
    const path = `/api/dev/keys/${keyId}/quota`;
    const etag = (await plane.call('GET', path)).headers.get('etag')!;
    const changed = await plane.call('PATCH', path, { burst_limit: 1000, overage_action: 'charge' });
    assert.equal(changed.status, 200);
    await follow.until(`key/${keyId}`, (key) => key?.quota !== undefined);
    assert.deepEqual(follow.objects.get(`key/${keyId}`)!.quota, { burst: 1000, overage: 'charge' });
    const lost = await plane.call('PATCH', path, { burst_limit: 1 }, { headers: { 'if-match': etag } });
    assert.equal(lost.status, 412);
    await plane.call('PATCH', path, { burst_limit: null, overage_action: null });
    await follow.until(`key/${keyId}`, (key) => key?.quota === undefined);
    await follow.stop();
  });

  test('the plan of the app shows in what holds', async () => {
    const limits = [
      { kind: 'token_bucket', name: 'burst', capacity: 50, refill: 2, intervalMs: 1000 },
      { kind: 'quota', name: 'daily', limit: 10, period: 'day' },
    ];
    await plane.call('PUT', '/admin/v1/plans/gold', { id: 'gold', limits });
    const { appId, keyId } = await plane.makeKey();
    await plane.call('PATCH', `/api/dev/apps/${appId}`, { plan: 'gold' });
    const quota = await plane.call<{ effective: object }>('GET', `/api/dev/keys/${keyId}/quota`);
    assert.deepEqual(quota.body.effective, {
      burst_limit: 50,
      sustained_limit: 120,
      daily_quota: 10,
      overage_action: 'block',
    });
  });

  test('a developer reads them and cannot raise them', async () => {
    const { keyId } = await plane.makeKey('ana@example.com');
    const token = await plane.tokenOf('ana@example.com');
    const path = `/api/dev/keys/${keyId}/quota`;
    assert.equal((await plane.call('GET', path, undefined, { token })).status, 200);
    assert.equal((await plane.call('PATCH', path, { burst_limit: 9 }, { token })).status, 403);
    const other = await plane.tokenOf('eve@example.com');
    assert.equal((await plane.call('GET', path, undefined, { token: other })).status, 404);
  });

  test('limits out of range are refused', async () => {
    const { keyId } = await plane.makeKey();
    for (const body of [{ burst_limit: 0 }, { daily_quota: 1.5 }, { overage_action: 'no' }, { other: 1 }]) {
      assert.equal((await plane.call('PATCH', `/api/dev/keys/${keyId}/quota`, body)).status, 422);
    }
  });
});
