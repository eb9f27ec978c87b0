import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, hash, randomBytes, webcrypto } from 'node:crypto';
import { describe, test } from 'node:test';
import { mintSecret } from '#contract/keys.ts';
import { type SignableRequest, type SigningKey, signatureHeaders } from '../../../client/index.ts';
import type { RouteContext } from '../../../gateway/compile.ts';
import { allocateNonces, SharedNonces } from '../../../gateway/credentials/nonces.ts';
import type { Dependencies } from '../../../gateway/dependencies.ts';
import { authenticate } from '../../../gateway/phases/authenticate.ts';
import type { Phase } from '../../../gateway/pipeline.ts';
import { Refusal } from '../../../gateway/refusal.ts';
import { Metrics } from '../../../gateway/telemetry/metrics.ts';
import { passThrough, type RequestOptions, verdict } from '../../support/exchange.ts';
import { MemoryKeys } from '../../support/memory-keys.ts';

const startMs = Date.UTC(2026, 0, 1);
const secret = mintSecret('test', randomBytes(32));
const bearer = mintSecret('test', randomBytes(32));
const pair = generateKeyPairSync('ed25519');
const publicKey = Buffer.from(pair.publicKey.export({ format: 'jwk' }).x!, 'base64url').toString('base64');
const privateKey = await webcrypto.subtle.importKey(
  'pkcs8',
  pair.privateKey.export({ format: 'der', type: 'pkcs8' }),
  'Ed25519',
  false,
  ['sign'],
);
const hmacKey: SigningKey = { keyId: 'ak_test_signer', secret };
const edKey: SigningKey = { keyId: 'ak_test_signer', privateKey };
const body = '{"amount":1000}';
const url = 'http://gateway.test/v1/payments?x=1';

function setUp(nowMs = startMs, nonceCapacity = 1024) {
  const keys = new MemoryKeys();
  keys.put({ id: 'ak_test_signer', secrets: [{ plain: secret }], publicKey });
  keys.put({ id: 'ak_test_plain', secrets: [{ plain: secret }] });
  keys.put({ id: 'ak_test_bearer', kind: 'bearer', secrets: [{ plain: bearer }] });
  keys.put({ id: 'ak_test_revoked', status: 'revoked', secrets: [{ plain: secret }], publicKey });
  const dependencies = {
    keys,
    nonces: new SharedNonces(allocateNonces(nonceCapacity)),
    metrics: new Metrics(),
    now: () => nowMs,
    maxSignedBodyBytes: 1024,
  } as unknown as Dependencies;
  const route = {
    id: 'r',
    service: 's',
    path: '/',
    authentication: { accept: ['signature' as const, 'hmac' as const, 'bearer' as const] },
  };
  return { keys, phase: authenticate({ route } as unknown as RouteContext, dependencies) as Phase };
}

type Signed = RequestOptions & { readonly headers: Record<string, string> };

async function signed(
  key: SigningKey = hmacKey,
  request: Partial<SignableRequest> = {},
  nowMs = startMs,
): Promise<Signed> {
  const parts: SignableRequest = { method: 'POST', url, body, ...request };
  const { host, pathname, search } = new URL(parts.url);
  return {
    method: parts.method,
    target: pathname + search,
    host,
    headers: await signatureHeaders(parts, key, { nowMs }),
    ...(parts.body ? { body: parts.body as string } : {}),
  };
}

async function attempt(phase: Phase, options: RequestOptions): Promise<string> {
  return verdict((await passThrough(phase, options)).result);
}

