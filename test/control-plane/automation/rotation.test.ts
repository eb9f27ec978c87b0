import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { parseSecret } from '#contract/keys.ts';
import type { Key } from '#contract/registry.ts';
import { openDatabase } from '../../../control-plane/database/open.ts';
import { onEachEngine, startTestPlane, type TestPlane } from '../../support/control-plane.ts';

onEachEngine('scheduled rotation', (engine) => {
  let plane: TestPlane;
  before(async () => {
    plane = await startTestPlane(engine);
  });
  after(() => plane.stop());

  /** Makes a key look as old as this. */
  async function age(keyId: string, days: number): Promise<void> {
    if (engine === 'pglite') await plane.plane.close();
    const db = await openDatabase({ databaseUrl: plane.databaseUrl, dataDir: plane.dataDir });
    await db.execute(`UPDATE dev_app_keys SET created_at = now() - $2 * interval '1 day' WHERE key_id = $1`, [
      keyId,
      days,
    ]);
    await db.close();
    if (engine === 'pglite') plane = await plane.restart();
  }
  const runNow = async () => (await plane.call('POST', '/admin/v1/rotations')).body.rotated;

  test('rotates a key when it is due, keeps the old secret and gives the new one out once', async () => {
    const { appId, keyId } = await plane.makeKey('ana@example.com', { expires_in_days: 90 });
    const set = await plane.call('PUT', `/api/dev/apps/${appId}/rotation`, { every_days: 30 });
    assert.deepEqual(set.body, { every_days: 30, grace_days: 7 });
    await age(keyId, 29);
    assert.equal(await runNow(), 0);
    await age(keyId, 31);
    assert.equal(await runNow(), 1);
    assert.equal(await runNow(), 0);

    const follow = await plane.follow();
    await follow.snapshot();
    const key = follow.objects.get(`key/${keyId}`) as unknown as Key;
    assert.equal(key.secrets.length, 2);
    assert.ok(key.secrets[1]!.expiresAt! > Date.now() + 6 * 86_400_000);
    await follow.stop();

    const other = await plane.tokenOf('eve@example.com');
    const path = `/api/dev/keys/${keyId}/claim`;
    assert.equal((await plane.call('POST', path, {}, { token: other })).status, 404);
    const token = await plane.tokenOf('ana@example.com');
    const claimed = await plane.call<{ secret: string }>('POST', path, {}, { token });
    assert.equal(parseSecret(claimed.body.secret), 'test');
    assert.equal((await plane.call('POST', path, {}, { token })).status, 404);
    const entries = await plane.call<{ data: { actor: string; action: string }[] }>(
      'GET',
      `/api/dev/audit?key_id=${keyId}`,
    );
    assert.deepEqual(entries.body.data.map(({ actor, action }) => [actor, action]).slice(0, 2), [
      ['ana@example.com', 'key.claim'],
      ['system:rotation', 'key.rotate'],
    ]);
  });

  test('does nothing for revoked keys and for apps without a schedule', async () => {
    const revoked = await plane.makeKey();
    await plane.call('PUT', `/api/dev/apps/${revoked.appId}/rotation`, { every_days: 1 });
    await plane.call('POST', `/api/dev/keys/${revoked.keyId}/revoke`, {});
    const free = await plane.makeKey();
    await age(revoked.keyId, 100);
    await age(free.keyId, 100);
    assert.equal(await runNow(), 0);
  });

  test('several instances rotate a key once', { skip: engine === 'pglite' }, async () => {
    const { appId, keyId } = await plane.makeKey();
    await plane.call('PUT', `/api/dev/apps/${appId}/rotation`, { every_days: 1 });
    await age(keyId, 2);
    const others = await Promise.all([plane.another(), plane.another()]);
    const counts = await Promise.all(
      [plane, ...others].map(
        async (each) => (await each.call('POST', '/admin/v1/rotations')).body.rotated as number,
      ),
    );
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      1,
    );
    await Promise.all(others.map((each) => each.plane.close()));
  });
});
