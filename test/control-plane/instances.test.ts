import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import pg from 'pg';
import type { Key } from '#contract/registry.ts';
import { startTollgate } from '../support/command-line.ts';
import { gatewayToken, operatorToken, startTestPlane, type TestPlane } from '../support/control-plane.ts';
import { requireTool } from '../support/tools.ts';

/** PostgreSQL's own programs stand beside its server. */
const programs = dirname(realpathSync(requireTool('initdb')));
let plane: TestPlane;
before(async () => {
  plane = await startTestPlane('postgres');
});
after(() => plane.stop());

test('a change made at one instance reaches the gateways of another', async () => {
  const other = await plane.another();
  const follow = await other.follow();
  await follow.snapshot();
  const { keyId } = await plane.makeKey();
  await follow.until(`key/${keyId}`, (key) => key !== undefined);
  await plane.call('POST', `/api/dev/keys/${keyId}/revoke`, {});
  await follow.until(`key/${keyId}`, (key) => key?.status === 'revoked');
  await follow.stop();
  await other.plane.close();
});

test('rotations at several instances at once lose no secret and double none', async () => {
  const others = await Promise.all([plane.another(), plane.another()]);
  const { keyId } = await plane.makeKey();
  const replies = await Promise.all(
    [plane, ...others, plane, ...others].map((each) => each.call('POST', `/api/dev/keys/${keyId}/rotate`)),
  );
  assert.ok(replies.every(({ status }) => status === 200));
  const follow = await plane.follow();
  await follow.snapshot();
  const key = follow.objects.get(`key/${keyId}`) as unknown as Key;
  assert.equal(key.secrets.length, 7);
  assert.equal(new Set(key.secrets.map(({ box }) => box)).size, 7);
  await follow.stop();
  await Promise.all(others.map((each) => each.plane.close()));
});

test('an instance that is killed amid rotations leaves each of them done or not done', async () => {
  const { keyId } = await plane.makeKey();
  const victim = startTollgate(['control-plane', '--port', '0', '--data-dir', plane.dataDir, '--json'], {
    env: {
      DATABASE_URL: plane.databaseUrl,
      TOLLGATE_OPERATOR_TOKEN: operatorToken,
      TOLLGATE_GATEWAY_TOKEN: gatewayToken,
    },
  });
  const [line] = await victim.waitFor(/^\{"control".*$/m);
  const { control } = JSON.parse(line) as { control: string };
  const follow = await plane.follow();
  await follow.snapshot();
  const attempts = Array.from({ length: 12 }, async () => {
    const response = await fetch(`${control}/api/dev/keys/${keyId}/rotate`, {
      method: 'POST',
      headers: { authorization: `Bearer ${operatorToken}` },
    });
    return response.status;
  });
  await Promise.any(attempts);
  victim.kill('SIGKILL');
  await victim.ended;
  const done = (await Promise.allSettled(attempts)).filter((each) => each.status === 'fulfilled').length;
  const entries = await plane.call<{ data: unknown[] }>(
    'GET',
    `/api/dev/audit?key_id=${keyId}&action=key.rotate&limit=200`,
  );
  const rotated = entries.body.data.length;
  assert.ok(rotated >= done);
  await follow.until(
    `key/${keyId}`,
    (key) => (key?.secrets as unknown[] | undefined)?.length === rotated + 1,
  );
  await follow.stop();
  assert.equal((await plane.call('GET', '/admin/v1/audit/verification')).body.valid, true);
  assert.equal((await plane.call('POST', `/api/dev/keys/${keyId}/rotate`)).status, 200);
});

test('a dump restored into a new database serves the same, and gateways take a new snapshot', async () => {
  const { keyId } = await plane.makeKey();
  const follow = await plane.follow();
  await follow.snapshot();
  const { revision } = follow;
  await follow.stop();
  const dump = spawnSync(join(programs, 'pg_dump'), [plane.databaseUrl!], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  assert.equal(dump.status, 0, dump.stderr);
  const url = new URL(plane.databaseUrl!);
  const admin = new pg.Client({ connectionString: url.href });
  await admin.connect();
  const name = `${url.pathname.slice(1)}_restored`;
  await admin.query(`CREATE DATABASE ${name}`);
  await admin.end();
  url.pathname = `/${name}`;
  const restore = spawnSync(
    join(programs, 'psql'),
    ['-q', '-v', 'ON_ERROR_STOP=1', '-d', url.href, '-f', '-'],
    { input: dump.stdout, encoding: 'utf8' },
  );
  assert.equal(restore.status, 0, restore.stderr);
  const sql = new pg.Client({ connectionString: url.href });
  await sql.connect();
  await sql.query('SELECT registry_rebase()');
  await sql.end();
  const restored = await plane.another({ databaseUrl: url.href });
  assert.equal((await restored.call('GET', `/api/dev/keys/${keyId}`)).status, 200);
  const again = await restored.follow(`?from=${revision}`);
  assert.equal((await again.next()).type, 'snapshot');
  await again.stop();
  assert.equal((await restored.call('GET', '/admin/v1/audit/verification')).body.valid, true);
  await restored.plane.close();
});
