import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { exportJWK, type JWK } from 'jose';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { echo, startUpstream, type TestUpstream } from '../support/upstream.ts';

/** A certified OpenID provider whose key set the tests exchange while it runs. */
let provider: ReturnType<typeof createServer>;
let issuer: string;
let answer: RequestListener;
let upstream: TestUpstream;
let gateway: TestGateway;
let nowMs: number;

// The package brings no types.
const { default: Provider } = (await import('oidc-provider' as string)) as {
  default: new (issuer: string, configuration: object) => { callback(): RequestListener };
};

const audience = 'https://api.example.com';

async function makeKey(kid: string, alg: 'RS256' | 'ES256'): Promise<JWK> {
  const pair =
    alg === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...(await exportJWK(pair.privateKey)), kid, alg, use: 'sig' };
}

/** Puts a provider with these keys behind the issuer's address; the first key signs. */
function publish(keys: readonly JWK[]): void {
  const instance = new Provider(issuer, {
    clients: [
      {
        client_id: 'shop',
        client_secret: 'a-secret-of-the-shop',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        id_token_signed_response_alg: keys[0]!.alg,
      },
    ],
    jwks: { keys },
    cookies: { keys: ['test'] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: 'payments:read payments:write',
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg: keys[0]!.alg, kid: keys[0]!.kid } },
        }),
      },
    },
  });
  answer = instance.callback();
}

async function fetchToken(scope: string): Promise<string> {
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: `Basic ${Buffer.from('shop:a-secret-of-the-shop').toString('base64')}`,
    },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope, resource: audience }),
  });
  const { access_token: token } = (await response.json()) as { access_token?: string };
  assert.ok(token, `a token, but the answer was ${response.status}`);
  return token;
}

async function call(token: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${gateway.url}/v1/payments`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

before(async () => {
  provider = createServer((request, response) => answer(request, response));
  provider.listen(0, '127.0.0.1');
  await once(provider, 'listening');
  issuer = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
  upstream = await startUpstream();
  upstream.handle(echo);
  nowMs = Date.now();
  gateway = await startTestGateway({
    services: [{ id: 's', targets: { live: [{ url: upstream.url }] } }],
    routes: [
      {
        id: 'payments',
        service: 's',
        path: '/v1/payments',
        authentication: { accept: ['jwt'], scopes: ['payments:read'], audiences: [audience] },
        applyPlan: false,
      },
    ],
    issuers: [{ issuer, keysCoolDownSeconds: 1, keysMaxAgeSeconds: 5 }],
    now: () => nowMs,
  });
});

after(async () => {
  await gateway.stop();
  await upstream.stop();
  provider.close();
  provider.closeAllConnections();
});

test('tokens of a certified provider pass, before and after it changes its keys, and while it is down', async () => {
  const first = await makeKey('first', 'RS256');
  publish([first]);
  const early = await fetchToken('payments:read');
  const passed = await call(early);
  assert.equal(passed.status, 200);
  assert.equal((passed.body.headers as Record<string, string>)['x-tollgate-subject'], 'shop');

  const second = await makeKey('second', 'ES256');
  publish([second, first]);
  nowMs += 2000;
  const rotated = await fetchToken('payments:read payments:write');
  assert.equal((await call(rotated)).status, 200);
  assert.equal((await call(early)).status, 200, 'the earlier key is still published');

  publish([second]);
  nowMs += 6000;
  const fresh = await fetchToken('payments:read');
  // The key set is old now: these make the gateway fetch it again and find the first key withdrawn.
  await call(fresh);
  nowMs += 2000;
  const unknown = `${Buffer.from('{"alg":"ES256","kid":"third"}').toString('base64url')}.${fresh.split('.').slice(1).join('.')}`;
  assert.equal((await call(unknown)).status, 401);

  answer = (_request, response) => response.writeHead(503).end();
  nowMs += 2000;
  assert.equal((await call(unknown)).status, 401);
  assert.equal((await call(rotated)).status, 200, 'signed by a key that stayed');
  const refused = await call(early);
  assert.equal(refused.status, 401, 'its key was withdrawn');
  assert.equal((await call(fresh)).status, 200, 'the issuer is down, its keys are at hand');
  assert.deepEqual(gateway.faults, []);
});

test('a token without the scope is 403, and says which is missing', async () => {
  publish([await makeKey('another', 'ES256')]);
  nowMs += 6000;
  const token = await fetchToken('payments:write');
  const response = await fetch(`${gateway.url}/v1/payments`, {
    headers: { authorization: `Bearer ${token}` },
  });
  assert.equal(response.status, 403);
  assert.match(
    response.headers.get('www-authenticate')!,
    /error="insufficient_scope", scope="payments:read"/,
  );
});

test('an expired token is told to be so', async () => {
  publish([await makeKey('last', 'RS256')]);
  nowMs += 6000;
  const token = await fetchToken('payments:read');
  assert.equal((await call(token)).status, 200);
  nowMs += 700_000;
  const { status, body } = await call(token);
  assert.equal(status, 401);
  assert.equal(body.detail, 'The token has expired.');
});
