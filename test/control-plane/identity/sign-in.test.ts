import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { exportJWK, importJWK, type JWK, SignJWT } from 'jose';
import { startControlPlane } from '../../../control-plane/main.ts';
import { onEachEngine, startTestPlane, type TestPlane } from '../../support/control-plane.ts';
import { findFreePort } from '../../support/processes.ts';

// The package brings no types.
const { default: Provider } = (await import('oidc-provider' as string)) as {
  default: new (issuer: string, configuration: object) => { callback(): RequestListener };
};

/** A browser: keeps cookies for each origin and follows redirects. */
class Browser {
  readonly cookies = new Map<string, Map<string, string>>();

  async request(url: string, init: RequestInit = {}): Promise<Response> {
    const { origin } = new URL(url);
    const jar = this.cookies.get(origin) ?? new Map<string, string>();
    this.cookies.set(origin, jar);
    const headers = new Headers(init.headers);
    if (jar.size > 0) headers.set('cookie', [...jar].map(([name, value]) => `${name}=${value}`).join('; '));
    const response = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
      if (value === '' || /max-age=0/i.test(line)) jar.delete(name!);
      else jar.set(name!, value!);
    }
    return response;
  }

  async follow(url: string, until: (location: string) => boolean): Promise<Response> {
    let response = await this.request(url);
    for (let at = url; response.status >= 300 && response.status < 400; ) {
      at = new URL(response.headers.get('location')!, at).href;
      if (until(at)) return response;
      response = await this.request(at);
    }
    return response;
  }
}

