import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestPlane, type TestPlane } from '../../support/control-plane.ts';

interface Document {
  openapi: string;
  components: { securitySchemes: object };
  paths: Record<
    string,
    Record<string, { operationId?: string; summary?: string; tags?: string[]; responses: object }>
  >;
}

let plane: TestPlane;
before(async () => {
  plane = await startTestPlane('pglite');
});
after(() => plane.stop());

test('the OpenAPI document has every endpoint once, with a name, a summary and its replies', async () => {
  const { status, body } = await plane.call<Document>('GET', '/openapi.json', undefined, { token: null });
  assert.equal(status, 200);
  assert.equal(body.openapi, '3.1.0');
  const names: string[] = [];
  for (const [path, methods] of Object.entries(body.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      assert.ok(operation.operationId && operation.summary && operation.tags?.length, `${method} ${path}`);
      assert.ok(Object.keys(operation.responses).length > 0, `${method} ${path}`);
      names.push(operation.operationId);
    }
  }
  assert.equal(new Set(names).size, names.length);
  for (const [path, method] of [
    ['/api/dev/apps', 'post'],
    ['/api/dev/apps/{appId}/keys', 'post'],
    ['/api/dev/keys/{keyId}/rotate', 'post'],
    ['/api/dev/keys/{keyId}/revoke', 'post'],
    ['/admin/v1/keys:batch', 'post'],
    ['/admin/v1/configuration:apply', 'post'],
    ['/registry/v1/stream', 'get'],
  ] as const) {
    assert.ok(body.paths[path]?.[method], `${method} ${path}`);
  }
});

test('the reference page shows them without a script and without anything from elsewhere', async () => {
  const { status, headers, body } = await plane.call<string>('GET', '/docs', undefined, { token: null });
  assert.equal(status, 200);
  assert.match(headers.get('content-type') ?? '', /^text\/html/);
  assert.match(body, /\/api\/dev\/keys\/\{keyId\}\/rotate/);
  assert.equal(/<script|src=|https?:\/\//.test(body), false);
});

test('a path that exists answers other methods with 405 and Allow, an unknown one with 404', async () => {
  const refused = await plane.call('PUT', '/api/dev/apps', {});
  assert.equal(refused.status, 405);
  assert.equal(refused.headers.get('allow'), 'GET, HEAD, POST');
  const batch = await plane.call('GET', '/admin/v1/keys:batch');
  assert.equal(batch.status, 405);
  assert.equal(batch.headers.get('allow'), 'POST');
  assert.equal((await plane.call('GET', '/nothing')).body.code, 'not_found');
});

test('malformed bodies are problems, never errors of the server', async () => {
  for (const [body, type, status] of [
    ['{', 'application/json', 400],
    ['{"__proto__":1}', 'application/json', 400],
    ['[]', 'application/json', 422],
    ['null', 'application/json', 422],
    ['{}', 'text/xml', 415],
    [`{"name":"${'x'.repeat(2 << 20)}"}`, 'application/json', 413],
    ['{"name":"\\u0000"}', 'application/json', 422],
  ] as const) {
    const reply = await plane.call('POST', '/api/dev/apps', body, { headers: { 'content-type': type } });
    assert.equal(reply.status, status, body.slice(0, 20));
    assert.match(reply.headers.get('content-type') ?? '', /^application\/problem\+json/);
  }
});

test('over-long parameters and values that cannot be stored are the fault of the request', async () => {
  const long = await plane.call('GET', `/api/dev/apps/${'é'.repeat(300)}`);
  assert.equal(long.status, 404);
  const query = await fetch(`${plane.url}/api/dev/apps`, { method: 'QUERY' });
  assert.equal(query.status, 405);
  for (const limit of ['true', '1e1', ' 5', '0x5', '']) {
    assert.equal((await plane.call('GET', `/api/dev/apps?limit=${limit}`)).status, 400, limit);
  }
});
