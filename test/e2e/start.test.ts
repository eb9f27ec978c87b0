import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { signBody, startInstance, type TestInstance } from '../support/instance.ts';
import { usePostgres } from '../support/postgres.ts';
import { eventually, runCommand } from '../support/processes.ts';
import { makeFolder } from '../support/temporary-folder.ts';

interface Key {
  key_id: string;
  secret: string;
  environment: string;
  expires_at: string;
  status: string;
}

/** The command that the banner asks to copy and paste. */
function demoCall(output: string): string {
  const match = /^BODY=[\s\S]*?-d "\$BODY"$/m.exec(output);
  assert.ok(match, output);
  return match[0];
}

function pay(instance: TestInstance, key: Key): Promise<number> {
  const body = '{"amount":1000,"currency":"XOF"}';
  return fetch(`${instance.endpoints.gateway}/v1/payments`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-API-Key': signBody(key, body) },
    body,
  }).then(async (response) => {
    await response.arrayBuffer();
    return response.status;
  });
}

for (const engine of ['PGlite', 'PostgreSQL'] as const) {
  test(`a newcomer's way on ${engine}: start, call, manage keys, crash, stop, start again`, async (t) => {
    const postgres = engine === 'PostgreSQL' ? await usePostgres() : null;
    const env = postgres ? { DATABASE_URL: await postgres.createDatabase() } : {};
    const dataDir = makeFolder('data');
    let instance = await startInstance({ dataDir, env });
    t.after(async () => {
      await instance.process.stop('SIGKILL');
      await postgres?.stop();
    });

    await t.test('the printed command makes a payment', async () => {
      const answer = await runCommand('sh', ['-c', demoCall(instance.process.stdout())]);
      assert.match(answer, /^HTTP\/1\.1 201 /);
      assert.match(answer, /^deprecation: @\d+/im);
      assert.match(answer, /^ratelimit-policy: /im);
      assert.match(answer, /"id":"pay_[0-9a-f]+"/);
    });

    await t.test(
      'endpoints and the operator token are in the data folder, the token for its owner only',
      async () => {
        assert.equal(statSync(join(dataDir, 'operator.token')).mode & 0o777, 0o600);
        for (const path of ['/healthz', '/readyz']) {
          assert.equal((await fetch(instance.endpoints.control + path)).status, 200);
          assert.equal((await fetch(instance.endpoints.admin + path)).status, 200);
        }
        assert.equal((await fetch(`${instance.endpoints.sandbox}/v1/api/auth/ping`)).status, 200);
      },
    );

    let key: Key;
    await t.test(
      'a key made on the command line works, is rotated with grace, and is revoked at once',
      async () => {
        key = (await instance.command('keys', 'create', '--app', 'shop', '--env', 'test')) as Key;
        assert.match(key.key_id, /^ak_test_/);
        assert.equal(key.environment, 'test');
        assert.ok(Date.parse(key.expires_at) > Date.now());
        await eventually(async () => assert.equal(await pay(instance, key), 201));
        const rotated = (await instance.command('keys', 'rotate', key.key_id)) as Key;
        assert.equal(rotated.key_id, key.key_id);
        assert.notEqual(rotated.secret, key.secret);
        await eventually(async () => assert.equal(await pay(instance, rotated), 201));
        assert.equal(await pay(instance, key), 201, 'the old secret has its grace');
        const second = (await instance.command('keys', 'create', '--app', 'shop', '--env', 'test')) as Key;
        await eventually(async () => assert.equal(await pay(instance, second), 201));
        await instance.command('keys', 'revoke', second.key_id, '--reason', 'test');
        await eventually(async () => assert.equal(await pay(instance, second), 401), 1000);
        const listed = (await instance.command('keys', 'list', '--app', 'shop')) as Key[];
        assert.deepEqual(
          listed.map(({ key_id, status }) => [key_id, status]),
          [
            [key.key_id, 'active'],
            [second.key_id, 'revoked'],
          ],
        );
      },
    );

    await t.test('a developer token opens its own account only', async () => {
      const { token } = (await instance.command('token', '--account', 'dev@example.com')) as {
        token: string;
      };
      const response = await fetch(`${instance.endpoints.control}/api/dev/apps`, {
        headers: { Authorization: `Bearer ${token}` },
      });
      assert.equal(response.status, 200);
      assert.deepEqual(((await response.json()) as { data: unknown[] }).data, []);
    });

    await t.test(
      'the gateway serves on while the control plane is away, which comes back by itself',
      async () => {
        const pid = await instance.findPlane('control-plane');
        process.kill(pid, 'SIGKILL');
        assert.equal(await pay(instance, key), 201);
        await eventually(async () => {
          assert.equal((await fetch(`${instance.endpoints.control}/readyz`)).status, 200);
          assert.notEqual(await instance.findPlane('control-plane'), pid);
        }, 60_000);
      },
    );

    await t.test('a killed gateway comes back on its port with the same answers', async () => {
      process.kill(await instance.findPlane('gateway'), 'SIGKILL');
      await eventually(async () => assert.equal(await pay(instance, key), 201), 60_000);
    });

    await t.test('after a crash of everything the next start gives the same answers', async () => {
      const before = demoCall(instance.process.stdout()).match(/ak_test_\w+/)![0];
      await instance.crash();
      instance = await startInstance({ dataDir, env });
      assert.equal(demoCall(instance.process.stdout()).match(/ak_test_\w+/)![0], before);
      assert.equal(await pay(instance, key), 201);
      assert.match(await runCommand('sh', ['-c', demoCall(instance.process.stdout())]), /^HTTP\/1\.1 201 /);
    });

    await t.test('Ctrl-C ends it with 0, and a second start finds the same keys', async () => {
      const before = await instance.command('keys', 'list');
      assert.equal(await instance.stop(), 0);
      assert.throws(() => readFileSync(join(dataDir, 'endpoints.json')), /ENOENT/);
      instance = await startInstance({ dataDir, env });
      assert.deepEqual(await instance.command('keys', 'list'), before);
      assert.equal(await pay(instance, key), 201);
      assert.equal(await instance.stop(), 0);
    });
  });
}
