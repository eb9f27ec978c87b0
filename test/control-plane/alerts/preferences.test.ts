import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gatewayToken, onEachEngine, startTestPlane, type TestPlane } from '../../support/control-plane.ts';

onEachEngine('notices API', (engine) => {
  let plane: TestPlane;
  before(async () => {
    plane = await startTestPlane(engine);
  });
  after(() => plane.stop());

  test('an account reads and sets how it is told', async () => {
    const token = await plane.tokenOf('ana@example.com');
    const path = '/api/dev/notices/preferences';
    const initial = await plane.call('GET', path, undefined, { token });
    assert.deepEqual(initial.body, { email: 'immediate', address: null, muted_types: [] });
    const wanted = { email: 'digest', address: 'team@example.com', muted_types: ['alert.latency'] };
    assert.equal((await plane.call('PUT', path, wanted, { token })).status, 200);
    assert.deepEqual((await plane.call('GET', path, undefined, { token })).body, wanted);
    const other = await plane.tokenOf('bob@example.com');
    assert.equal((await plane.call('GET', path, undefined, { token: other })).body.email, 'immediate');
    assert.equal((await plane.call('PUT', path, { ...wanted, email: 'pigeon' }, { token })).status, 422);
    assert.equal((await plane.call('GET', path)).status, 400, 'an operator names the account');
    assert.equal((await plane.call('GET', `${path}?account=ana@example.com`)).body.email, 'digest');
  });

  test('a threshold that gateways report is told once, however many report it', async () => {
    const { keyId } = await plane.makeKey('ana@example.com');
    const threshold = {
      subject: keyId,
      scope: 'key',
      policy: 'daily',
      period: 'day',
      limit: 1_000_000,
      percent: 90,
      reachedAt: Date.now(),
    };
    const report = (body: unknown, token = gatewayToken) =>
      plane.call<{ raised: number }>('POST', '/usage/v1/thresholds', body, { token });
    assert.deepEqual((await report([threshold, { ...threshold, scope: 'route', subject: 'r' }])).body, {
      raised: 1,
    });
    assert.deepEqual((await report([threshold])).body, { raised: 0 });
    assert.deepEqual((await report([{ ...threshold, percent: 100 }])).body, { raised: 1 });
    assert.equal((await report([{ ...threshold, percent: 42 }])).status, 422);
    assert.equal((await report([threshold], await plane.tokenOf('ana@example.com'))).status, 401);
  });
});
