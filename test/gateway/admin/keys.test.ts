import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import type { Change } from '#contract/registry.ts';
import { createAdminServer } from '../../../gateway/admin/server.ts';
import { parseApiKeys } from '../../../gateway/registry/api-keys-variable.ts';
import { type RunningRegistry, startRegistry } from '../../../gateway/registry/start-registry.ts';
import { makeFolder } from '../../support/temporary-folder.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const webhookSecret = `whsec_${Buffer.alloc(24, 5).toString('base64')}`;
const webhook = new Webhook(webhookSecret);

interface Setting {
  readonly running: RunningRegistry;
  readonly dataDir: string;
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  tell(id: string, type: string, data: object, options?: { at?: string; sentAt?: Date }): Promise<Answer>;
  restart(declared?: readonly Change[]): Promise<Setting>;
}
interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: answers are judged by the tests
  readonly body: any;
}

async function standAlone(
  t: TestContext,
  dataDir = makeFolder(),
  declared: readonly Change[] = [],
): Promise<Setting> {
  const running = await startRegistry({
    dataDir,
    control: null,
    keyFile: null,
    declared,
    portalWebhookSecret: webhookSecret,
    version: '1.0.0',
    log: () => undefined,
  });
  const server = createAdminServer({
    host: '127.0.0.1',
    port: 0,
    operatorToken: 'operator-token',
    readiness: running.readiness,
    health: running.health,
    metrics: { contentType: 'text/plain', render: async () => '' },
    ...running.adminHandlers,
    logFault: (error) => assert.fail(error as Error),
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await running.close();
  };
  t.after(stop);
  const call: Setting['call'] = async (method, path, body, headers) => {
    const response = await fetch(base + path, {
      method,
      headers: { authorization: 'Bearer operator-token', ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === '' ? null : JSON.parse(text),
    };
  };
  return {
    running,
    dataDir,
    call,
    tell: (id, type, data, { at = '2026-01-01T00:00:00Z', sentAt = new Date() } = {}) => {
      const body = JSON.stringify({ type, timestamp: at, data });
      return call('POST', '/admin/v1/webhooks/portal', body, {
        authorization: '',
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1000)),
        'webhook-signature': webhook.sign(id, sentAt, body),
      });
    },
    restart: async (again = declared) => {
      await stop();
      return standAlone(t, dataDir, again);
    },
  };
}

test('a pushed key is in force when it is answered, and still there after a restart', async (t) => {
  const setting = await standAlone(t);
  const body = {
    sha256: sha256('s3cret of a partner'),
    environment: 'test',
    scopes: ['payments:read'],
    expires_at: '2030-01-01T00:00:00Z',
    quota: { burst_limit: 5 },
  };
  const created = await setting.call('PUT', '/admin/v1/keys/partner-1', body);
  assert.equal(created.status, 201);
  assert.deepEqual(created.body, {
    key_id: 'partner-1',
    kind: 'bearer',
    environment: 'test',
    status: 'active',
    app: null,
    plan: null,
    version: null,
    scopes: ['payments:read'],
    addresses: null,
    expires_at: '2030-01-01T00:00:00.000Z',
  });
  const digest = sha256('s3cret of a partner');
  assert.equal(setting.running.registry.keys.findBySecretDigest(digest)?.key.id, 'partner-1');
  const { revision } = setting.running.registry;
  assert.equal((await setting.call('PUT', '/admin/v1/keys/partner-1', body)).status, 200);
  assert.equal(setting.running.registry.revision, revision, 'the same again changes nothing');
  const later = await setting.restart();
  assert.deepEqual(later.running.registry.keys.findBySecretDigest(digest)?.key.quota, { burst: 5 });
  assert.deepEqual((await later.call('GET', '/admin/v1/keys/partner-1')).body, created.body);
});

test('a removed key is gone at once and for good; removing it again is no error', async (t) => {
  const setting = await standAlone(t);
  await setting.call('PUT', '/admin/v1/keys/partner-1', { sha256: sha256('x') });
  assert.equal((await setting.call('DELETE', '/admin/v1/keys/partner-1')).status, 204);
  assert.equal((await setting.call('DELETE', '/admin/v1/keys/partner-1')).status, 204);
  assert.equal((await setting.call('GET', '/admin/v1/keys/partner-1')).status, 404);
  const later = await setting.restart();
  assert.equal(later.running.registry.keys.find('partner-1'), undefined);
});

test('keys of API_KEYS are known; what was pushed or removed afterwards stands above them', async (t) => {
  const parsed = parseApiKeys(`one:${sha256('1')} two:${sha256('2')} three:${sha256('3')}`);
  assert.ok(parsed.ok);
  const setting = await standAlone(t, makeFolder(), parsed.changes);
  const { keys } = setting.running.registry;
  assert.equal(keys.findBySecretDigest(sha256('1'))?.key.id, 'one');
  await setting.call('PUT', '/admin/v1/keys/one', { sha256: sha256('1 rotated') });
  await setting.call('DELETE', '/admin/v1/keys/two');
  for (const current of [setting, await setting.restart()]) {
    const { find, findBySecretDigest } = bound(current.running);
    assert.equal(findBySecretDigest(sha256('1')), undefined);
    assert.equal(findBySecretDigest(sha256('1 rotated'))?.key.id, 'one');
    assert.equal(find('two')?.key.status, 'revoked');
    assert.equal(find('three')?.key.status, 'active');
  }
});

test('an entry that API_KEYS no longer has is gone after the restart', async (t) => {
  const both = parseApiKeys(`one:${sha256('1')} two:${sha256('2')}`);
  const less = parseApiKeys(`two:${sha256('2')}`);
  assert.ok(both.ok && less.ok);
  const setting = await standAlone(t, makeFolder(), both.changes);
  const later = await setting.restart(less.changes);
  assert.equal(later.running.registry.keys.find('one'), undefined);
  assert.ok(later.running.registry.keys.find('two'));
  await later.running.declare([]);
  assert.equal(later.running.registry.keys.find('two'), undefined, 'also when it changes at run time');
});

test('a batch of 10,000 keys is one revision', async (t) => {
  const setting = await standAlone(t);
  const keys = Array.from({ length: 10_000 }, (_, n) => ({ key_id: `batch-${n}`, sha256: sha256(`b${n}`) }));
  const answer = await setting.call('POST', '/admin/v1/keys:batch', { keys });
  assert.deepEqual(answer.body, { set: 10_000, removed: 0, changed: 10_000, revision: 1 });
  const again = await setting.call('POST', '/admin/v1/keys:batch', { keys });
  assert.equal(again.body.changed, 0);
  const mixed = await setting.call('POST', '/admin/v1/keys:batch', {
    keys: [
      { key_id: 'batch-1', delete: true },
      { key_id: 'unknown', delete: true },
    ],
  });
  assert.deepEqual(mixed.body, { set: 0, removed: 2, changed: 1, revision: 2 });
  assert.equal(
    (await setting.call('POST', '/admin/v1/keys:batch', { keys: [...keys, keys[0]] })).status,
    422,
  );
  const later = await setting.restart();
  assert.equal(later.running.registry.keyCounts.live, 9_999);
});

test('anything wrong in a batch refuses the whole, with every error', async (t) => {
  const setting = await standAlone(t);
  const answer = await setting.call('POST', '/admin/v1/keys:batch', {
    keys: [
      { key_id: 'good-1', sha256: sha256('x') },
      { key_id: 'bad-1', sha256: sha256('y'), secret: 'both of them at once' },
      { key_id: '!', sha256: sha256('z') },
    ],
  });
  assert.equal(answer.status, 422);
  assert.deepEqual(
    answer.body.errors.map(({ pointer }: { pointer: string }) => pointer),
    ['/keys/1', '/keys/2/key_id'],
  );
  assert.equal(setting.running.registry.keys.find('good-1'), undefined);
  assert.equal((await setting.call('PUT', '/admin/v1/keys/good-1', '{')).status, 400);
  assert.equal(
    (await setting.call('PATCH', '/admin/v1/keys/good-1', {})).headers.get('allow'),
    'GET, PUT, DELETE',
  );
  assert.equal((await setting.call('GET', '/admin/v1/keys:batch')).headers.get('allow'), 'POST');
  for (const path of ['/admin/v1/keys/', '/admin/v1/keys/a/b', '/admin/v1/keys/%ff', '/admin/v1/other']) {
    assert.equal((await setting.call('GET', path)).status, 404, path);
  }
});

test('only the operator may push keys', async (t) => {
  const setting = await standAlone(t);
  for (const authorization of ['', 'Bearer other', 'Basic operator-token']) {
    const answer = await setting.call(
      'PUT',
      '/admin/v1/keys/k-1',
      { sha256: sha256('x') },
      { authorization },
    );
    assert.equal(answer.status, 401);
  }
});

test('a gateway that follows a control plane takes no keys', async (t) => {
  const { keyAdmin } = await import('../../../gateway/admin/keys.ts');
  const { KeyAudit } = await import('../../../gateway/admin/key-audit.ts');
  const setting = await standAlone(t);
  const handler = keyAdmin({
    registry: setting.running.registry,
    audit: new KeyAudit(null, () => undefined),
    standAlone: false,
  });
  let status = 0;
  const response = {
    writeHead: (code: number) => {
      status = code;
    },
    end: () => undefined,
  };
  assert.equal(await handler({ method: 'PUT' } as never, response as never, '/admin/v1/keys/k-1'), true);
  assert.equal(status, 409);
});

test('every change is in the audit file, without any secret or hash', async (t) => {
  const setting = await standAlone(t);
  await setting.call('PUT', '/admin/v1/keys/k-1', { secret: 'plain secret of k-1', environment: 'test' });
  await setting.call('DELETE', '/admin/v1/keys/k-1');
  await setting.tell('m1', 'key.created', { key_id: 'k-2', sha256: sha256('k2') });
  await setting.tell('m2', 'key.revoked', { key_id: 'k-2', reason: 'leaked' });
  const path = join(setting.dataDir, 'audit', 'keys.ndjson');
  const text = readFileSync(path, 'utf8');
  const entries = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    entries.map(({ action, key_id, actor, reason, message_id }) => [
      action,
      key_id,
      actor,
      reason,
      message_id,
    ]),
    [
      ['key.set', 'k-1', 'operator', undefined, undefined],
      ['key.removed', 'k-1', 'operator', undefined, undefined],
      ['key.created', 'k-2', 'portal', undefined, 'm1'],
      ['key.revoked', 'k-2', 'portal', 'leaked', 'm2'],
    ],
  );
  assert.deepEqual(entries[1].before, entries[0].after);
  assert.equal(entries[0].remote_address, '127.0.0.1');
  const hidden = ['plain secret', sha256('plain secret of k-1'), sha256('k2')];
  const files = [path, join(setting.dataDir, 'registry', 'registry-1.log')];
  for (const file of files) {
    assert.ok(existsSync(file));
    assert.ok(!readFileSync(file, 'latin1').includes('plain secret'), file);
  }
  for (const each of hidden) assert.ok(!text.includes(each));
});

