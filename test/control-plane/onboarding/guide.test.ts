import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type TestPostgres, usePostgres } from '../../support/postgres.ts';
import { type Instances, type Reply, readGuide, startInstances } from './instances.ts';

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

let postgres: TestPostgres;
before(async () => {
  postgres = await usePostgres();
});
after(() => postgres.stop());

async function register(instances: Instances): Promise<string> {
  const reply = await instances.call('POST', '/api/v1/applications/register', { body: { app_name: 'SIH' } });
  assert.equal(reply.status, 201);
  assert.deepEqual(Object.keys(reply.body), ['success', 'app_id', 'app_name', 'master_key']);
  return reply.body.master_key as string;
}

for (const language of ['fr', 'en']) {
  test(`the commands of the guide (${language}) work as printed, in order, over two instances`, async (t) => {
    const instances = await startInstances(await postgres.createDatabase(), {
      baseDomain: 'akasigroup.local',
    });
    t.after(() => instances.close());
    const masterKey = await register(instances);
    const requests = readGuide(join(import.meta.dirname, `../../../docs/onboarding/guide.${language}.md`));
    const paths = requests.map(
      ({ method, path }) => `${method} ${path.replace(/[0-9a-f-]{36}|\{uuid\}/, 'UUID')}`,
    );
    assert.deepEqual(paths, [
      'POST /api/v1/onboarding/start',
      'POST /api/v1/onboarding/provision',
      'POST /api/v1/onboarding/UUID/complete',
      'POST /api/v1/onboarding/start',
      'POST /api/v1/onboarding/provision',
      'GET /api/v1/onboarding/status/UUID',
    ]);
    let uuid = '';
    const send = async (index: number): Promise<Reply> => {
      const { method, path, body } = requests[index]!;
      const named = JSON.stringify(body)?.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, uuid);
      return instances.call(method, path.replace(/[0-9a-f]{8}-[0-9a-f-]{27}|\{uuid\}/, uuid), {
        masterKey,
        ...(named === undefined ? {} : { body: JSON.parse(named) }),
      });
    };

    const started = await send(0);
    assert.equal(started.status, 201);
    uuid = started.body.uuid as string;
    assert.match(uuid, uuidPattern);
    assert.deepEqual(started.body, {
      success: true,
      uuid,
      subdomain: 'clinique-du-lac',
      full_domain: 'clinique-du-lac.akasigroup.local',
      url: 'https://clinique-du-lac.akasigroup.local',
      email: 'admin@example.com',
      organization_name: 'Clinique du Lac',
      onboarding_status: 'pending',
    });

    const provisioned = await send(1);
    assert.equal(provisioned.status, 200);
    const {
      api_key = '',
      api_secret = '',
      metadata: _,
      ...rest
    } = provisioned.body as Record<string, string>;
    assert.match(api_key, /^ak_live_/);
    assert.match(api_secret, /^sk_live_/);
    assert.deepEqual(rest, {
      success: true,
      uuid,
      subdomain: 'clinique-du-lac',
      email: 'admin@example.com',
      organization_name: 'Clinique du Lac',
      onboarding_status: 'activated',
    });
    const {
      created_at = '',
      updated_at = '',
      ...facts
    } = provisioned.body.metadata as Record<string, string>;
    assert.match(created_at, timePattern);
    assert.match(updated_at, timePattern);
    assert.deepEqual(facts, {
      dns_configured: true,
      ssl_configured: true,
      infrastructure_status: 'ready',
      api_key_generated: true,
      provisioning_attempts: 1,
      is_idempotent: false,
    });

    const completed = await send(2);
    assert.equal(completed.status, 200);
    const { completed_at = '', ...said } = completed.body as Record<string, string>;
    assert.match(completed_at, timePattern);
    assert.deepEqual(said, {
      success: true,
      message: 'Onboarding marqué comme complété avec succès',
      uuid,
      onboarding_status: 'completed',
    });

    const again = await send(3);
    assert.equal(again.status, 201);
    assert.notEqual(again.body.uuid, uuid, 'start always makes a new onboarding');
    assert.equal(again.body.subdomain, 'clinique-du-lac-2');

    const replayed = await send(4);
    assert.equal(replayed.status, 200);
    assert.equal(replayed.body.api_key, null);
    assert.equal(replayed.body.api_secret, null);
    assert.equal((replayed.body.metadata as { is_idempotent: boolean }).is_idempotent, true);

    const status = await send(5);
    assert.equal(status.status, 200);
    assert.equal(status.body.onboarding_status, 'completed');
    assert.equal(status.body.completed_at, completed_at);
  });
}

