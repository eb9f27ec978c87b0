import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Change } from '#contract/registry.ts';
import { decodeBatch } from '#contract/usage-batch.ts';
import { resolveConfig } from '../../../gateway/config.ts';
import { type RunningGateway, startGateway } from '../../../gateway/main.ts';
import { eventually } from '../../support/processes.ts';
import { makeFolder, removeFolder } from '../../support/temporary-folder.ts';
import { echo, startUpstream } from '../../support/upstream.ts';
import { startReceiver, type TestReceiver } from './receiver.ts';

async function startAll(
  t: TestContext,
  flushIntervalMs: number,
  folder = makeFolder('usage'),
  port?: number,
) {
  const upstream = await startUpstream(echo);
  const registry: readonly Change[] = [
    { kind: 'service', id: 'echo', object: { id: 'echo', targets: { live: [{ url: upstream.url }] } } },
    { kind: 'version', id: 'v1', object: { id: 'v1', state: 'active' } },
    {
      kind: 'route',
      id: 'open',
      object: { id: 'open', service: 'echo', path: '/v1', version: 'v1', authentication: 'none' },
    },
  ];
  const receiver = await startReceiver(port === undefined ? { registry } : { registry, port });
  const resolved = resolveConfig(
    {
      usage: { flushIntervalMs },
      accessLog: 'off',
      admin: { port: 0 },
      listen: { host: '127.0.0.1', port: 0 },
    },
    { TOLLGATE_CONTROL_URL: receiver.url, TOLLGATE_GATEWAY_TOKEN: 'token', TOLLGATE_LOG_LEVEL: 'silent' },
    { dataDir: folder, workers: 2 },
  );
  assert.ok(resolved.ok, JSON.stringify(resolved));
  const gateway = await startGateway(resolved.config);
  t.after(async () => {
    await upstream.stop();
    await receiver.stop().catch(() => {});
    removeFolder(folder);
  });
  return { receiver, gateway, folder };
}

async function call(gateway: RunningGateway, count: number): Promise<void> {
  await eventually(async () => assert.equal((await fetch(`${gateway.url}/v1/ready`)).status, 200));
  for (let i = 0; i < count; i++) {
    const response = await fetch(`${gateway.url}/v1/payments?n=${i}`, { method: 'POST', body: 'x' });
    assert.equal(response.status, 200);
    await response.arrayBuffer();
  }
}

const paths = (receiver: TestReceiver): string[] =>
  receiver.batches.flatMap((batch) => decodeBatch(batch).columns.path as string[]);

test('a request through the gateway becomes an event at the control plane within the flush interval', async (t) => {
  const { receiver, gateway } = await startAll(t, 20);
  await call(gateway, 3);
  await eventually(() => assert.equal(paths(receiver).filter((path) => path === '/v1/payments').length, 3));
  const batch = decodeBatch(receiver.batches.at(-1)!);
  assert.equal(batch.columns.routeId[0], 'open');
  assert.equal(batch.columns.version[0], 'v1');
  assert.equal(batch.columns.status[0], 200);
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  assert.match(metrics, /^tollgate_usage_events_dropped_total 0$/m);
  assert.match(metrics, /^tollgate_usage_events_delivered_total [1-9]/m);
  await gateway.close();
});

test('a gateway that stops hands over everything that its workers had recorded', async (t) => {
  const { receiver, gateway } = await startAll(t, 60_000);
  await call(gateway, 40);
  assert.equal(receiver.batches.length, 0);
  await gateway.close();
  assert.equal(paths(receiver).filter((path) => path === '/v1/payments').length, 40);
});
