import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { onEachEngine, startTestPlane, type TestPlane } from '../../support/control-plane.ts';
import { eventually } from '../../support/processes.ts';
import { type HookReceiver, startHookReceiver } from './hook-receiver.ts';

type Endpoint = { endpoint_id: string; secret: string; status: string; disabled_reason: string | null };
type Delivery = { delivery_id: string; status: string; attempts: number; type: string; event_id: string };
type Detail = Delivery & {
  log: { status: number | null; error: string | null; response_excerpt: string | null }[];
};

onEachEngine('webhooks', (engine) => {
  let plane: TestPlane;
  let receiver: HookReceiver;
  let token: string;
  before(async () => {
    receiver = await startHookReceiver();
    plane = await startTestPlane(engine, { webhooks: { allowedNetworks: ['127.0.0.1/32'] } });
    token = await plane.tokenOf('ana@example.com');
  });
  after(async () => {
    await plane.stop();
    await receiver.stop();
  });
  const call = <T>(method: string, path: string, body?: unknown, as = token) =>
    plane.call<T>(method, `/api/dev/webhooks${path}`, body, { token: as });
  const add = async (body: object = {}): Promise<Endpoint> => {
    const reply = await call<Endpoint>('POST', '', { url: receiver.url, ...body });
    assert.equal(reply.status, 201, JSON.stringify(reply.body));
    return reply.body;
  };
  const deliveries = async (id: string): Promise<Delivery[]> =>
    (await call<{ data: Delivery[] }>('GET', `/${id}/deliveries`)).body.data;

  test('creating, rotating and revoking a key are told, signed as Standard Webhooks says', async () => {
    const endpoint = await add({ event_types: ['key.created', 'key.rotated', 'key.revoked'] });
    receiver.received.length = 0;
    const { keyId, appId, secret } = await plane.makeKey('ana@example.com');
    await plane.call('POST', `/api/dev/keys/${keyId}/rotate`, {}, { token });
    await plane.call('POST', `/api/dev/keys/${keyId}/revoke`, { reason: 'Key compromised' }, { token });
    await eventually(() => assert.equal(receiver.received.length, 3));
    const bodies = receiver.received.map(({ body, headers }) => {
      const verified = new Webhook(endpoint.secret).verify(body, headers as Record<string, string>) as {
        id: string;
        type: string;
        version: number;
        data: Record<string, unknown>;
      };
      assert.equal(headers['webhook-id'], verified.id);
      assert.ok(!body.includes(secret), 'no secret in a payload');
      return verified;
    });
    assert.deepEqual(bodies.map(({ type }) => type).sort(), ['key.created', 'key.revoked', 'key.rotated']);
    const revoked = bodies.find(({ type }) => type === 'key.revoked')!;
    assert.equal(revoked.version, 1);
    assert.deepEqual(revoked.data, { key_id: keyId, app_id: appId, reason: 'Key compromised' });
    await call('DELETE', `/${endpoint.endpoint_id}`);
  });

  test('other accounts and types that were not asked for are not told', async () => {
    const endpoint = await add({ event_types: ['key.revoked'] });
    receiver.received.length = 0;
    await plane.makeKey('ana@example.com');
    await plane.makeKey('bob@example.com');
    await call('POST', `/${endpoint.endpoint_id}/test`);
    await eventually(() => assert.equal(receiver.received.length, 1));
    assert.match(receiver.received[0]!.body, /"webhook.test"/);
    const stranger = await plane.tokenOf('bob@example.com');
    assert.equal((await call('GET', `/${endpoint.endpoint_id}`, undefined, stranger)).status, 404);
    assert.equal((await call('DELETE', `/${endpoint.endpoint_id}`, undefined, stranger)).status, 404);
    await call('DELETE', `/${endpoint.endpoint_id}`);
  });

  test('after a rotation both secrets sign; after the grace period only the new one', async () => {
    const endpoint = await add({ event_types: ['webhook.test'] });
    const rotated = await call<Endpoint>('POST', `/${endpoint.endpoint_id}/rotate-secret`, {
      grace_hours: 1,
    });
    assert.notEqual(rotated.body.secret, endpoint.secret);
    const verify = async (secret: string): Promise<void> => {
      receiver.received.length = 0;
      await call('POST', `/${endpoint.endpoint_id}/test`);
      await eventually(() => assert.equal(receiver.received.length, 1));
      const { body, headers } = receiver.received[0]!;
      new Webhook(secret).verify(body, headers as Record<string, string>);
    };
    await verify(endpoint.secret);
    await verify(rotated.body.secret);
    const last = await call<Endpoint>('POST', `/${endpoint.endpoint_id}/rotate-secret`, { grace_hours: 0 });
    await verify(last.body.secret);
    await assert.rejects(verify(endpoint.secret));
    await assert.rejects(verify(rotated.body.secret));
    await call('DELETE', `/${endpoint.endpoint_id}`);
  });

  test('the log shows each attempt, and a delivery can be sent again with the same id', async () => {
    const endpoint = await add({ event_types: ['webhook.test'] });
    receiver.answer(500, { 'content-type': 'text/plain' }, 'broken here');
    await call('POST', `/${endpoint.endpoint_id}/test`);
    const pending = await eventually(async () => {
      const [delivery] = await deliveries(endpoint.endpoint_id);
      assert.equal(delivery?.attempts, 1);
      return delivery!;
    });
    assert.equal(pending.status, 'pending');
    receiver.answer(204);
    receiver.received.length = 0;
    const path = `/${endpoint.endpoint_id}/deliveries/${pending.delivery_id}`;
    assert.equal((await call('POST', `${path}/resend`)).status, 202);
    await eventually(async () => assert.equal((await call<Detail>('GET', path)).body.status, 'delivered'));
    assert.equal(receiver.received[0]!.headers['webhook-id'], pending.event_id);
    const { log } = (await call<Detail>('GET', path)).body;
    assert.deepEqual(
      log.map(({ status, response_excerpt }) => [status, response_excerpt]),
      [
        [500, 'broken here'],
        [204, ''],
      ],
    );
    await call('DELETE', `/${endpoint.endpoint_id}`);
  });

  test('410 disables an endpoint; it can be enabled again', async () => {
    const endpoint = await add({ event_types: ['webhook.test'] });
    receiver.answer(410);
    await call('POST', `/${endpoint.endpoint_id}/test`);
    const state = () => call<Endpoint>('GET', `/${endpoint.endpoint_id}`);
    await eventually(async () => assert.equal((await state()).body.status, 'disabled'));
    assert.match((await state()).body.disabled_reason!, /410/);
    assert.equal((await call('POST', `/${endpoint.endpoint_id}/test`)).status, 409);
    receiver.answer(204);
    await call('PATCH', `/${endpoint.endpoint_id}`, { status: 'enabled' });
    assert.equal((await call('POST', `/${endpoint.endpoint_id}/test`)).status, 202);
    await eventually(async () =>
      assert.equal((await deliveries(endpoint.endpoint_id))[0]!.status, 'delivered'),
    );
    await call('DELETE', `/${endpoint.endpoint_id}`);
  });

  test('addresses inside, credentials and other schemes are refused', async () => {
    for (const url of [
      'https://10.0.0.1/',
      'https://192.168.1.1/',
      'https://[::1]/',
      'https://[::ffff:10.0.0.1]/',
      'https://169.254.169.254/latest/meta-data',
      'https://0x0a000001/',
      'https://user:password@example.com/',
      'https://example.com/#part',
      'ftp://example.com/',
      'nonsense',
    ]) {
      assert.equal((await call('POST', '', { url })).status, 422, url);
    }
    assert.equal((await call('POST', '', { url: receiver.url, event_types: ['unknown.type'] })).status, 422);
  });
});