describe('signed requests', () => {
  for (const [name, key] of [
    ['hmac-sha256', hmacKey],
    ['ed25519', edKey],
  ] as const) {
    test(`${name}: what the client helper signs identifies its key`, async () => {
      const { phase } = setUp();
      for (const options of [
        await signed(key),
        await signed(key, { method: 'GET', body: null }),
        await signed(key, { url: 'http://gateway.test/', method: 'DELETE', body: null }),
        await signed(key, { url: 'http://gateway.test/a%20b?' }),
      ]) {
        const { result, exchange } = await passThrough(phase, options);
        assert.equal(verdict(result), 'pass');
        assert.equal(exchange.consumer?.keyId, 'ak_test_signer');
      }
    });

    test(`${name}: any change is refused`, async () => {
      const { phase } = setUp();
      const { headers, ...good } = await signed(key);
      const otherDigest = `sha-256=:${hash('sha256', 'other', 'base64')}:`;
      const changes: (RequestOptions & { readonly headers?: Record<string, string> })[] = [
        { method: 'PUT' },
        { target: '/v1/payments?x=2' },
        { target: '/v1/payments' },
        { target: '/v1/refunds?x=1' },
        { host: 'other.test' },
        { body: '{"amount":9000}' },
        { body: '' },
        { headers: { ...headers, 'Content-Digest': otherDigest } },
        { headers: { ...headers, 'Content-Digest': otherDigest }, body: 'other' },
        {
          headers: {
            ...headers,
            'Signature-Input': headers['Signature-Input']!.replace('nonce="', 'nonce="x'),
          },
        },
        {
          headers: {
            ...headers,
            'Signature-Input': headers['Signature-Input']!.replace(/created=(\d+)/, 'created=1767225601'),
          },
        },
        {
          headers: { ...headers, 'Signature-Input': headers['Signature-Input']!.replace('signer', 'plain') },
        },
      ];
      for (const changed of changes) {
        assert.equal(
          await attempt(phase, { ...good, headers, ...changed }),
          '401 credentials_invalid',
          JSON.stringify(changed),
        );
      }
      assert.equal(await attempt(phase, { ...good, headers }), 'pass');
    });
  }

  test('a nonce is good once, and only a valid request spends it', async () => {
    const { phase } = setUp();
    const options = await signed();
    assert.equal(await attempt(phase, { ...options, body: 'changed' }), '401 credentials_invalid');
    assert.equal(await attempt(phase, options), 'pass');
    assert.equal(await attempt(phase, options), '401 signature_replayed');
  });

  test('a signature is valid for 300 seconds around its creation, and not past its own expiry', async () => {
    const options = await signed();
    for (const [offset, expected] of [
      [-300_001, '401 signature_expired'],
      [-300_000, 'pass'],
      [300_000, 'pass'],
      [300_001, '401 signature_expired'],
    ] as const) {
      assert.equal(await attempt(setUp(startMs + offset).phase, options), expected, String(offset));
    }
    const input = options.headers['Signature-Input']!.replace(';nonce', `;expires=${startMs / 1000};nonce`);
    assert.equal(
      await attempt(setUp().phase, { ...options, headers: { ...options.headers, 'Signature-Input': input } }),
      '401 signature_expired',
    );
  });

  test('unknown, revoked and bearer keys get the same answer as a bad signature', async () => {
    const { phase } = setUp();
    const answers = new Set<string>();
    const { headers, ...good } = await signed();
    const bad = { ...headers, Signature: `sig=:${Buffer.alloc(32).toString('base64')}:` };
    for (const options of [
      { ...good, headers: bad },
      await signed({ keyId: 'ak_test_nobody', secret }),
      await signed({ keyId: 'ak_test_nobody', privateKey }),
      await signed({ keyId: 'ak_test_revoked', secret }),
      await signed({ keyId: 'ak_test_revoked', privateKey }),
      await signed({ keyId: 'ak_test_bearer', secret: bearer }),
      await signed({ keyId: 'ak_test_plain', privateKey }),
    ]) {
      const { result } = await passThrough(phase, options);
      assert.ok(result instanceof Refusal, 'refused');
      answers.add(JSON.stringify([result.status, result.headers, result.body.toString()]));
    }
    assert.equal(answers.size, 1);
  });

  test('an HMAC does not pass for another algorithm', async () => {
    const { phase } = setUp();
    const options = await signed();
    for (const alg of ['ed25519', 'rsa-v1_5-sha256', 'hmac-sha512', '']) {
      const input = options.headers['Signature-Input']!.replace('hmac-sha256', alg);
      assert.equal(
        await attempt(phase, { ...options, headers: { ...options.headers, 'Signature-Input': input } }),
        '401 credentials_invalid',
      );
    }
  });

  test('a signature that covers too little, or cannot be read, says what is asked for', async () => {
    const { phase } = setUp();
    const { headers, ...good } = await signed();
    const input = headers['Signature-Input']!;
    for (const changed of [
      input.replace(' "@query"', ''),
      input.replace(' "content-digest"', ''),
      input.replace('"@method"', '"@method" "x-absent"'),
      input.replace(/;nonce="[^"]*"/, ''),
      input.replace(/;created=\d+/, ''),
      input.replace(/;keyid="[^"]*"/, ''),
      input.replace(/nonce="[^"]*"/, `nonce="${'n'.repeat(129)}"`),
      input.replace('sig=', 'other='),
      'sig=(',
      `${input}, second=${input.slice(4)}`,
      `sig=(${'"a" '.repeat(3000)})`,
    ]) {
      const { result } = await passThrough(phase, {
        ...good,
        headers: { ...headers, 'Signature-Input': changed },
      });
      assert.equal(verdict(result), '401 credentials_invalid', changed.slice(0, 200));
      assert.match((result as Refusal).body.toString(), /RFC 9421/, changed.slice(0, 200));
    }
    const { Signature: _, ...without } = headers;
    assert.equal(await attempt(phase, { ...good, headers: without }), '401 credentials_invalid');
  });

  test('a body that comes in pieces is verified when it is whole, up to the cap', async () => {
    const { phase } = setUp();
    const options = await signed();
    assert.equal(await attempt(phase, { ...options, pieces: [body.slice(0, 3), body.slice(3)] }), 'pass');
    const large = await signed(hmacKey, { body: 'x'.repeat(1025) });
    assert.equal(await attempt(phase, large), '413 signed_body_too_large');
  });

  test('a key that is revoked while its body is on the way is refused', async () => {
    const { phase, keys } = setUp();
    const options = await signed();
    const { result } = await passThrough(
      (exchange) => {
        const pending = phase(exchange);
        keys.put({ id: 'ak_test_signer', status: 'revoked', secrets: [{ plain: secret }] });
        return pending;
      },
      { ...options, pieces: [body] },
    );
    assert.equal(verdict(result), '401 credentials_invalid');
  });

  test('when no nonce can be remembered any more, requests are refused rather than replayable', async () => {
    const { phase } = setUp(startMs, 32);
    for (let n = 0; n < 32; n++) assert.equal(await attempt(phase, await signed()), 'pass');
    assert.equal(await attempt(phase, await signed()), '503 unavailable');
  });

  test('a signature and an API key of one key agree; of two keys they contradict', async () => {
    const { phase } = setUp();
    const options = await signed();
    const both = (apiKey: string) => ({ ...options, headers: { ...options.headers, 'X-API-Key': apiKey } });
    assert.equal(await attempt(phase, both(bearer)), '400 credentials_malformed');
    const mac = createHmac('sha256', secret).update(body).digest('hex');
    assert.equal(await attempt(phase, both(`ak_test_plain:${mac}`)), '400 credentials_malformed');
    const fresh = await signed();
    assert.equal(
      await attempt(phase, { ...fresh, headers: { ...fresh.headers, 'X-API-Key': `ak_test_signer:${mac}` } }),
      'pass',
    );
  });

  test("another party's signature beside ours is left alone", async () => {
    const { phase } = setUp();
    const { headers, ...good } = await signed();
    const input = `proxy=("@path");keyid="proxy-key";created=1, ${headers['Signature-Input']}`;
    const signature = `proxy=:AAAA:, ${headers.Signature}`;
    assert.equal(
      await attempt(phase, {
        ...good,
        headers: { ...headers, 'Signature-Input': input, Signature: signature },
      }),
      'pass',
    );
  });
});