test('a portal creates, rotates with grace and revokes keys', async (t) => {
  const setting = await standAlone(t);
  const { find, findBySecretDigest } = bound(setting.running);
  const created = await setting.tell('m1', 'key.created', { key_id: 'ak_live_abc', sha256: sha256('first') });
  assert.deepEqual([created.status, created.body], [200, { status: 'applied', key_id: 'ak_live_abc' }]);
  const graceEnd = new Date(Date.now() + 3_600_000).toISOString();
  const rotation = { key_id: 'ak_live_abc', sha256: sha256('second'), previous_expires_at: graceEnd };
  await setting.tell('m2', 'key.rotated', rotation, { at: '2026-01-02T00:00:00Z' });
  assert.deepEqual(find('ak_live_abc')?.key.secrets, [
    { sha256: sha256('second') },
    { sha256: sha256('first'), expiresAt: Date.parse(graceEnd) },
  ]);
  await setting.tell(
    'm3',
    'key.rotated',
    { key_id: 'ak_live_abc', sha256: sha256('third'), previous_expires_at: null },
    { at: '2026-01-03T00:00:00Z' },
  );
  assert.deepEqual(find('ak_live_abc')?.key.secrets, [{ sha256: sha256('third') }]);
  await setting.tell('m4', 'key.revoked', { key_id: 'ak_live_abc', reason: 'leaked' });
  assert.equal(findBySecretDigest(sha256('third'))?.key.status, 'revoked');
  const other = await setting.tell('m5', 'webhook.ping', {});
  assert.deepEqual([other.status, other.body.status], [200, 'ignored']);
});

