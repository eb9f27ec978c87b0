import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { hashSecret } from '#contract/key-push.ts';
import { startTollgate } from '../support/command-line.ts';
import { startRedis } from '../support/redis.ts';
import { makeFolder } from '../support/temporary-folder.ts';
import { startUpstream } from '../support/upstream.ts';

const secret = 'secret of the partner whose limits are shared';

for (const mode of ['leased', 'exact']) {
  test(`${mode}: four gateway processes and one Redis admit the default plan once, not four times`, async (t) => {
    const [upstream, redis] = await Promise.all([startUpstream(), startRedis()]);
    t.after(() => Promise.all([upstream.stop(), redis.stop()]));
    const config = join(makeFolder(), 'tollgate.yaml');
    writeFileSync(
      config,
      `gateway:
  redisUrl: ${redis.url}
  limiter: { mode: ${mode}, budgetMs: 2000 }
services:
  - { id: backend, targets: { live: [{ url: "${upstream.url}" }] } }
routes:
  - { id: all, service: backend, path: /, authentication: { accept: [bearer] } }
`,
    );
    const gateways = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const started = startTollgate(
          ['gateway', '--config', config, '--listen', '0', '--admin-port', '0', '--workers', '1', '--json'],
          { env: { API_KEYS: `partner:${hashSecret(secret)}:live`, TOLLGATE_ACCESS_LOG: 'off' } },
        );
        t.after(() => started.stop());
        return JSON.parse((await started.waitFor(/^\{"gateway".*$/m))[0]) as {
          gateway: string;
          admin: string;
        };
      }),
    );
    const statuses = new Map<number, number>();
    let lastRefusal: Response | null = null;
    const startedAt = performance.now();
    for (let i = 0; i < 900; i += 12) {
      await Promise.all(
        Array.from({ length: 12 }, async (_, k) => {
          const response = await fetch(`${gateways[k % 4]!.gateway}/any`, {
            headers: { authorization: `Bearer ${secret}` },
          });
          await response.arrayBuffer();
          if (response.status === 429) lastRefusal = response;
          statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
        }),
      );
    }
    const elapsedS = (performance.now() - startedAt) / 1000;
    const admitted = statuses.get(200) ?? 0;
    const allowed = 600 + (100 / 60) * elapsedS;
    t.diagnostic(`admitted ${admitted}, allowed ${allowed.toFixed(1)} in ${elapsedS.toFixed(1)} s`);
    assert.deepEqual([...statuses.keys()].sort(), [200, 429]);
    assert.ok(admitted <= allowed, `${admitted} > ${allowed}`);
    assert.ok(admitted >= 594, `${admitted}`);
    const refusal = lastRefusal as Response | null;
    assert.match(refusal!.headers.get('ratelimit')!, /^"burst";r=0;t=\d+, "daily";r=999\d{3};t=\d+$/);
    assert.ok(Number(refusal!.headers.get('retry-after')) >= 1);
    const metrics = await (await fetch(`${gateways[0]!.admin}/metrics`)).text();
    assert.match(metrics, /^tollgate_limiter_redis_away 0$/m);
    assert.match(metrics, /^tollgate_limiter_redis_calls_total\{script="(lease|take)"\} [1-9]/m);
  });
}

test('a gateway whose Redis goes away keeps answering, ready, and says so once', async (t) => {
  const [upstream, redis] = await Promise.all([startUpstream(), startRedis()]);
  t.after(() => Promise.all([upstream.stop(), redis.stop()]));
  const gateway = startTollgate(
    ['gateway', '--upstream', upstream.url, '--listen', '0', '--admin-port', '0', '--workers', '2', '--json'],
    {
      env: {
        API_KEYS: `partner:${hashSecret(secret)}:live`,
        REDIS_URL: redis.url,
        TOLLGATE_ACCESS_LOG: 'off',
      },
    },
  );
  t.after(() => gateway.stop());
  const urls = JSON.parse((await gateway.waitFor(/^\{"gateway".*$/m))[0]) as Record<string, string>;
  const ask = async (): Promise<number> => {
    const response = await fetch(`${urls.gateway}/any`, { headers: { authorization: `Bearer ${secret}` } });
    await response.arrayBuffer();
    return response.status;
  };
  assert.equal(await ask(), 200);
  await redis.kill();
  for (let i = 0; i < 40; i++) assert.equal(await ask(), 200);
  await gateway.waitFor(/Redis is away/);
  assert.equal((await fetch(`${urls.admin}/readyz`)).status, 200);
  const metrics = await (await fetch(`${urls.admin}/metrics`)).text();
  assert.match(metrics, /^tollgate_limiter_redis_away [12]$/m);
  const again = await startRedis({ port: redis.port });
  t.after(() => again.stop());
  await gateway.waitFor(/Redis is back/);
  assert.equal(await ask(), 200);
  assert.equal(gateway.output().match(/Redis is away/g)?.length, 1);
});