onEachEngine('sign-in', (engine) => {
  let server: ReturnType<typeof createServer>;
  let answer: RequestListener;
  let issuer: string;
  let key: JWK;
  let plane: TestPlane;

  before(async () => {
    key = {
      ...(await exportJWK(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)),
      kid: 'k1',
      alg: 'ES256',
      use: 'sig',
    };
    server = createServer((request, response) => answer(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const port = await findFreePort();
    const instance = new Provider(issuer, {
      clients: [
        {
          client_id: 'console',
          client_secret: 'a-secret-of-the-console',
          redirect_uris: [`http://127.0.0.1:${port}/auth/callback`],
          id_token_signed_response_alg: 'ES256',
        },
      ],
      jwks: { keys: [key] },
      cookies: { keys: ['test'] },
      conformIdTokenClaims: false,
      claims: { openid: ['sub', 'roles'], email: ['email', 'email_verified'], profile: ['name'] },
      features: { devInteractions: { enabled: true } },
      findAccount: (_context: unknown, id: string) => ({
        accountId: id,
        claims: () => ({
          sub: id,
          email: `${id}@example.com`,
          email_verified: id !== 'mallory',
          name: id,
          roles: id === 'root' ? ['tollgate-admin'] : [],
        }),
      }),
    });
    answer = instance.callback();
    plane = await startTestPlane(engine, {
      port,
      oidc: {
        issuer,
        clientId: 'console',
        clientSecret: 'a-secret-of-the-console',
        audience: 'tollgate',
        administratorRole: 'tollgate-admin',
      },
    });
  });
  after(async () => {
    await plane.stop();
    server.closeAllConnections();
    server.close();
  });

  /** Goes through the provider's pages as a person does. */
  async function signIn(browser: Browser, person: string, returnTo = '/console/'): Promise<Response> {
    const callback = (location: string) => location.startsWith(`${plane.url}/auth/callback`);
    let response = await browser.follow(
      `${plane.url}/auth/sign-in?return_to=${encodeURIComponent(returnTo)}`,
      () => false,
    );
    const forms: Record<string, string>[] = [
      { prompt: 'login', login: person, password: 'x' },
      { prompt: 'consent' },
    ];
    for (const body of forms) {
      const action = /action="([^"]+)"/.exec(await response.text())![1]!;
      const posted = await browser.request(action, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams(body),
      });
      const next = new URL(posted.headers.get('location')!, issuer).href;
      response = await browser.follow(next, callback);
      if (response.status >= 300 && callback(new URL(response.headers.get('location')!, issuer).href)) break;
    }
    return await browser.request(response.headers.get('location')!);
  }

  async function sessionOf(
    browser: Browser,
  ): Promise<{ status: number; csrf: string; body: Record<string, unknown> }> {
    const response = await browser.request(`${plane.url}/auth/session`);
    const body = (await response.json()) as Record<string, unknown>;
    return { status: response.status, csrf: String(body.csrf_token), body };
  }

  test('a person signs in, is registered by sub and uses the API with the session', async () => {
    const browser = new Browser();
    const back = await signIn(browser, 'ana', '/console/#/apps');
    assert.equal(back.status, 302, await back.text());
    assert.equal(back.headers.get('location'), '/console/#/apps');
    const cookie = back.headers.getSetCookie().find((line) => line.startsWith('tollgate_session='))!;
    assert.match(cookie, /; HttpOnly; SameSite=Lax/);
    const session = await sessionOf(browser);
    assert.equal(session.body.email, 'ana@example.com');
    const account = await browser.request(`${plane.url}/api/dev/account`);
    assert.equal(((await account.json()) as { email: string }).email, 'ana@example.com');
    const registered = await plane.call<{ data: { action: string; after: unknown }[] }>(
      'GET',
      '/api/dev/audit?action=user.register',
    );
    assert.deepEqual(registered.body.data[0]!.after, { issuer, subject: 'ana', email: 'ana@example.com' });
  });

  test('a session changes nothing without its CSRF token, nor for another site', async () => {
    const browser = new Browser();
    await signIn(browser, 'bob');
    const { csrf } = await sessionOf(browser);
    const create = (headers: Record<string, string>) =>
      browser.request(`${plane.url}/api/dev/apps`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ name: 'A' }),
      });
    assert.equal((await create({})).status, 403);
    assert.equal((await create({ 'x-csrf-token': 'x' })).status, 403);
    assert.equal((await create({ 'x-csrf-token': csrf, 'sec-fetch-site': 'cross-site' })).status, 403);
    assert.equal((await create({ 'x-csrf-token': csrf })).status, 201);
  });

  test('sessions are listed and ended one by one, and signing out ends the own', async () => {
    const [first, second] = [new Browser(), new Browser()];
    await signIn(first, 'cas');
    await signIn(second, 'cas');
    const { csrf } = await sessionOf(first);
    const list = (await (await first.request(`${plane.url}/auth/sessions`)).json()) as {
      data: { session_id: string; current: boolean }[];
    };
    assert.equal(list.data.length, 2);
    const other = list.data.find((session) => !session.current)!;
    const end = await first.request(`${plane.url}/auth/sessions/${other.session_id}`, {
      method: 'DELETE',
      headers: { 'x-csrf-token': csrf },
    });
    assert.equal(end.status, 204);
    assert.equal((await sessionOf(second)).status, 401);
    const out = await first.request(`${plane.url}/auth/sign-out`, {
      method: 'POST',
      headers: { 'x-csrf-token': csrf },
    });
    const { end_session_url: url } = (await out.json()) as { end_session_url: string };
    assert.ok(url.startsWith(`${issuer}/session/end`));
    assert.equal((await sessionOf(first)).status, 401);
  });

  test('the provider ends sessions through the back channel', async () => {
    const browser = new Browser();
    await signIn(browser, 'dan');
    const logout = async (claims: object) => {
      const token = await new SignJWT({ jti: crypto.randomUUID(), ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: 'k1', typ: 'logout+jwt' })
        .setIssuer(issuer)
        .setAudience('console')
        .setIssuedAt()
        .setExpirationTime('2m')
        .sign((await importJWK(key, 'ES256')) as CryptoKey);
      const response = await fetch(`${plane.url}/auth/backchannel-logout`, {
        method: 'POST',
        body: new URLSearchParams({ logout_token: token }),
      });
      return response.status;
    };
    const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };
    assert.equal(await logout({ sub: 'dan' }), 400);
    assert.equal(await logout({ sub: 'dan', events, nonce: 'x' }), 400);
    assert.equal(await logout({ events }), 400);
    assert.equal((await sessionOf(browser)).status, 200);
    assert.equal(await logout({ sub: 'dan', events }), 200);
    assert.equal((await sessionOf(browser)).status, 401);
  });

  test('an answer that belongs to no sign-in of this browser is refused', async () => {
    const victim = new Browser();
    const stray = await victim.request(
      `${plane.url}/auth/callback?code=x&state=y&iss=${encodeURIComponent(issuer)}`,
    );
    assert.equal(stray.status, 401);
    await victim.request(`${plane.url}/auth/sign-in`);
    const wrong = await victim.request(
      `${plane.url}/auth/callback?code=x&state=y&iss=${encodeURIComponent(issuer)}`,
    );
    assert.equal(wrong.status, 401);
    const open = await victim.request(`${plane.url}/auth/sign-in?return_to=//evil.example/`);
    assert.equal(open.status, 400);
  });

  test('bearer tokens of the provider identify developers and administrators', async () => {
    const mint = async (claims: object, audience = 'tollgate') =>
      await new SignJWT({ ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
        .setIssuer(issuer)
        .setAudience(audience)
        .setIssuedAt()
        .setExpirationTime('5m')
        .sign((await importJWK(key, 'ES256')) as CryptoKey);
    const person = { sub: 'fay', email: 'fay@example.com', email_verified: true };
    const account = await plane.call('GET', '/api/dev/account', undefined, { token: await mint(person) });
    assert.equal(account.body.email, 'fay@example.com');
    const other = await plane.call('GET', '/api/dev/account', undefined, { token: await mint(person, 'x') });
    assert.equal(other.status, 401);
    assert.equal(
      (await plane.call('GET', '/admin/v1/accounts', undefined, { token: await mint(person) })).status,
      403,
    );
    const admin = await mint({ sub: 'root', email: 'root@example.com', roles: ['tollgate-admin'] });
    assert.equal((await plane.call('GET', '/admin/v1/accounts', undefined, { token: admin })).status, 200);
  });

  test('an address that is not verified does not open the account that has it', async () => {
    await plane.makeKey('mallory@example.com');
    const back = await signIn(new Browser(), 'mallory');
    assert.equal(back.status, 403);
  });
});

test('the built-in issuer is absent where a public address is configured', async () => {
  const plane = await startTestPlane('pglite', { publicUrl: 'https://portal.example' });
  try {
    assert.equal((await plane.call('POST', '/admin/v1/dev-tokens', { account: 'a@b.example' })).status, 404);
    assert.equal((await plane.call('GET', '/oauth/jwks')).status, 404);
  } finally {
    await plane.stop();
  }
});

test('settings of a provider that cannot be right are refused in one list', async () => {
  await assert.rejects(
    startControlPlane({
      dataDir: '/nonexistent/x',
      publicUrl: 'https://portal.example',
      operatorToken: 'short',
      oidc: { issuer: 'http://x', clientId: 'c', clientSecret: null, audience: 'a', administratorRole: 'r' },
    }),
    /TOLLGATE_OPERATOR_TOKEN must have at least 16 characters\n.*OAUTH_PROVIDER_URL must be an https/s,
  );
});