test('a message is acted on once, also after a restart', async (t) => {
  const setting = await standAlone(t);
  await setting.tell('m1', 'key.created', { key_id: 'k-1', sha256: sha256('x') });
  await setting.call('DELETE', '/admin/v1/keys/k-1');
  const replay = await setting.tell('m1', 'key.created', { key_id: 'k-1', sha256: sha256('x') });
  assert.deepEqual([replay.status, replay.body.status], [200, 'duplicate']);
  const later = await setting.restart();
  const again = await later.tell('m1', 'key.created', { key_id: 'k-1', sha256: sha256('x') });
  assert.equal(again.body.status, 'duplicate');
  assert.equal(later.running.registry.keys.find('k-1'), undefined);
});

test('late messages do not undo newer ones', async (t) => {
  const setting = await standAlone(t);
  const { find } = bound(setting.running);
  // Revoked before it is known: its creation, arriving late, does not bring it to life.
  await setting.tell('m2', 'key.revoked', { key_id: 'k-1' }, { at: '2026-01-02T00:00:00Z' });
  const late = await setting.tell('m1', 'key.created', { key_id: 'k-1', sha256: sha256('x') });
  assert.equal(late.body.status, 'ignored');
  assert.equal(find('k-1')?.key.status, 'revoked');
  // Two rotations in the wrong order: the newer secret stays.
  await setting.tell('m3', 'key.created', { key_id: 'k-2', sha256: sha256('1') });
  const rotate = (id: string, at: string, secret: string): Promise<Answer> =>
    setting.tell(id, 'key.rotated', { key_id: 'k-2', sha256: sha256(secret) }, { at });
  await rotate('m5', '2026-01-03T00:00:00Z', 'newer');
  assert.equal((await rotate('m4', '2026-01-02T00:00:00Z', 'older')).body.status, 'ignored');
  assert.equal(find('k-2')?.key.secrets[0]?.sha256, sha256('newer'));
});

