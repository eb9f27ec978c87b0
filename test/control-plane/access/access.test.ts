import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { onEachEngine, startTestPlane, type TestPlane } from '../../support/control-plane.ts';

onEachEngine('access requests', (engine) => {
  let plane: TestPlane;
  before(async () => {
    plane = await startTestPlane(engine);
  });
  after(() => plane.stop());

  async function makeApp(email: string): Promise<{ appId: string; token: string }> {
    const token = await plane.tokenOf(email);
    const app = await plane.call<{ app_id: string }>('POST', '/api/dev/apps', { name: 'A' }, { token });
    return { appId: app.body.app_id, token };
  }

  test('test keys are free, live keys come after an approval', async () => {
    const { appId, token } = await makeApp('ana@example.com');
    const path = `/api/dev/apps/${appId}`;
    const live = () => plane.call('POST', `${path}/keys`, { environment: 'live' }, { token });
    assert.equal((await plane.call('POST', `${path}/keys`, { environment: 'test' }, { token })).status, 201);
    assert.equal((await live()).status, 403);

    const asked = await plane.call(
      'POST',
      `${path}/access-requests`,
      { environment: 'live', reason: 'go' },
      { token },
    );
    assert.equal(asked.status, 201);
    assert.equal(asked.body.status, 'pending');
    const twice = await plane.call('POST', `${path}/access-requests`, { environment: 'live' }, { token });
    assert.equal(twice.status, 409);
    assert.equal((await live()).status, 403);

    const pending = await plane.call<{ data: { request_id: string }[] }>(
      'GET',
      '/admin/v1/access-requests?status=pending',
    );
    assert.ok(pending.body.data.some((each) => each.request_id === asked.body.request_id));
    const decision = `/admin/v1/access-requests/${asked.body.request_id}/approve`;
    assert.equal((await plane.call('POST', decision, {}, { token })).status, 403);
    const approved = await plane.call('POST', decision, { note: 'welcome', audiences: ['payments'] });
    assert.equal(approved.body.status, 'approved');
    assert.equal(approved.body.note, 'welcome');
    assert.equal((await plane.call('POST', decision, {})).status, 409);
    assert.equal((await live()).status, 201);
    const environments = await plane.call<{ data: { environment: string; audiences: string[] }[] }>(
      'GET',
      `${path}/environments`,
      undefined,
      { token },
    );
    assert.deepEqual(environments.body.data[1]!.audiences, ['payments']);
  });

  test('a refusal says why, and one may ask again', async () => {
    const { appId, token } = await makeApp('bob@example.com');
    const path = `/api/dev/apps/${appId}/access-requests`;
    const asked = await plane.call('POST', path, { environment: 'live' }, { token });
    await plane.call('POST', `/admin/v1/access-requests/${asked.body.request_id}/refuse`, {
      note: 'not yet',
    });
    const list = await plane.call<{ data: { status: string; note: string }[] }>('GET', path, undefined, {
      token,
    });
    assert.deepEqual([list.body.data[0]!.status, list.body.data[0]!.note], ['refused', 'not yet']);
    assert.equal((await plane.call('POST', path, { environment: 'live' }, { token })).status, 201);
  });

  test('withdrawing an environment revokes its keys at the gateways', async () => {
    const { appId, token } = await makeApp('cas@example.com');
    const grant = `/admin/v1/apps/${appId}/environments/live`;
    assert.equal((await plane.call('PUT', grant, {})).status, 204);
    const key = await plane.call('POST', `/api/dev/apps/${appId}/keys`, { environment: 'live' }, { token });
    assert.equal(key.status, 201);
    const follow = await plane.follow();
    await follow.snapshot();
    assert.equal((await plane.call('DELETE', grant)).status, 204);
    await follow.until(`key/${key.body.key_id}`, (object) => object?.status === 'revoked');
    await follow.stop();
  });

  test('requests of other accounts are not to be seen', async () => {
    const { appId } = await makeApp('dan@example.com');
    const { token } = await makeApp('eve@example.com');
    for (const suffix of ['environments', 'access-requests']) {
      assert.equal(
        (await plane.call('GET', `/api/dev/apps/${appId}/${suffix}`, undefined, { token })).status,
        404,
      );
    }
    const ask = await plane.call(
      'POST',
      `/api/dev/apps/${appId}/access-requests`,
      { environment: 'live' },
      { token },
    );
    assert.equal(ask.status, 404);
    const key = await plane.call('POST', `/api/dev/apps/${appId}/keys`, { environment: 'live' }, { token });
    assert.equal(key.status, 404);
  });
});
