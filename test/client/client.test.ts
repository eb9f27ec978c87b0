import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { buildClient, clientFile } from '../../client/build.ts';
import * as source from '../../client/index.ts';

test('the module in plain JavaScript is what its sources make', () => {
  assert.equal(readFileSync(clientFile, 'utf8'), buildClient(), 'run npm run build:client');
});

test('it needs nothing but Web Crypto, and exports what its source does', async () => {
  assert.doesNotMatch(readFileSync(clientFile, 'utf8'), /\bimport\b|\brequire\(|\bprocess\.|\bBuffer\b/);
  const built = (await import('tollgate/client')) as object;
  assert.deepEqual(Object.keys(built).sort(), Object.keys(source).sort());
});

test('a signed copy keeps method, fields and body; the request itself stays as it was', async () => {
  const request = new Request('https://api.example.com/v1/a?b=c', {
    method: 'PUT',
    headers: { 'Content-Type': 'text/plain', 'X-Mine': '1' },
    body: 'héllo',
  });
  const signed = await source.sign(request, { keyId: 'ak_test_1', secret: 's' }, { nowMs: 5000, nonce: 'n' });
  assert.equal(signed.method, 'PUT');
  assert.equal(signed.url, request.url);
  assert.equal(signed.headers.get('x-mine'), '1');
  assert.equal(await signed.text(), 'héllo');
  assert.equal(
    signed.headers.get('signature-input'),
    'sig=("@method" "@authority" "@path" "@query" "content-digest");created=5;nonce="n";keyid="ak_test_1";alg="hmac-sha256"',
  );
  assert.equal(request.headers.get('signature'), null);
  assert.equal(await request.text(), 'héllo');
});

test('a request without a body has no digest, and every signature its own nonce', async () => {
  const key = { keyId: 'k', secret: 's' };
  const once = await source.signatureHeaders({ method: 'GET', url: 'https://a.test' }, key);
  const again = await source.signatureHeaders({ method: 'GET', url: 'https://a.test' }, key);
  assert.equal(once['Content-Digest'], undefined);
  assert.notEqual(once.Signature, again.Signature);
});

test('the value of X-API-Key is the HMAC of the body', async () => {
  const key = { keyId: 'ak_test_1', secret: 's' };
  const expected = `ak_test_1:${createHmac('sha256', 's').update('body').digest('hex')}`;
  assert.equal(await source.apiKeyHeader('body', key), expected);
  assert.equal(await source.apiKeyHeader(new TextEncoder().encode('body'), key), expected);
});