test('messages that are not signed, signed by another, too old or malformed are refused', async (t) => {
  const setting = await standAlone(t);
  const path = '/admin/v1/webhooks/portal';
  const body = JSON.stringify({ type: 'key.created', timestamp: '2026-01-01T00:00:00Z', data: {} });
  assert.equal((await setting.call('POST', path, body)).status, 401);
  const sentAt = new Date();
  const other = new Webhook(Buffer.alloc(24, 6).toString('base64'));
  const headers = {
    'webhook-id': 'm1',
    'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1000)),
    'webhook-signature': other.sign('m1', sentAt, body),
  };
  assert.equal((await setting.call('POST', path, body, headers)).status, 401);
  const old = new Date(Date.now() - 301_000);
  const stale = await setting.tell(
    'm1',
    'key.created',
    { key_id: 'k-1', sha256: sha256('x') },
    { sentAt: old },
  );
  assert.equal(stale.status, 401);
  const wrong = await setting.tell('m1', 'key.rotated', { key_id: 'k-1', sha256: 'short', extra: 1 });
  assert.equal(wrong.status, 422);
  assert.deepEqual(wrong.body.errors.map(({ pointer }: { pointer: string }) => pointer).sort(), [
    '/data',
    '/data/sha256',
  ]);
  assert.equal((await setting.call('GET', path)).status, 405);
  const large = await setting.call('POST', path, 'x'.repeat((1 << 20) + 1), headers);
  assert.equal(large.status, 413);
});

function bound({ registry }: RunningRegistry) {
  return {
    find: (id: string) => registry.keys.find(id),
    findBySecretDigest: (digest: string) => registry.keys.findBySecretDigest(digest),
  };
}
