import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { hashSecret } from '#contract/key-push.ts';
import { createAdminServer } from '../../../gateway/admin/server.ts';
import { readAdminTls } from '../../../gateway/admin/tls.ts';
import { startRegistry } from '../../../gateway/registry/start-registry.ts';
import { type CertificateFiles, makeAuthority, type TestAuthority } from '../../support/certificates.ts';

interface Call {
  readonly method?: string;
  readonly path?: string;
  readonly client?: CertificateFiles;
  readonly token?: string;
  readonly body?: string;
}

async function startAdmin(t: TestContext, authority: TestAuthority, clientCa: string | null) {
  const audited: { actor?: string }[] = [];
  const running = await startRegistry({
    dataDir: null,
    control: null,
    keyFile: null,
    version: '1.0.0',
    log: (_level, message, details) => void (message === 'key audit' && audited.push(details)),
  });
  const server = createAdminServer({
    host: '127.0.0.1',
    port: 0,
    tls: readAdminTls({ ...(await authority.issue('admin')), clientCa }),
    operatorToken: 'operator-token',
    readiness: running.readiness,
    health: running.health,
    metrics: { contentType: 'text/plain', render: async () => '' },
    ...running.adminHandlers,
    logFault: (error) => assert.fail(error as Error),
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await running.close();
  });
  const { port } = server.address() as AddressInfo;
  const call = ({ method = 'GET', path = '/healthz', client, token, body }: Call): Promise<number> =>
    new Promise((resolve, reject) => {
      const request = httpsRequest({
        host: '127.0.0.1',
        port,
        method,
        path,
        agent: false,
        ca: readFileSync(authority.ca),
        ...(client ? { cert: readFileSync(client.certificate), key: readFileSync(client.key) } : {}),
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      });
      request.on('error', reject);
      request.on('response', (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode!));
      });
      request.end(body);
    });
  return { call, audited };
}

test('with a client CA only holders of its certificates are let in, without a token', async (t) => {
  const authority = await makeAuthority();
  const { call, audited } = await startAdmin(t, authority, authority.ca);
  const client = await authority.issue('deploy robot');
  const stranger = await (await makeAuthority()).issue('stranger');
  await assert.rejects(call({}));
  await assert.rejects(call({ token: 'operator-token' }));
  await assert.rejects(call({ client: stranger }));
  assert.equal(await call({ client }), 200);
  const push = {
    method: 'PUT',
    path: '/admin/v1/keys/k-1',
    body: JSON.stringify({ sha256: hashSecret('x') }),
  };
  assert.equal(await call({ ...push, client }), 201);
  assert.equal(audited[0]?.actor, 'operator deploy robot');
});

test('without a client CA the token is asked for over TLS', async (t) => {
  const authority = await makeAuthority();
  const { call } = await startAdmin(t, authority, null);
  const path = '/admin/v1/keys/k-1';
  assert.equal(await call({}), 200);
  assert.equal(await call({ path }), 401);
  assert.equal(await call({ path, client: await authority.issue('anyone') }), 401);
  assert.equal(await call({ path, token: 'operator-token' }), 404);
});

test('files that cannot be read or do not fit are one clear line', async () => {
  const authority = await makeAuthority();
  const [one, other] = [await authority.issue('one'), await authority.issue('other')];
  const read = (files: CertificateFiles, clientCa: string | null = null) =>
    readAdminTls({ ...files, clientCa });
  assert.throws(() => read({ ...one, key: '/nowhere.key' }), {
    message: 'gateway.admin.tls: cannot read /nowhere.key (ENOENT)',
  });
  assert.throws(
    () => read({ certificate: one.certificate, key: other.key }),
    /gateway\.admin\.tls: .*mismatch/,
  );
  assert.throws(() => read(one, one.key), /gateway\.admin\.tls: /);
});
