import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runTollgate } from '../../support/command-line.ts';
import { onEachEngine, operatorToken, startTestPlane, type TestPlane } from '../../support/control-plane.ts';

const service = { id: 'payments', targets: { live: [{ url: 'http://127.0.0.1:1' }] } };
const route = { id: 'pay', service: 'payments', path: '/v1', methods: ['GET'] };
type Applied = { revision: number; changes: { action: string; kind: string; id: string }[] };
type Errors = { errors: { pointer: string; detail: string; hint?: string }[] };

onEachEngine('configuration', (engine) => {
  let plane: TestPlane;
  before(async () => {
    plane = await startTestPlane(engine);
  });
  after(() => plane.stop());

  const apply = (resources: unknown, more: object = {}) =>
    plane.call<Applied>('POST', '/admin/v1/configuration:apply', { resources, ...more });

  test('is applied whole, told to gateways in one delta and kept in the history', async () => {
    const follow = await plane.follow();
    await follow.snapshot();
    const start = (await plane.call<Applied>('GET', '/admin/v1/configuration')).body.revision;
    const dry = await apply({ services: [service], routes: [route] }, { dry_run: true });
    assert.equal(dry.body.revision, start);
    assert.deepEqual(
      dry.body.changes.map(({ action, kind, id }) => [action, kind, id]),
      [
        ['create', 'service', 'payments'],
        ['create', 'route', 'pay'],
      ],
    );
    const done = await apply({ services: [service], routes: [route] }, { message: 'first' });
    assert.equal(done.status, 200, JSON.stringify(done.body));
    assert.equal(done.body.revision, start + 1);
    const delta = await follow.next();
    assert.equal(delta.type === 'delta' && delta.changes.length, 2);
    await follow.stop();

    const again = await apply({ services: [service], routes: [route] });
    assert.deepEqual(again.body.changes, []);
    assert.equal(again.body.revision, start + 1);
    const history = await plane.call<{ data: Record<string, unknown>[] }>('GET', '/admin/v1/configurations');
    assert.equal(history.body.data[0]!.message, 'first');
    assert.equal(history.body.data[0]!.author, 'operator');
  });

  test('without prune the rest stays, with prune it goes, and a rollback brings it back', async () => {
    const first = await apply({ services: [service], routes: [route] }, { prune: true });
    const other = { ...route, id: 'other', path: '/v2' };
    await apply({ routes: [other] });
    const pruned = await apply({ services: [service], routes: [other] }, { prune: true });
    assert.deepEqual(
      pruned.body.changes.map(({ action, id }) => [action, id]),
      [['delete', 'pay']],
    );
    const back = await plane.call<Applied>(
      'POST',
      `/admin/v1/configurations/${first.body.revision}/rollback`,
      {},
    );
    assert.equal(back.status, 200, JSON.stringify(back.body));
    assert.deepEqual(
      back.body.changes.map(({ action, id }) => [action, id]),
      [
        ['create', 'pay'],
        ['delete', 'other'],
      ],
    );
    const now = await plane.call<{ resources: object }>('GET', '/admin/v1/configuration');
    assert.deepEqual(now.body.resources, { services: [service], routes: [route] });
  });

  test('is refused with every error and a hint, and then nothing changes', async () => {
    const before = await plane.call('GET', '/admin/v1/configuration');
    const refused = await plane.call<Errors>('POST', '/admin/v1/configuration:apply', {
      resources: {
        services: [{ ...service, id: 'good' }],
        routes: [{ ...route, service: 'paymants', pathh: '/' }],
      },
    });
    assert.equal(refused.status, 422);
    assert.deepEqual(
      refused.body.errors.map(({ pointer, hint }) => [pointer, hint]),
      [['/resources/routes/0', 'did you mean "path"?']],
    );
    const dangling = await plane.call<Errors>('POST', '/admin/v1/configuration:apply', {
      resources: { routes: [{ ...route, service: 'paymants' }] },
    });
    assert.equal(dangling.body.errors[0]!.hint, 'did you mean "payments"?');
    assert.deepEqual((await plane.call('GET', '/admin/v1/configuration')).body, before.body);
  });

  test('is not applied when another has changed it since', async () => {
    const { revision } = (await plane.call<Applied>('GET', '/admin/v1/configuration')).body;
    const stale = await apply(
      { services: [{ ...service, retries: 1 }] },
      { expected_revision: revision - 1 },
    );
    assert.equal(stale.status, 412);
    const results = await Promise.all(
      [2, 3].map((retries) =>
        apply({ services: [{ ...service, retries }] }, { expected_revision: revision }),
      ),
    );
    assert.deepEqual(results.map(({ status }) => status).sort(), [200, 412]);
  });

  test('single resources are set, read and removed, minding If-Match', async () => {
    const path = '/admin/v1/plans/gold';
    const plan = { id: 'gold', limits: [] };
    assert.equal((await plane.call('PUT', path, plan)).status, 201);
    const read = await plane.call('GET', path);
    const etag = read.headers.get('etag')!;
    const cached = await plane.call('GET', path, undefined, { headers: { 'if-none-match': etag } });
    assert.equal(cached.status, 304);
    const limits = [{ kind: 'concurrency', name: 'c', limit: 5 }];
    const changed = await plane.call('PUT', path, { id: 'gold', limits }, { headers: { 'if-match': etag } });
    assert.equal(changed.status, 200);
    const lost = await plane.call('PUT', path, plan, { headers: { 'if-match': etag } });
    assert.equal(lost.status, 412);
    assert.deepEqual((await plane.call('GET', path)).body, { id: 'gold', limits });
    assert.equal(
      (await plane.call('DELETE', path, undefined, { headers: { 'if-match': etag } })).status,
      412,
    );
    assert.equal((await plane.call('DELETE', path)).status, 204);
    assert.equal((await plane.call('GET', path)).status, 404);
  });

  test('what is in use cannot be removed', async () => {
    await apply({ services: [service], routes: [route], plans: [{ id: 'gold', limits: [] }] });
    const used = await plane.call<Errors>('DELETE', '/admin/v1/services/payments');
    assert.equal(used.status, 422);
    assert.equal(used.body.errors[0]!.pointer, '/routes/pay/service');
    const { appId } = await plane.makeKey();
    await plane.call('PATCH', `/api/dev/apps/${appId}`, { plan: 'gold' });
    assert.equal((await plane.call('DELETE', '/admin/v1/plans/gold')).status, 422);
    await plane.call('PATCH', `/api/dev/apps/${appId}`, { plan: null });
    assert.equal((await plane.call('DELETE', '/admin/v1/plans/gold')).status, 204);
  });

  test('developers can neither read nor change it', async () => {
    const token = await plane.tokenOf('ana@example.com');
    for (const [method, path] of [
      ['GET', '/admin/v1/configuration'],
      ['POST', '/admin/v1/configuration:apply'],
      ['PUT', '/admin/v1/routes/pay'],
    ] as const) {
      const reply = await plane.call(method, path, method === 'GET' ? undefined : {}, { token });
      assert.equal(reply.status, 403, path);
    }
  });

  test('the command line applies, shows differences, exports the same file and rolls back', async () => {
    const file = join(plane.dataDir, 'gateway.yaml');
    const at = ['--control', plane.url, '--token', operatorToken];
    const text = [
      'services:',
      '  - id: payments',
      '    targets:',
      '      live:',
      '        - url: ${UPSTREAM:-http://127.0.0.1:9}',
      'routes:',
      '  - id: pay',
      '    service: payments',
      '    path: /v1',
      '',
    ];
    writeFileSync(file, text.join('\n'));
    const dry = await runTollgate(['apply', file, '--dry-run', '--prune', ...at]);
    assert.equal(dry.code, 0, dry.output);
    assert.match(
      dry.stdout,
      /~ service payments\n(?: {4}.*\n)*? {4}~ targets\.live\[0\]\.url: "http:\/\/127\.0\.0\.1:1" → "http:\/\/127\.0\.0\.1:9"/,
    );
    assert.match(dry.stdout, /changes to make/);
    const done = await runTollgate(['apply', file, '--prune', '--message', 'cli', ...at]);
    assert.match(done.stdout, /the configuration is at revision \d+/);
    const exported = await runTollgate(['export', ...at]);
    writeFileSync(file, exported.stdout);
    assert.match((await runTollgate(['apply', file, '--prune', ...at])).stdout, /nothing to change/);

    text[7] = '    service: payment';
    writeFileSync(file, text.join('\n'));
    const refused = await runTollgate(['apply', file, '--prune', ...at]);
    assert.equal(refused.code, 1);
    assert.ok(
      refused.output.includes(
        `${file}:8: /routes/0/service: there is no service "payment" (did you mean "payments"?)`,
      ),
      refused.output,
    );
    const history = await runTollgate(['history', '--json', ...at]);
    const entries = JSON.parse(history.stdout) as { revision: number; message: string }[];
    assert.equal(entries[0]!.message, 'cli');
    const back = await runTollgate(['rollback', String(entries[1]!.revision), ...at]);
    assert.equal(back.code, 0, back.output);
    assert.match(back.stdout, /→ "http:\/\/127\.0\.0\.1:1"/);
  });
});