describe('the answers of the FAQ', () => {
  let instances: Instances;
  let masterKey: string;
  let databaseUrl: string;
  before(async () => {
    databaseUrl = await postgres.createDatabase();
    instances = await startInstances(databaseUrl, {
      baseDomain: 'akasigroup.local',
      limits: { startPerHour: 1000, addressPerHour: 10_000, statusPerHour: 1000 },
    });
    masterKey = await register(instances);
  });
  after(() => instances.close());

  const start = (body: unknown, key = masterKey) =>
    instances.call('POST', '/api/v1/onboarding/start', { masterKey: key, body });
  const provision = (body: unknown) =>
    instances.call('POST', '/api/v1/onboarding/provision', { masterKey, body });

  test('a missing, malformed or unknown master key is the same 401, before anything else is looked at', async () => {
    const replies = [
      await instances.call('POST', '/api/v1/onboarding/start', { body: {} }),
      await start({}, 'mk_short'),
      await start({}, `mk_${'A'.repeat(43)}`),
    ];
    for (const reply of replies) {
      assert.equal(reply.status, 401);
      assert.equal(reply.body.code, 'credentials_invalid');
      assert.ok(reply.headers.get('www-authenticate'));
      assert.deepEqual({ ...reply.body, instance: '' }, { ...replies[0]!.body, instance: '' });
    }
  });

  test('validation errors are 422 with their places', async () => {
    const reply = await start({ email: 'nobody', organization_name: 7, other: 1 });
    assert.equal(reply.status, 422);
    const pointers = (reply.body.errors as { pointer: string }[]).map(({ pointer }) => pointer);
    assert.ok(pointers.includes('/email'));
    assert.equal((await provision({ uuid: 'x' })).status, 422);
  });

  test('the uuid of another application, and one that is none, are 404 everywhere', async () => {
    const other = await register(instances);
    const { uuid } = (await start({ email: 'a@example.com' }, other)).body as { uuid: string };
    for (const id of [uuid, 'ffffffff-ffff-4fff-8fff-ffffffffffff']) {
      assert.equal((await provision({ uuid: id })).status, 404);
    }
    for (const id of [uuid, 'nonsense', "' OR 1=1"]) {
      const path = `/api/v1/onboarding/${encodeURIComponent(id)}`;
      const status = `/api/v1/onboarding/status/${encodeURIComponent(id)}`;
      assert.equal((await instances.call('GET', status, { masterKey })).status, 404);
      const body = { tenant_id: 't' };
      assert.equal((await instances.call('POST', `${path}/complete`, { masterKey, body })).status, 404);
      assert.equal((await instances.call('DELETE', path, { masterKey })).status, 404);
    }
  });

  test('an organization name that is absent is made up, with its subdomain', async () => {
    const { body } = await start({ email: 'a@example.com' });
    assert.match(body.organization_name as string, /^Organisation \w{6}$/);
    assert.match(body.subdomain as string, /^org-\w{6}$/);
  });

  test('a completion can be repeated, another one conflicts, and one before provisioning does too', async () => {
    const { uuid } = (await start({ email: 'a@example.com' })).body as { uuid: string };
    const complete = (body: unknown) =>
      instances.call('POST', `/api/v1/onboarding/${uuid}/complete`, { masterKey, body });
    const body = { tenant_id: 'tenant_123', metadata: { users_count: 1, database_created: true } };
    assert.equal((await complete(body)).status, 409);
    assert.equal((await provision({ uuid })).status, 200);
    const first = await complete(body);
    assert.equal(first.status, 200);
    assert.deepEqual((await complete(body)).body, first.body);
    assert.equal((await complete({ ...body, tenant_id: 'tenant_124' })).status, 409);
    assert.equal((await complete({ tenant_id: 'tenant_123', metadata: { users_count: 2 } })).status, 409);
  });

  test('100 parallel starts of one name get 100 subdomains', async () => {
    const replies = await Promise.all(
      Array.from({ length: 100 }, () =>
        start({ email: 'a@example.com', organization_name: 'Hôpital Général' }),
      ),
    );
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [201]);
    assert.equal(new Set(replies.map(({ body }) => body.subdomain)).size, 100);
  });

  test('parallel provisioning of one uuid does the work once and gives the key once', async () => {
    const { uuid } = (await start({ email: 'a@example.com' })).body as { uuid: string };
    const replies = await Promise.all(
      Array.from({ length: 8 }, () => provision({ uuid, generate_api_key: true })),
    );
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200]);
    assert.equal(replies.filter(({ body }) => body.api_key !== null).length, 1);
    const facts = replies.map(
      ({ body }) => body.metadata as { is_idempotent: boolean; provisioning_attempts: number },
    );
    assert.equal(facts.filter((each) => !each.is_idempotent).length, 1);
    assert.ok(facts.every((each) => each.provisioning_attempts === 1));
  });

  test('a deleted onboarding is gone: its status is 404 and its subdomain free again', async () => {
    const wanted = { email: 'forget@example.com', organization_name: 'Forget Me' };
    const { uuid, subdomain } = (await start(wanted)).body as { uuid: string; subdomain: string };
    await provision({ uuid, generate_api_key: true });
    const deleted = await instances.call('DELETE', `/api/v1/onboarding/${uuid}`, { masterKey });
    assert.equal(deleted.status, 200);
    assert.equal(
      (await instances.call('GET', `/api/v1/onboarding/status/${uuid}`, { masterKey })).status,
      404,
    );
    assert.equal((await start(wanted)).body.subdomain, subdomain);
    const { default: pg } = await import('pg');
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    const dump = await client.query(
      `SELECT (SELECT count(*)::int FROM onboardings WHERE uuid = $1) AS rows,
              (SELECT count(*)::int FROM tenant_resources WHERE id = $2) AS resources,
              (SELECT count(*)::int FROM dev_portal_audit WHERE target->>'onboarding' = $1::text
                 AND (before::text LIKE '%forget@%' OR after::text LIKE '%forget@%')) AS traces`,
      [uuid, `tenant-${uuid}`],
    );
    await client.end();
    assert.deepEqual(dump.rows[0], { rows: 0, resources: 0, traces: 0 });
  });

  test('no secret is stored in the clear', async () => {
    const { uuid } = (await start({ email: 'a@example.com' })).body as { uuid: string };
    const { api_secret } = (await provision({ uuid, generate_api_key: true })).body as { api_secret: string };
    const { default: pg } = await import('pg');
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    const tables = await client.query<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
    );
    for (const { name } of tables.rows) {
      const found = await client.query(
        `SELECT count(*)::int AS n FROM "${name}" t WHERE t::text LIKE $1 OR t::text LIKE $2`,
        [`%${api_secret}%`, `%${masterKey}%`],
      );
      assert.equal((found.rows[0] as { n: number }).n, 0, name);
    }
    await client.end();
  });
});

test('a closed installation asks for its registration token: 401 without, 403 with a wrong one', async (t) => {
  const instances = await startInstances(
    await postgres.createDatabase(),
    { registrationToken: 'let-me-in' },
    1,
  );
  t.after(() => instances.close());
  const call = (headers: Record<string, string>) =>
    instances.call('POST', '/api/v1/applications/register', { body: { app_name: 'A' }, headers });
  assert.equal((await call({})).status, 401);
  assert.equal((await call({ 'X-Registration-Token': 'wrong' })).status, 403);
  assert.equal((await call({ 'X-Registration-Token': 'let-me-in' })).status, 201);
});
