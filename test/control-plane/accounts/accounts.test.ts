import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { onEachEngine, startTestPlane, type TestPlane } from '../../support/control-plane.ts';

type Members = { data: { user_id: string; email: string; role: string; state: string }[] };

onEachEngine('accounts', (engine) => {
  let plane: TestPlane;
  before(async () => {
    plane = await startTestPlane(engine);
  });
  after(() => plane.stop());

  async function accountOf(token: string): Promise<string> {
    return (await plane.call('GET', '/api/dev/account', undefined, { token })).body.account_id as string;
  }

  test('whoever signs in first is the owner of an account of their own', async () => {
    const token = await plane.tokenOf('ana@example.com');
    const account = await plane.call('GET', '/api/dev/account', undefined, { token });
    assert.equal(account.body.email, 'ana@example.com');
    assert.equal(account.body.role, 'owner');
  });

  test('an invited address becomes a member with that role when it signs in', async () => {
    const owner = await plane.tokenOf('owner@example.com');
    const accountId = await accountOf(owner);
    const invited = await plane.call(
      'POST',
      '/api/dev/members',
      { email: 'Viewer@example.com', role: 'viewer' },
      { token: owner },
    );
    assert.equal(invited.status, 201);
    assert.equal(invited.body.state, 'invited');
    const token = await plane.tokenOf('viewer@example.com');
    const memberships = await plane.call<{ data: { account_id: string; role: string }[] }>(
      'GET',
      '/api/dev/accounts',
      undefined,
      { token },
    );
    assert.ok(memberships.body.data.some((each) => each.account_id === accountId && each.role === 'viewer'));
    const there = await plane.call('GET', `/api/dev/account?account=${accountId}`, undefined, { token });
    assert.equal(there.body.role, 'viewer');
  });

  test('a viewer reads and changes nothing, a developer changes but does not delete', async () => {
    const owner = await plane.tokenOf('boss@example.com');
    const accountId = await accountOf(owner);
    const app = await plane.call<{ app_id: string }>(
      'POST',
      '/api/dev/apps',
      { name: 'A' },
      { token: owner },
    );
    for (const role of ['viewer', 'developer']) {
      await plane.call('POST', '/api/dev/members', { email: `${role}@b.example`, role }, { token: owner });
    }
    const as = (role: string) => plane.tokenOf(`${role}@b.example`);
    const query = `?account=${accountId}`;
    const path = `/api/dev/apps/${app.body.app_id}`;
    for (const [role, method, suffix, body, status] of [
      ['viewer', 'GET', '', undefined, 200],
      ['viewer', 'PATCH', '', { name: 'B' }, 403],
      ['viewer', 'POST', '/keys', {}, 403],
      ['viewer', 'DELETE', '', undefined, 403],
      ['developer', 'PATCH', '', { name: 'B' }, 200],
      ['developer', 'POST', '/keys', {}, 201],
      ['developer', 'DELETE', '', undefined, 403],
    ] as const) {
      const reply = await plane.call(method, path + suffix + query, body, { token: await as(role) });
      assert.equal(reply.status, status, `${role} ${method} ${suffix}`);
    }
    const invite = await plane.call(
      'POST',
      `/api/dev/members${query}`,
      { email: 'x@y.example', role: 'owner' },
      { token: await as('developer') },
    );
    assert.equal(invite.status, 403);
    assert.equal((await plane.call('DELETE', path, undefined, { token: owner })).status, 204);
  });

  test('an account of others cannot be chosen', async () => {
    const accountId = await accountOf(await plane.tokenOf('ana@example.com'));
    const token = await plane.tokenOf('eve@example.com');
    for (const wanted of [accountId, 'ana@example.com', 'acc_nothing']) {
      const reply = await plane.call('GET', `/api/dev/account?account=${wanted}`, undefined, { token });
      assert.equal(reply.status, 404, wanted);
    }
  });

  test('the last owner can neither leave nor be demoted', async () => {
    const token = await plane.tokenOf('last@example.com');
    const list = await plane.call<Members>('GET', '/api/dev/members', undefined, { token });
    const path = `/api/dev/members/${list.body.data[0]!.user_id}`;
    assert.equal((await plane.call('PATCH', path, { role: 'viewer' }, { token })).status, 409);
    assert.equal((await plane.call('DELETE', path, undefined, { token })).status, 409);
  });

  test('a removed member loses access at once', async () => {
    const owner = await plane.tokenOf('o@c.example');
    const accountId = await accountOf(owner);
    await plane.call(
      'POST',
      '/api/dev/members',
      { email: 'm@c.example', role: 'developer' },
      { token: owner },
    );
    const token = await plane.tokenOf('m@c.example');
    const path = `/api/dev/apps?account=${accountId}`;
    assert.equal((await plane.call('GET', path, undefined, { token })).status, 200);
    const list = await plane.call<Members>('GET', '/api/dev/members', undefined, { token: owner });
    const member = list.body.data.find((each) => each.email === 'm@c.example')!;
    await plane.call('DELETE', `/api/dev/members/${member.user_id}`, undefined, { token: owner });
    assert.equal((await plane.call('GET', path, undefined, { token })).status, 404);
  });

  test('suspending an account revokes its keys at the gateways until it is active again', async () => {
    const { keyId } = await plane.makeKey('s@d.example');
    const token = await plane.tokenOf('s@d.example');
    const accountId = await accountOf(token);
    const follow = await plane.follow();
    await follow.snapshot();
    const path = `/admin/v1/accounts/${accountId}`;
    assert.equal((await plane.call('PATCH', path, { status: 'suspended' })).status, 200);
    await follow.until(`key/${keyId}`, (key) => key?.status === 'revoked');
    assert.equal((await plane.call('GET', '/api/dev/apps', undefined, { token })).status, 403);
    await plane.call('PATCH', path, { status: 'active' });
    await follow.until(`key/${keyId}`, (key) => key?.status === 'active');
    assert.equal((follow.objects.get(`key/${keyId}`)!.secrets as unknown[]).length, 1);
    await follow.stop();
  });

  test('lists come in pages that miss and repeat nothing', async () => {
    const token = await plane.tokenOf('pages@example.com');
    const made = new Set<string>();
    for (let i = 0; i < 7; i++) {
      const app = await plane.call<{ app_id: string }>('POST', '/api/dev/apps', { name: `${i}` }, { token });
      made.add(app.body.app_id);
    }
    const seen: string[] = [];
    let cursor: string | null = '';
    do {
      const path: string = `/api/dev/apps?limit=3${cursor ? `&cursor=${cursor}` : ''}`;
      const page = await plane.call<{ data: { app_id: string }[]; next_cursor: string | null }>(
        'GET',
        path,
        undefined,
        { token },
      );
      assert.ok(page.body.data.length <= 3);
      seen.push(...page.body.data.map((each) => each.app_id));
      cursor = page.body.next_cursor;
    } while (cursor);
    assert.equal(seen.length, 7);
    assert.deepEqual(new Set(seen), made);
    for (const bad of ['x', Buffer.from('["2020-01-01T00:00:00Z"]').toString('base64url'), 'bnVsbA']) {
      assert.equal(
        (await plane.call('GET', `/api/dev/apps?cursor=${bad}`, undefined, { token })).status,
        400,
      );
    }
  });
});
