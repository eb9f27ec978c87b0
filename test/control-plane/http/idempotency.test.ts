import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { onEachEngine, startTestPlane, type TestPlane } from '../../support/control-plane.ts';

onEachEngine('Idempotency-Key', (engine) => {
  let plane: TestPlane;
  before(async () => {
    plane = await startTestPlane(engine);
  });
  after(() => plane.stop());

  const create = (appId: string, key: string, body: unknown = {}, token?: string) =>
    plane.call<{ key_id: string; secret: string }>('POST', `/api/dev/apps/${appId}/keys`, body, {
      headers: { 'idempotency-key': key },
      ...(token ? { token } : {}),
    });

  test('a repeated request gets the first reply again and does nothing twice', async () => {
    const { appId } = await plane.makeKey();
    const first = await create(appId, 'once');
    const again = await create(appId, 'once');
    assert.equal(first.status, 201);
    assert.equal(first.headers.get('idempotent-replayed'), null);
    assert.equal(again.status, 201);
    assert.equal(again.headers.get('idempotent-replayed'), 'true');
    assert.equal(again.headers.get('location'), first.headers.get('location'));
    assert.deepEqual(again.body, first.body);
    const list = await plane.call<{ data: unknown[] }>('GET', `/api/dev/apps/${appId}/keys`);
    assert.equal(list.body.data.length, 2);
  });

  test('the same key with another request is refused', async () => {
    const { appId } = await plane.makeKey();
    await create(appId, 'other', { name: 'a' });
    const reused = await create(appId, 'other', { name: 'b' });
    assert.equal(reused.status, 422);
    assert.equal(reused.body as unknown as { code: string }, reused.body);
    assert.equal((reused.body as unknown as { code: string }).code, 'idempotency_key_reused');
  });

  test('requests at the same time do the work once', async () => {
    const { appId } = await plane.makeKey();
    const replies = await Promise.all(Array.from({ length: 8 }, () => create(appId, 'race')));
    const statuses = new Set(replies.map(({ status }) => status));
    assert.ok(
      [...statuses].every((status) => status === 201 || status === 409),
      [...statuses].join(),
    );
    assert.equal(
      new Set(replies.filter(({ status }) => status === 201).map(({ body }) => body.secret)).size,
      1,
    );
    const list = await plane.call<{ data: unknown[] }>('GET', `/api/dev/apps/${appId}/keys`);
    assert.equal(list.body.data.length, 2);
  });

  test('refusals are kept as well, keys are the caller’s own, and a bad key is refused', async () => {
    const { appId } = await plane.makeKey('ana@example.com');
    const bad = { environment: 'x' };
    assert.equal((await create(appId, 'bad key with spaces')).status, 400);
    const token = await plane.tokenOf('ana@example.com');
    const mine = await create(appId, 'mine', {}, token);
    const operators = await create(appId, 'mine', {});
    assert.notEqual(mine.body.key_id, operators.body.key_id);
    assert.equal((await create(appId, 'refused', bad)).status, 422);
  });
});

test('callers and failed authentications are limited', async () => {
  const throttle = { requests: { burst: 3, perMinute: 1 }, failures: { burst: 2, perMinute: 1 } };
  const plane = await startTestPlane('pglite', { throttle });
  try {
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) statuses.push((await plane.call('GET', '/api/dev/apps')).status);
    assert.deepEqual(statuses, [200, 200, 200, 429]);
    const refused = await plane.call('GET', '/api/dev/apps');
    assert.equal(refused.body.code, 'rate_limited');
    assert.ok(Number(refused.headers.get('retry-after')) > 0);
    assert.equal((await plane.call('GET', '/readyz')).status, 200);

    const guesses: number[] = [];
    for (let i = 0; i < 4; i++)
      guesses.push((await plane.call('GET', '/api/dev/apps', undefined, { token: `guess${i}` })).status);
    assert.deepEqual(guesses, [401, 401, 429, 429]);
  } finally {
    await plane.stop();
  }
});
