import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { parseChange } from '#contract/validation.ts';
import { openDatabase } from '../../../control-plane/database/open.ts';
import {
  declare,
  gatewayToken,
  onEachEngine,
  startTestPlane,
  type TestPlane,
} from '../../support/control-plane.ts';

const declaration = declare([
  {
    kind: 'service',
    id: 'payments',
    object: { id: 'payments', targets: { test: [{ url: 'http://127.0.0.1:1' }] } },
  },
  { kind: 'route', id: 'pay', object: { id: 'pay', service: 'payments', path: '/v1' } },
]);

onEachEngine('registry feed', (engine) => {
  let plane: TestPlane;
  before(async () => {
    plane = await startTestPlane(engine, { declaration });
  });
  after(() => plane.stop());

  test('a snapshot has every object, each as the contract says', async () => {
    const { keyId, appId } = await plane.makeKey();
    const follow = await plane.follow();
    await follow.snapshot();
    for (const what of ['service/payments', 'route/pay', `key/${keyId}`, `app/${appId}`]) {
      assert.ok(follow.objects.has(what), what);
    }
    for (const [what, object] of follow.objects) {
      const parsed = parseChange({ kind: what.split('/')[0], id: what.slice(what.indexOf('/') + 1), object });
      assert.deepEqual(parsed.ok ? [] : parsed.errors, []);
    }
    await follow.stop();
  });

  test('who resumes from a revision gets only what changed since', async () => {
    const first = await plane.follow();
    await first.snapshot();
    const { keyId } = await plane.makeKey();
    const second = await plane.follow(`?from=${first.revision}`);
    const line = await second.next();
    assert.equal(line.type, 'delta');
    await second.until(`key/${keyId}`, (key) => key !== undefined);
    assert.equal(second.objects.has('route/pay'), false);
    await first.stop();
    await second.stop();
  });

  test('who is ahead of the database, or below its floor, gets a snapshot', async () => {
    const follow = await plane.follow('?from=99999999999');
    assert.ok((await follow.snapshot()) > 0);
    await follow.stop();
    const low = await plane.follow('?from=0');
    assert.equal((await low.next()).type, 'delta');
    await low.stop();
  });

  test('revisions rise by one for each change and are pushed in order', async () => {
    const follow = await plane.follow();
    await follow.snapshot();
    const start = follow.revision;
    const { appId } = await plane.makeKey();
    await Promise.all(
      Array.from({ length: 20 }, () =>
        plane.call('POST', `/api/dev/apps/${appId}/keys`, { key_type: 'bearer' }),
      ),
    );
    let last = start;
    while (last < start + 22) {
      const line = await follow.next();
      assert.equal(line.type, 'delta');
      const { revision } = line as { revision: number };
      assert.ok(revision > last);
      last = revision;
    }
    assert.equal([...follow.objects.values()].filter((object) => object.app === appId).length, 21);
    await follow.stop();
  });

  test('all followers end with the same registry as a new snapshot', async () => {
    const follow = await plane.follow();
    await follow.snapshot();
    const keys = await Promise.all(Array.from({ length: 10 }, () => plane.makeKey()));
    for (const { keyId } of keys.slice(0, 5)) {
      await plane.call('POST', `/api/dev/keys/${keyId}/revoke`, {});
      await plane.call('DELETE', `/admin/v1/keys/${keyId}`);
    }
    const fresh = await plane.follow();
    await fresh.snapshot();
    while (follow.revision < fresh.revision) await follow.next();
    assert.deepEqual(new Map([...follow.objects].sort()), new Map([...fresh.objects].sort()));
    await follow.stop();
    await fresh.stop();
  });

  test('a gateway may ask for compression', async () => {
    const follow = await plane.follow('', { 'accept-encoding': 'gzip' });
    assert.equal(follow.response.headers.get('content-encoding'), 'gzip');
    await follow.snapshot();
    const { keyId } = await plane.makeKey();
    await follow.until(`key/${keyId}`, (key) => key !== undefined);
    await follow.stop();
  });

  test('acknowledged revisions are listed by gateway', async () => {
    const follow = await plane.follow();
    await follow.snapshot();
    const body = { gateway: 'gw-1', revision: follow.revision, version: '0.1.0' };
    const reply = await plane.call('POST', '/registry/v1/ack', body, { token: gatewayToken });
    assert.equal(reply.status, 204);
    const list = await plane.call<{ revision: number; data: Record<string, unknown>[] }>(
      'GET',
      '/admin/v1/gateways',
    );
    const { id, revision, version, lag, stale } = list.body.data[0]!;
    assert.deepEqual(
      { id, revision, version, lag, stale },
      { id: 'gw-1', revision: follow.revision, version: '0.1.0', lag: 0, stale: false },
    );
    await follow.stop();
  });

  test('only the gateway token opens the stream', async () => {
    for (const token of [null, 'wrong', await plane.tokenOf('ana@example.com')]) {
      assert.equal((await plane.call('GET', '/registry/v1/stream', undefined, { token })).status, 401);
    }
  });

  test('the declaration of the start is applied again only when it has changed', async () => {
    const follow = await plane.follow();
    await follow.snapshot();
    const revision = follow.revision;
    await follow.stop();
    plane = await plane.restart();
    const same = await plane.follow();
    await same.snapshot();
    assert.equal(same.revision, revision);
    await same.stop();
    const route = { id: 'pay', service: 'payments', path: '/v2' };
    plane = await plane.restart({ declaration: declare([{ kind: 'route', id: 'pay', object: route }]) });
    const changed = await plane.follow();
    await changed.snapshot();
    assert.deepEqual(changed.objects.get('route/pay'), route);
    assert.ok(changed.objects.has('service/payments'));
    await changed.stop();
  });

  test('a plain SQL update of quotas reaches gateways; one that changes nothing does not', async () => {
    const { keyId } = await plane.makeKey();
    if (engine === 'pglite') await plane.plane.close();
    const db = await openDatabase({ databaseUrl: plane.databaseUrl, dataDir: plane.dataDir });
    const follow = engine === 'postgres' ? await plane.follow() : null;
    await follow?.snapshot();
    const update = `UPDATE api_key_quotas
      SET burst_limit = 1000,
          sustained_limit = 200,
          daily_quota = 5000000
      WHERE key_id = '${keyId}'`;
    const head = async () =>
      (await db.query<{ revision: number }>('SELECT revision FROM registry_head'))[0]!.revision;
    const start = await head();
    assert.equal(await db.execute(update), 1);
    assert.equal(await head(), start + 1);
    await db.execute(update);
    await db.execute(`UPDATE dev_app_keys SET last_used_at = now()`);
    assert.equal(await head(), start + 1);
    await db.close();
    const quota = { burst: 1000, sustainedPerMinute: 200, daily: 5_000_000 };
    if (follow) {
      await follow.until(`key/${keyId}`, (key) => key?.quota !== undefined);
      assert.deepEqual(follow.objects.get(`key/${keyId}`)!.quota, quota);
      await follow.stop();
    } else plane = await plane.restart();
    const fresh = await plane.follow();
    await fresh.snapshot();
    assert.deepEqual(fresh.objects.get(`key/${keyId}`)!.quota, quota);
    await fresh.stop();
  });

  test('compaction forgets what is gone, and who stands below takes a snapshot', async () => {
    const { keyId } = await plane.makeKey();
    const follow = await plane.follow();
    await follow.snapshot();
    const before = follow.revision;
    await plane.call('DELETE', `/admin/v1/keys/${keyId}`);
    await follow.until(`key/${keyId}`, (key) => key === undefined);
    const { revision } = follow;
    await follow.stop();
    if (engine === 'pglite') await plane.plane.close();
    const db = await openDatabase({ databaseUrl: plane.databaseUrl, dataDir: plane.dataDir });
    const compact = async (upTo: number) =>
      (await db.query<{ n: number }>('SELECT registry_compact($1) AS n', [upTo]))[0]!.n;
    await compact(before);
    assert.equal(await compact(before), 0);
    assert.equal(await compact(revision), 1);
    await db.close();
    if (engine === 'pglite') plane = await plane.restart();
    const old = await plane.follow(`?from=${before}`);
    assert.equal((await old.next()).type, 'snapshot');
    await old.stop();
    const current = await plane.follow(`?from=${revision}`);
    const other = await plane.makeKey();
    await current.until(`key/${other.keyId}`, (key) => key !== undefined);
    assert.equal(current.objects.has('route/pay'), false);
    await current.stop();
  });
});
