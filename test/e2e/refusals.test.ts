import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { problemMediaType } from '#contract/problems.ts';
import { signBody, startInstance, type TestInstance } from '../support/instance.ts';
import { eventually, findFreePort } from '../support/processes.ts';
import { makeFolder } from '../support/temporary-folder.ts';
import {
  dieMidBody,
  dieMidChunks,
  startUpstream,
  staySilent,
  type TestUpstream,
} from '../support/upstream.ts';
import { ConnectionEnded, connectWire, type WireResponse } from '../support/wire-client.ts';

interface Key {
  key_id: string;
  secret: string;
}

let upstream: TestUpstream;
let instance: TestInstance;
let key: Key;

before(async () => {
  upstream = await startUpstream((request, socket) => {
    if (request.target.startsWith('/mid-body')) dieMidBody()(request, socket);
    else if (request.target.startsWith('/mid-chunks')) dieMidChunks(request, socket);
    else if (request.target.startsWith('/silent')) staySilent();
    else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  });
  const config = join(makeFolder('config'), 'tollgate.yaml');
  writeFileSync(
    config,
    `gateway: { maxSignedBodyBytes: 1000 }
services:
  - { id: main, targets: { test: [{ url: '${upstream.url}' }] }, retries: 0 }
  - { id: silent, targets: { test: [{ url: '${upstream.url}' }] }, responseTimeoutMs: 200, retries: 0 }
  - { id: gone, targets: { test: [{ url: 'http://127.0.0.1:${await findFreePort()}' }] } }
routes:
  - { id: ping, service: main, path: /v1/api/auth/ping }
  - { id: main, service: main, path: /main, methods: [GET, POST] }
  - { id: body, service: main, path: /mid-body }
  - { id: chunks, service: main, path: /mid-chunks }
  - { id: silent, service: silent, path: /silent }
  - { id: gone, service: gone, path: /gone }
  - { id: live, service: main, path: /live, environments: [live] }
  - id: scarce
    service: main
    path: /scarce
    limits: [{ kind: sliding_window, name: scarce, limit: 2, windowMs: 60000 }]
`,
  );
  instance = await startInstance({ config });
  key = (await instance.command('keys', 'create', '--app', 'shop', '--env', 'test')) as Key;
  await eventually(async () => assert.equal((await send('GET', '/main')).status, 200));
});
after(async () => {
  await instance.stop();
  await upstream.stop();
});

async function sendRaw(bytes: string, method = 'GET'): Promise<WireResponse> {
  const client = await connectWire(instance.endpoints.gateway);
  try {
    client.send(bytes);
    return await client.readResponse({ method });
  } finally {
    client.destroy();
  }
}

function send(
  method: string,
  target: string,
  { body = '', credentials = signBody(key, body) }: { body?: string; credentials?: string } = {},
): Promise<WireResponse> {
  return sendRaw(
    `${method} ${target} HTTP/1.1\r\nHost: x\r\n${credentials === '' ? '' : `X-API-Key: ${credentials}\r\n`}Content-Length: ${body.length}\r\n\r\n${body}`,
    method,
  );
}

function assertProblem(response: WireResponse, status: number, code: string): void {
  assert.equal(response.status, status);
  assert.equal(response.header('content-type'), problemMediaType);
  const problem = response.json() as { code: string; status: number; type: string };
  assert.deepEqual([problem.code, problem.status], [code, status]);
  assert.equal(problem.type, `urn:tollgate:problem:${code}`);
}

test('an unknown route is 404, a wrong method 405 with Allow', async () => {
  assertProblem(await send('GET', '/nowhere'), 404, 'route_not_found');
  const refused = await send('DELETE', '/main');
  assertProblem(refused, 405, 'method_not_allowed');
  assert.equal(refused.header('allow'), 'GET, POST, HEAD');
});

test('a missing, malformed, unknown, mis-signed and revoked key get the same 401', async () => {
  const revoked = (await instance.command('keys', 'create', '--app', 'shop', '--env', 'test')) as Key;
  await eventually(async () =>
    assert.equal((await send('GET', '/main', { credentials: signBody(revoked, '') })).status, 200),
  );
  await instance.command('keys', 'revoke', revoked.key_id);
  await eventually(
    async () =>
      assert.equal((await send('GET', '/main', { credentials: signBody(revoked, '') })).status, 401),
    1000,
  );
  const responses = [];
  for (const credentials of [
    '',
    'nonsense',
    signBody({ key_id: 'ak_test_0000000000000000000000', secret: key.secret }, ''),
    signBody(key, 'another body'),
    signBody(revoked, ''),
  ]) {
    const response = await send('GET', '/main', { credentials });
    assertProblem(response, 401, 'credentials_invalid');
    assert.ok(response.header('www-authenticate'));
    responses.push(response.body.toString());
  }
  assert.equal(new Set(responses).size, 1);
});

test('a test key on a live-only route is 403', async () => {
  assertProblem(await send('GET', '/live'), 403, 'environment_not_allowed');
});

test('a body beyond what can be verified is 413', async () => {
  assertProblem(await send('POST', '/main', { body: 'x'.repeat(1001) }), 413, 'signed_body_too_large');
  assert.equal((await send('POST', '/main', { body: 'x'.repeat(1000) })).status, 200);
});

test('beyond a limit it is 429 with Retry-After and the RateLimit fields', async () => {
  for (let i = 0; i < 2; i++) assert.equal((await send('GET', '/scarce')).status, 200);
  const refused = await send('GET', '/scarce');
  assertProblem(refused, 429, 'rate_limited');
  const retryAfter = Number(refused.header('retry-after'));
  // A window forgets up to one per cent late, and what is said is spread by up to a tenth.
  assert.ok(retryAfter >= 1 && retryAfter <= 67, String(retryAfter));
  assert.match(refused.header('ratelimit-policy')!, /"scarce";q=2;w=60/);
  assert.match(refused.header('ratelimit')!, /"scarce";r=0;t=\d+/);
  assert.equal(refused.header('x-ratelimit-remaining'), '0');
});

test('an upstream that is not there is 502, a silent one 504', async () => {
  assertProblem(await send('GET', '/gone'), 502, 'upstream_unreachable');
  assertProblem(await send('GET', '/silent'), 504, 'upstream_timeout');
});

test('an upstream that dies in the middle breaks the connection and gives no short 200', async () => {
  await assert.rejects(send('GET', '/mid-body'), ConnectionEnded);
  await assert.rejects(send('GET', '/mid-chunks'), ConnectionEnded);
});

test('malformed HTTP is 400 and the connection is closed', async () => {
  for (const bytes of [
    'GET /main HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n',
    'GET /main HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    'nonsense\r\n\r\n',
  ]) {
    const client = await connectWire(instance.endpoints.gateway);
    client.send(bytes);
    assertProblem(await client.readResponse(), 400, 'malformed_request');
    await client.closed;
  }
});
