import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { createCacheShare } from '../../gateway/cache/open-cache.ts';
import type { Channel } from '../../gateway/channel.ts';
import { type GatewayConfig, type GatewayOverrides, resolveConfig } from '../../gateway/config.ts';
import { allocateFailures } from '../../gateway/credentials/failure-throttle.ts';
import { allocateNonces } from '../../gateway/credentials/nonces.ts';
import { createLimiterMemory } from '../../gateway/limits/memory/memory.ts';
import { startGateway } from '../../gateway/main.ts';
import { Registry } from '../../gateway/registry/registry.ts';
import { Supervisor } from '../../gateway/supervisor.ts';

function configOf(overrides: GatewayOverrides): GatewayConfig {
  const result = resolveConfig(
    {},
    {},
    { listenHost: '127.0.0.1', listenPort: 0, adminPort: 0, accessLog: 'off', ...overrides },
  );
  assert.ok(result.ok);
  return result.config;
}

test('a worker that dies is replaced while the others keep serving', async () => {
  const registry = await Registry.open({
    dataDir: null,
    providers: [],
    log: () => undefined,
    onDamage: 'refuse',
  });
  const limiterMemory = createLimiterMemory();
  const channels = new Map<number, Channel>();
  let replaced!: () => void;
  const replacement = new Promise<void>((resolve) => {
    replaced = resolve;
  });
  const supervisor = new Supervisor({
    config: configOf({ workers: 2 }),
    share: () => ({
      registry: registry.share(),
      limiterMemory,
      nonces: allocateNonces(1024),
      failures: allocateFailures(1024),
      cache: createCacheShare(),
    }),
    attach: (channel, index) => {
      registry.attach(channel);
      if (channels.has(index)) channel.port.on('message', ({ type }) => type === 'listening' && replaced());
      channels.set(index, channel);
    },
    detach: () => undefined,
    log: () => undefined,
  });
  const { port } = await supervisor.start();
  assert.equal(supervisor.listening, 2);
  const dying = channels.get(1)!.port as Worker;
  const gone = once(dying, 'exit');
  await dying.terminate();
  await gone;
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } });
  assert.equal(response.status, 404);
  await replacement;
  assert.equal(supervisor.listening, 2);
  assert.equal(supervisor.restarts, 1);
  await supervisor.stop();
  await registry.close();
});

test('a port in use is one clear error, and nothing stays behind', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as { port: number };
  await assert.rejects(startGateway(configOf({ workers: 2, listenPort: port })), { code: 'EADDRINUSE' });
  await assert.rejects(startGateway(configOf({ workers: 1, adminPort: port })), { code: 'EADDRINUSE' });
  taken.close();
});

test('metrics of all workers are added up on the admin listener', async () => {
  const gateway = await startGateway(configOf({ workers: 2, operatorToken: 'operator' }));
  for (let i = 0; i < 20; i++) {
    const response = await fetch(`${gateway.url}/nothing`, { headers: { connection: 'close' } });
    await response.arrayBuffer();
  }
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  assert.match(text, /^http_request_duration_seconds_count\{route="",method="GET",status="404"\} 20$/m);
  assert.match(text, /^tollgate_refusals_total\{code="route_not_found"\} 20$/m);
  assert.match(text, /^# TYPE http_request_duration_seconds histogram$/m);
  const health = (await (await fetch(`${gateway.adminUrl}/healthz`)).json()) as {
    status: string;
    workers: number;
  };
  assert.equal(health.status, 'ok');
  assert.equal(health.workers, 2);
  const privileged = await fetch(`${gateway.adminUrl}/admin/v1/anything`);
  assert.equal(privileged.status, 401);
  assert.match(privileged.headers.get('www-authenticate')!, /^Bearer/);
  const known = await fetch(`${gateway.adminUrl}/admin/v1/anything`, {
    headers: { authorization: 'Bearer operator' },
  });
  assert.equal(known.status, 404);
  await gateway.close();
});
