import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { hashSecret } from '#contract/key-push.ts';
import { startTollgate } from '../support/command-line.ts';
import type { RunningProcess } from '../support/processes.ts';
import { makeFolder } from '../support/temporary-folder.ts';
import { startUpstream } from '../support/upstream.ts';

interface Gateway {
  readonly process: RunningProcess;
  readonly url: string;
  push(method: string, path: string, body?: unknown): Promise<number>;
  /** The status that a request with this bearer secret is answered with. */
  ask(secret: string): Promise<number>;
}

async function startGateway(
  t: TestContext,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Gateway> {
  const process_ = startTollgate(
    ['gateway', ...args, '--listen', '0', '--admin-port', '0', '--workers', '2', '--json'],
    { env: { TOLLGATE_OPERATOR_TOKEN: 'operator', TOLLGATE_ACCESS_LOG: 'off', ...env } },
  );
  t.after(() => process_.stop());
  const urls = JSON.parse((await process_.waitFor(/^\{"gateway".*$/m))[0]) as Record<string, string>;
  return {
    process: process_,
    url: urls.gateway!,
    push: async (method, path, body) => {
      const response = await fetch(`${urls.admin}/admin/v1/keys${path}`, {
        method,
        headers: { authorization: 'Bearer operator' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      await response.arrayBuffer();
      return response.status;
    },
    ask: async (secret) => {
      const response = await fetch(`${urls.gateway}/any`, {
        headers: { authorization: `Bearer ${secret}` },
      });
      await response.arrayBuffer();
      return response.status;
    },
  };
}

test('keys of API_KEYS and pushed ones are let in by every worker until they are removed', async (t) => {
  const upstream = await startUpstream();
  t.after(() => upstream.stop());
  const listed = 'secret listed in the environment';
  const pushed = 'secret pushed by an operator';
  const gateway = await startGateway(t, ['--upstream', upstream.url, '--data-dir', makeFolder()], {
    API_KEYS: `partner-1:${hashSecret(listed)}:live:2100-01-01T00:00:00Z`,
  });
  const statuses = async (secret: string): Promise<number[]> =>
    Promise.all(Array.from({ length: 12 }, () => gateway.ask(secret)));
  const all = (status: number): number[] => Array.from({ length: 12 }, () => status);
  assert.deepEqual(await statuses(listed), all(200));
  assert.deepEqual(await statuses(pushed), all(401));
  assert.equal(await gateway.push('PUT', '/partner-2', { sha256: hashSecret(pushed) }), 201);
  assert.deepEqual(await statuses(pushed), all(200));
  assert.equal(await gateway.push('DELETE', '/partner-2'), 204);
  assert.deepEqual(await statuses(pushed), all(401));
  assert.equal(await gateway.push('DELETE', '/partner-1'), 204);
  assert.deepEqual(await statuses(listed), all(401));
});

test('what was answered before a kill -9 is there after it, and nothing else', async (t) => {
  const upstream = await startUpstream();
  t.after(() => upstream.stop());
  const dataDir = makeFolder();
  const args = ['--upstream', upstream.url, '--data-dir', dataDir];
  const answered = new Set<number>();
  let asked = 0;
  for (let round = 0; round < 3; round++) {
    const gateway = await startGateway(t, args);
    const pushing = Array.from({ length: 4 }, async () => {
      for (;;) {
        const n = asked++;
        const status = await gateway
          .push('PUT', `/crash-${n}`, { sha256: hashSecret(`secret of crash ${n}`) })
          .catch(() => 0);
        if (status === 0) return;
        assert.equal(status, 201);
        answered.add(n);
        // In the middle of writes that other loops have under way.
        if (answered.size >= 40 * (round + 1)) gateway.process.kill('SIGKILL');
      }
    });
    await Promise.all(pushing);
    await gateway.process.ended;
  }
  const gateway = await startGateway(t, args);
  for (let n = 0; n < asked; n++) {
    const status = await gateway.ask(`secret of crash ${n}`);
    if (answered.has(n)) assert.equal(status, 200, `key ${n} was answered and is lost`);
    else assert.ok(status === 200 || status === 401);
  }
  assert.equal(await gateway.ask('secret of nobody'), 401);
});

test('SIGHUP puts a changed file in force, and a faulty one changes nothing', async (t) => {
  const upstream = await startUpstream();
  t.after(() => upstream.stop());
  const file = join(makeFolder(), 'tollgate.yaml');
  const write = (path: string, more = ''): void =>
    writeFileSync(
      file,
      `services:
  - { id: any, targets: { live: [{ url: "${upstream.url}" }] } }
routes:
  - { id: only, service: any, path: ${path}, authentication: none, applyPlan: false${more} }
`,
    );
  write('/one');
  const gateway = await startGateway(t, ['--config', file]);
  const ask = async (path: string): Promise<number> => {
    const response = await fetch(gateway.url + path);
    await response.arrayBuffer();
    return response.status;
  };
  assert.deepEqual([await ask('/one'), await ask('/two')], [200, 404]);
  write('/two', ', unknown: true');
  gateway.process.kill('SIGHUP');
  await gateway.process.waitFor(/configuration not changed:\n.*tollgate\.yaml:4: .*unknown/);
  write('/two', ', policies: [{ name: teleport }], addresses: { deny: ["a:b"] }');
  gateway.process.kill('SIGHUP');
  await gateway.process.waitFor(/not changed:\nroute only: there is no policy "teleport"; .*"a:b"/);
  assert.deepEqual([await ask('/one'), await ask('/two')], [200, 404]);
  write('/two');
  gateway.process.kill('SIGHUP');
  await gateway.process.waitFor(/configuration read again/);
  while ((await ask('/two')) !== 200) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(await ask('/one'), 404);
});

test('faulty API_KEYS are refused with every error and without the hashes', async () => {
  const started = startTollgate(['gateway', '--upstream', 'http://127.0.0.1:9', '--listen', '0'], {
    env: { API_KEYS: 'one:sk_live_plaintext two:abc', TOLLGATE_WORKERS: 'many' },
  });
  assert.equal((await started.ended).code, 1);
  const lines = started.output();
  assert.match(lines, /TOLLGATE_WORKERS: must be a whole number/);
  assert.match(lines, /API_KEYS: entry 1 \("one"\): the hash/);
  assert.match(lines, /API_KEYS: entry 2 \("two"\): the hash/);
  assert.doesNotMatch(lines, /plaintext/);
});
