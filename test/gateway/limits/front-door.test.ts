import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Limit } from '#contract/limits.ts';
import type { Route } from '#contract/registry.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { reply, startUpstream, type TestUpstream } from '../../support/upstream.ts';
import { connectWire } from '../../support/wire-client.ts';

async function start(
  t: TestContext,
  route: Partial<Route>,
): Promise<{ gateway: TestGateway; upstream: TestUpstream }> {
  const upstream = await startUpstream();
  const gateway = await startTestGateway({
    services: [{ id: 's', targets: { live: [{ url: upstream.url }] } }],
    routes: [{ id: 'r', service: 's', path: '/', authentication: 'none', ...route }],
  });
  t.after(async () => {
    await gateway.stop();
    await upstream.stop();
  });
  return { gateway, upstream };
}

const parallel: Limit = { kind: 'concurrency', name: 'parallel', limit: 1 };

test('a client that leaves gives its slot back', async (t) => {
  const { gateway, upstream } = await start(t, { limits: [parallel] });
  upstream.handle(() => undefined);
  const first = await connectWire(gateway.url);
  first.send('GET / HTTP/1.1\r\nHost: example.test\r\n\r\n');
  while (upstream.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const refused = await fetch(gateway.url);
  assert.equal(refused.status, 429);
  const problem = (await refused.json()) as { code: string; violated: string[] };
  assert.equal(problem.code, 'concurrency_exceeded');
  assert.deepEqual(problem.violated, ['parallel']);
  first.destroy();
  await gateway.ended(2);
  upstream.handle((_request, socket) => reply(socket, 200, {}, 'ok'));
  assert.equal((await fetch(gateway.url)).status, 200);
});

test('an upstream that dies in the middle gives the slot back', async (t) => {
  const { gateway, upstream } = await start(t, { limits: [parallel] });
  upstream.handle((_request, socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    setImmediate(() => socket.destroy());
  });
  await assert.rejects(async () => await (await fetch(gateway.url)).text());
  await gateway.ended(1);
  upstream.handle((_request, socket) => reply(socket, 200, {}, 'ok'));
  assert.equal((await fetch(gateway.url)).status, 200);
});

test('the cost that the upstream states is spent, and shown', async (t) => {
  const limits: Limit[] = [
    { kind: 'token_bucket', name: 'b', capacity: 10, refill: 1, intervalMs: 3_600_000 },
  ];
  const { gateway, upstream } = await start(t, { limits });
  upstream.handle((_request, socket) => reply(socket, 200, { 'X-RateLimit-Cost': '7' }, 'ok'));
  const first = await fetch(gateway.url);
  assert.equal(first.headers.get('x-ratelimit-remaining'), '3');
  assert.equal(first.headers.get('x-ratelimit-cost'), null);
  const second = await fetch(gateway.url);
  assert.equal(second.headers.get('x-ratelimit-remaining'), '0');
  const third = await fetch(gateway.url);
  assert.equal(third.status, 429);
  assert.ok(Number(third.headers.get('retry-after')) > 4 * 3600);
});

test('limit fields are on every answer of a limited route, also on errors of the upstream', async (t) => {
  const limits: Limit[] = [{ kind: 'sliding_window', name: 'minute', limit: 2, windowMs: 60_000 }];
  const { gateway, upstream } = await start(t, { limits });
  upstream.handle((_request, socket) => reply(socket, 500, { RateLimit: '"theirs";r=9' }, 'no'));
  const statuses: (string | null)[] = [];
  for (let i = 0; i < 3; i++) {
    const response = await fetch(gateway.url);
    statuses.push(`${response.status} ${response.headers.get('ratelimit')?.replace(/t=\d+/, 't')}`);
    assert.equal(response.headers.get('ratelimit-policy'), '"minute";q=2;w=60');
  }
  assert.deepEqual(statuses, ['500 "minute";r=1;t', '500 "minute";r=0;t', '429 "minute";r=0;t']);
});
