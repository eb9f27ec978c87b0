import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseDeclaration } from '#contract/declaration.ts';
import { resolveConfig } from '../../gateway/config.ts';
import { type RunningGateway, startGateway } from '../../gateway/main.ts';
import { gatewayToken, startTestPlane } from '../support/control-plane.ts';
import { eventually } from '../support/processes.ts';
import { makeFolder, removeFolder } from '../support/temporary-folder.ts';
import { echo, startUpstream } from '../support/upstream.ts';

test('without its control plane a gateway goes on, and one that is started then serves from disk', async () => {
  const upstream = await startUpstream(echo);
  const parsed = parseDeclaration(
    `services: [{ id: s, targets: { test: [{ url: "${upstream.url}" }] } }]
routes: [{ id: r, service: s, path: /v1 }]
`,
    { environment: {} },
  );
  assert.ok(parsed.ok, JSON.stringify(parsed));
  const plane = await startTestPlane('pglite', { declaration: parsed.value });
  const folder = makeFolder('away');
  const start = async (): Promise<RunningGateway> => {
    const resolved = resolveConfig(
      {},
      {},
      {
        ...{ listenHost: '127.0.0.1', listenPort: 0, adminPort: 0, accessLog: 'off', workers: 2 },
        ...{ dataDir: folder, keyFile: join(plane.dataDir, 'local.key') },
        control: { url: plane.url, token: gatewayToken },
      },
    );
    assert.ok(resolved.ok);
    return await startGateway(resolved.config);
  };
  const kept = await plane.makeKey('dev@example.com', { environment: 'test', key_type: 'bearer' });
  const revoked = await plane.makeKey('dev@example.com', { environment: 'test', key_type: 'bearer' });
  const ask = async (gateway: RunningGateway, { secret }: { secret: string }): Promise<number> => {
    const response = await fetch(`${gateway.url}/v1/x`, { headers: { authorization: `Bearer ${secret}` } });
    await response.arrayBuffer();
    return response.status;
  };

  const first = await start();
  await eventually(async () => assert.equal(await ask(first, revoked), 200));
  assert.equal((await plane.call('POST', `/api/dev/keys/${revoked.keyId}/revoke`, {})).status, 200);
  await eventually(async () => assert.equal(await ask(first, revoked), 401));
  await plane.plane.close();
  assert.equal(await ask(first, kept), 200);
  assert.equal(await ask(first, revoked), 401);
  await first.close();

  const second = await start();
  assert.equal(second.readiness(), null);
  assert.equal(await ask(second, kept), 200);
  assert.equal(await ask(second, revoked), 401);
  await second.close();
  await upstream.stop();
  await plane.stop();
  removeFolder(folder);
});
