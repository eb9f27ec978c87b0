import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Sandbox, startSandbox } from '../../sandbox/main.ts';

let sandbox: Sandbox;
before(async () => {
  sandbox = await startSandbox({ port: 0, capacity: 3, now: () => Date.UTC(2026, 0, 2) });
});
after(() => sandbox.close());

async function call(
  path: string,
  init?: RequestInit,
): Promise<{ status: number; body: never; headers: Headers }> {
  const response = await fetch(sandbox.url + path, init);
  return { status: response.status, body: (await response.json()) as never, headers: response.headers };
}
const post = (body: unknown, path = '/v1/payments') =>
  call(path, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) });

test('the ping of both versions answers 200', async () => {
  for (const version of ['v1', 'v2']) {
    const { status, body } = await call(`/${version}/api/auth/ping`);
    assert.equal(status, 200);
    assert.deepEqual(body, { status: 'ok', version, time: '2026-01-02T00:00:00.000Z' });
  }
});

test('a payment that was made can be read at its Location', async () => {
  for (const version of ['v1', 'v2']) {
    const made = await post({ amount: 1000, currency: 'XOF' }, `/${version}/payments`);
    assert.equal(made.status, 201);
    const { id, ...rest } = made.body as Record<string, unknown>;
    assert.match(id as string, /^pay_[0-9a-f]{24}$/);
    assert.deepEqual(rest, {
      object: 'payment',
      amount: 1000,
      currency: 'XOF',
      status: 'succeeded',
      description: null,
      metadata: {},
      created_at: '2026-01-02T00:00:00.000Z',
      livemode: false,
    });
    const location = made.headers.get('location')!;
    assert.equal(location, `/${version}/payments/${id}`);
    assert.deepEqual((await call(location)).body, made.body);
  }
});

test('the list is newest first and holds no more than the capacity', async () => {
  const ids: string[] = [];
  for (let i = 0; i < 5; i++)
    ids.unshift(((await post({ amount: 1, currency: 'EUR' })).body as { id: string }).id);
  const { body } = await call('/v1/payments?limit=100');
  assert.deepEqual(
    (body as { data: { id: string }[] }).data.map(({ id }) => id),
    ids.slice(0, 3),
  );
  assert.equal((await call(`/v1/payments/${ids[4]}`)).status, 404);
  assert.equal((await call('/v1/payments?limit=0')).status, 400);
});

test('every error of a payment is reported, with its place', async () => {
  const { status, body, headers } = await post({ amount: 1.5, currency: 'EURO', metadata: { a: 1 }, x: 1 });
  assert.equal(status, 422);
  assert.equal(headers.get('content-type'), 'application/problem+json');
  assert.deepEqual(
    (body as { errors: { pointer: string }[] }).errors.map(({ pointer }) => pointer),
    ['/x', '/amount', '/currency', '/metadata'],
  );
  assert.equal((await post('{')).status, 400);
  assert.equal((await post('[]')).status, 422);
  assert.equal((await post({ amount: 1, currency: 'EUR', description: 'x'.repeat(70_000) })).status, 413);
});

test('other paths are 404 and other methods 405 with Allow', async () => {
  assert.equal((await call('/v3/payments')).status, 404);
  assert.equal((await call('/v1/payments/unknown')).status, 404);
  const { status, headers } = await call('/v1/payments', { method: 'DELETE' });
  assert.equal(status, 405);
  assert.equal(headers.get('allow'), 'GET, HEAD, POST');
});
