import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { Authentication } from '#contract/access.ts';
import { mintSecret } from '#contract/keys.ts';
import type { RouteContext } from '../../../gateway/compile.ts';
import { type AuthOutcome, authOutcomes, countAuthAttempts } from '../../../gateway/credentials/outcome.ts';
import { Tokens } from '../../../gateway/credentials/tokens.ts';
import type { Dependencies } from '../../../gateway/dependencies.ts';
import { authenticate } from '../../../gateway/phases/authenticate.ts';
import type { Phase } from '../../../gateway/pipeline.ts';
import { Refusal } from '../../../gateway/refusal.ts';
import { Metrics } from '../../../gateway/telemetry/metrics.ts';
import { makeExchange, passThrough, type RequestOptions, verdict } from '../../support/exchange.ts';
import { startIssuer, type TestIssuer } from '../../support/issuer.ts';
import { MemoryKeys } from '../../support/memory-keys.ts';

const startMs = Date.UTC(2026, 0, 1);
const day = 86_400_000;
const current = mintSecret('test', randomBytes(32));
const previous = mintSecret('test', randomBytes(32));
const bearer = mintSecret('test', randomBytes(32));

const keyId = 'ak_test_signer';

function setUp(authentication?: Authentication | 'none', nowMs = startMs) {
  const keys = new MemoryKeys();
  const metrics = new Metrics();
  const attempts = countAuthAttempts(metrics);
  const outcomes = (): Partial<Record<AuthOutcome, number>> =>
    Object.fromEntries(authOutcomes.map((name) => [name, attempts[name].value]).filter(([, n]) => n));
  const app = { id: 'app_1', account: 'acc_1', name: 'Shop' };
  keys.put(
    { id: keyId, secrets: [{ plain: current }, { plain: previous, expiresAt: startMs + 7 * day }] },
    app,
  );
  keys.put({ id: 'ak_test_bearer', kind: 'bearer', secrets: [{ plain: bearer }], scopes: ['read'] });
  keys.put({ id: 'ak_test_revoked', status: 'revoked', secrets: [{ plain: current }] });
  keys.put({ id: 'ak_test_expired', expiresAt: startMs, secrets: [{ plain: current }] });
  keys.put({ id: 'ak_test_foreign', kind: 'bearer', secrets: [{ plain: 'from-another-portal' }] });
  const dependencies = {
    keys,
    now: () => nowMs,
    maxSignedBodyBytes: 1024,
    metrics,
  } as unknown as Dependencies;
  const route = { id: 'r', service: 's', path: '/', ...(authentication ? { authentication } : {}) };
  const phase = authenticate({ route } as unknown as RouteContext, dependencies);
  return { keys, outcomes, phase: phase as Phase };
}

function sign(id: string, secret: string, body = ''): string {
  return `${id}:${createHmac('sha256', secret).update(body).digest('hex')}`;
}

async function attempt(phase: Phase, options: RequestOptions): Promise<string> {
  return verdict((await passThrough(phase, options)).result);
}

describe('the HMAC of the body', () => {
  const body = '{"amount":1000,"currency":"XOF"}';

  test('identifies the key, its app and its account', async () => {
    const { phase, outcomes } = setUp();
    const { result, exchange } = await passThrough(phase, {
      method: 'POST',
      headers: { 'X-API-Key': sign(keyId, current, body) },
      body,
    });
    assert.equal(result, undefined);
    assert.equal(exchange.key?.id, keyId);
    assert.deepEqual(exchange.consumer, {
      keyId,
      appId: 'app_1',
      accountId: 'acc_1',
      environment: 'test',
      subject: null,
      scopes: [],
      roles: [],
    });
    assert.deepEqual(outcomes(), { success: 1 });
  });

  test('is decided at once when the body is there, and once it is whole when it comes in pieces', async () => {
    const { phase } = setUp();
    const headers = { 'X-API-Key': sign(keyId, current, body) };
    assert.equal(phase(makeExchange({ headers, body }).exchange), undefined);
    const pieces = [body.slice(0, 5), body.slice(5)];
    const { result, exchange } = await passThrough(phase, { headers, pieces });
    assert.equal(result, undefined);
    assert.equal(exchange.body?.toString(), body);
  });

  test('may be in upper-case hex', async () => {
    const { phase } = setUp();
    const [id, signature] = sign(keyId, current, body).split(':');
    assert.equal(
      await attempt(phase, { headers: { 'X-API-Key': `${id}:${signature!.toUpperCase()}` }, body }),
      'pass',
    );
  });

  test('of an empty body identifies a GET', async () => {
    const { phase } = setUp();
    assert.equal(await attempt(phase, { headers: { 'X-API-Key': sign(keyId, current) } }), 'pass');
  });

  test('of another body, with another secret, shortened or lengthened is refused', async () => {
    const { phase, outcomes } = setUp();
    const good = sign(keyId, current, body);
    for (const value of [
      sign(keyId, current, `${body} `),
      sign(keyId, bearer, body),
      good.slice(0, -2),
      `${good}00`,
      `${good.slice(0, -1)}${good.endsWith('0') ? '1' : '0'}`,
    ]) {
      assert.equal(
        await attempt(phase, { headers: { 'X-API-Key': value }, body }),
        '401 credentials_invalid',
      );
    }
    assert.deepEqual(outcomes(), { bad_signature: 5 });
  });

  test('a body over the cap is 413, whether its length is stated or not', async () => {
    const { phase, outcomes } = setUp();
    const large = 'x'.repeat(1025);
    const headers = { 'X-API-Key': sign(keyId, current, large) };
    assert.equal(await attempt(phase, { headers, body: large }), '413 signed_body_too_large');
    const pieces = [large.slice(0, 1000), large.slice(1000)];
    assert.equal(await attempt(phase, { headers, pieces }), '413 signed_body_too_large');
    assert.deepEqual(outcomes(), { body_too_large: 2 });
  });

  test('the cap of a route replaces the general one', async () => {
    const { phase } = setUp({ maxSignedBodyBytes: 2000 });
    const large = 'x'.repeat(2000);
    assert.equal(
      await attempt(phase, { headers: { 'X-API-Key': sign(keyId, current, large) }, body: large }),
      'pass',
    );
  });
});

describe('rotation', () => {
  test('a replaced secret is valid until its grace ends', async () => {
    const headers = { 'X-API-Key': sign(keyId, previous) };
    assert.equal(await attempt(setUp(undefined, startMs + 7 * day - 1).phase, { headers }), 'pass');
    assert.equal(
      await attempt(setUp(undefined, startMs + 7 * day).phase, { headers }),
      '401 credentials_invalid',
    );
  });

  test('a replaced bearer secret is valid until its grace ends', async () => {
    for (const [nowMs, expected] of [
      [startMs, 'pass'],
      [startMs + 1, '401 credentials_invalid'],
    ] as const) {
      const { phase, keys } = setUp(undefined, nowMs);
      keys.put({
        id: 'ak_test_rotated',
        kind: 'bearer',
        secrets: [{ plain: current }, { plain: previous, expiresAt: startMs + 1 }],
      });
      assert.equal(await attempt(phase, { headers: { 'X-API-Key': previous } }), expected);
      assert.equal(await attempt(phase, { headers: { 'X-API-Key': current } }), 'pass');
    }
  });
});

describe('a bearer secret', () => {
  test('identifies its key in X-API-Key and in Authorization, whatever the case of the scheme', async () => {
    for (const headers of [
      { 'X-API-Key': bearer },
      { Authorization: `Bearer ${bearer}` },
      { Authorization: `bearer ${bearer}` },
      { 'X-API-Key': bearer, Authorization: `Bearer ${bearer}` },
    ]) {
      const { exchange, result } = await passThrough(setUp().phase, { headers });
      assert.equal(verdict(result), 'pass');
      assert.equal(exchange.consumer?.keyId, 'ak_test_bearer');
      assert.equal(exchange.hideAuthorization, 'Authorization' in headers);
      assert.deepEqual(exchange.consumer?.scopes, ['read']);
    }
  });

  test('with a typing error is refused without a look-up', async () => {
    const { phase, keys } = setUp();
    const typo = bearer.slice(0, -1) + (bearer.endsWith('A') ? 'B' : 'A');
    assert.equal(await attempt(phase, { headers: { 'X-API-Key': typo } }), '401 credentials_invalid');
    assert.equal(keys.lookUps, 0);
  });

  test('of another format identifies a key registered by its hash', async () => {
    assert.equal(await attempt(setUp().phase, { headers: { 'X-API-Key': 'from-another-portal' } }), 'pass');
  });

  test('is refused when it is the signing secret of an api_key key', async () => {
    assert.equal(
      await attempt(setUp().phase, { headers: { 'X-API-Key': current } }),
      '401 credentials_invalid',
    );
  });
});

describe('refusals', () => {
  test('unknown, wrong, revoked, expired, of the wrong kind, missing: one and the same answer', async () => {
    const { phase, outcomes } = setUp();
    const answers = new Set<string>();
    for (const headers of [
      { 'X-API-Key': sign('ak_test_nobody', current) },
      { 'X-API-Key': sign(keyId, bearer) },
      { 'X-API-Key': sign('ak_test_revoked', current) },
      { 'X-API-Key': sign('ak_test_expired', current) },
      { 'X-API-Key': sign('ak_test_bearer', bearer) },
      { 'X-API-Key': mintSecret('live', randomBytes(32)) },
      {},
    ] as Record<string, string>[]) {
      const { result, exchange } = await passThrough(phase, { headers });
      assert.ok(result instanceof Refusal);
      assert.equal(exchange.consumer, null);
      answers.add(JSON.stringify([result.status, result.headers, result.body.toString()]));
    }
    assert.equal(answers.size, 1);
    assert.match([...answers][0]!, /"WWW-Authenticate","ApiKey realm=/);
    assert.deepEqual(outcomes(), {
      missing: 1,
      unknown: 2,
      wrong_kind: 1,
      bad_signature: 1,
      revoked: 1,
      expired: 1,
    });
  });

  test('an unknown key still has its body read', async () => {
    const { phase } = setUp();
    const { exchange } = makeExchange({
      headers: { 'X-API-Key': sign('ak_test_nobody', current) },
      pieces: [],
    });
    assert.ok(phase(exchange) instanceof Promise);
  });

  test('a value that is no signature says which form is meant', async () => {
    for (const value of [`${keyId}:HMAC_SIGNATURE`, `${keyId}:`, ':00', `${keyId}:00:00`]) {
      const { result } = await passThrough(setUp().phase, { headers: { 'X-API-Key': value } });
      assert.equal(verdict(result), '401 credentials_invalid');
      assert.match((result as Refusal).body.toString(), /<key_id>:<HMAC-SHA256/);
    }
  });

  test('duplicate, oversize and contradicting credentials are 400', async () => {
    const { phase, keys } = setUp();
    keys.put({ id: 'ak_test_other', kind: 'bearer', secrets: [{ plain: previous }] });
    const good = sign(keyId, current);
    for (const headers of [
      { 'X-API-Key': [good, good] },
      { Authorization: [`Bearer ${bearer}`, `Bearer ${bearer}`] },
      { 'X-API-Key': `${keyId}:${'0'.repeat(2000)}` },
      { Authorization: `Bearer sk_test_${'0'.repeat(2000)}` },
      { 'X-API-Key': good, Authorization: `Bearer ${bearer}` },
      { 'X-API-Key': bearer, Authorization: `Bearer ${previous}` },
    ]) {
      assert.equal(await attempt(phase, { headers }), '400 credentials_malformed');
    }
  });

  test('a valid credential does not excuse an invalid one beside it', async () => {
    const { phase } = setUp();
    const unknown = mintSecret('test', randomBytes(32));
    assert.equal(
      await attempt(phase, { headers: { 'X-API-Key': bearer, Authorization: `Bearer ${unknown}` } }),
      '401 credentials_invalid',
    );
  });
});

describe('what a route accepts', () => {
  test('another kind of credential is not accepted', async () => {
    const { phase, outcomes } = setUp({ accept: ['hmac'] });
    assert.equal(await attempt(phase, { headers: { 'X-API-Key': bearer } }), '401 credentials_invalid');
    assert.equal(
      await attempt(phase, { headers: { Authorization: `Bearer ${bearer}` } }),
      '401 credentials_invalid',
    );
    assert.deepEqual(outcomes(), { not_accepted: 2 });
    const other = setUp({ accept: ['bearer'] });
    assert.equal(
      await attempt(other.phase, { headers: { 'X-API-Key': sign(keyId, current) } }),
      '401 credentials_invalid',
    );
  });

  test("the upstream's own Authorization passes beside a key", async () => {
    for (const authorization of ['Basic dTpw', 'Bearer eyJhbGciOiJub25lIn0.e30.']) {
      const { result, exchange } = await passThrough(setUp().phase, {
        headers: { 'X-API-Key': sign(keyId, current), Authorization: authorization },
      });
      assert.equal(result, undefined);
      assert.equal(exchange.hideAuthorization, false);
    }
  });

  test('an optional credential may be missing but not wrong', async () => {
    const { phase } = setUp({ optional: true });
    const { result, exchange } = await passThrough(phase, {});
    assert.equal(result, undefined);
    assert.equal(exchange.consumer, null);
    assert.equal(
      await attempt(phase, { headers: { 'X-API-Key': sign(keyId, bearer) } }),
      '401 credentials_invalid',
    );
  });

  test('a route without authentication has no such phase', () => {
    assert.equal(setUp('none').phase, null);
  });
});

describe('keys and tokens', () => {
  const nowMs = Date.UTC(2026, 0, 1);
  let issuer: TestIssuer;
  let token: string;
  before(async () => {
    issuer = await startIssuer();
    await issuer.addKey('k');
    token = await issuer.sign(
      { sub: 'u', exp: nowMs / 1000 + 60, scope: 'read write', aud: 'api' },
      { kid: 'k' },
    );
  });
  after(() => issuer.stop());

  function phaseOf(authentication: Authentication): Phase {
    const keys = new MemoryKeys();
    keys.put({ id: keyId, secrets: [{ plain: current }], scopes: ['read'] });
    keys.put({ id: 'ak_test_bearer', kind: 'bearer', secrets: [{ plain: bearer }] });
    const tokens = new Tokens([{ issuer: issuer.url }], { now: () => nowMs });
    const metrics = new Metrics();
    const route = { id: 'r', service: 's', path: '/', authentication };
    const dependencies = { keys, tokens, metrics, now: () => nowMs, maxSignedBodyBytes: 1024 };
    const context = { route } as unknown as RouteContext;
    return authenticate(context, dependencies as unknown as Dependencies) as Phase;
  }

  test('a token alone names the subject; the upstream gets the token', async () => {
    const { result, exchange } = await passThrough(phaseOf({ accept: ['jwt'] }), {
      headers: { Authorization: `Bearer ${token}` },
    });
    assert.equal(verdict(result), 'pass');
    assert.equal(exchange.consumer?.subject, 'u');
    assert.equal(exchange.consumer?.keyId, null);
    assert.equal(exchange.hideAuthorization, false);
  });

  test('a key and a token together: scopes are those of both', async () => {
    const phase = phaseOf({ accept: ['hmac', 'jwt'], require: 'key_and_jwt' });
    const { result, exchange } = await passThrough(phase, {
      headers: { 'X-API-Key': sign(keyId, current), Authorization: `Bearer ${token}` },
    });
    assert.equal(verdict(result), 'pass');
    assert.equal(exchange.consumer?.keyId, keyId);
    assert.equal(exchange.consumer?.subject, 'u');
    assert.deepEqual(exchange.consumer?.scopes, ['read']);
  });

  test('where both are required neither is enough, nor one of them invalid', async () => {
    const phase = phaseOf({ accept: ['hmac', 'bearer', 'jwt'], require: 'key_and_jwt' });
    const noHmac = phaseOf({ accept: ['bearer', 'jwt'], require: 'key_and_jwt' });
    const Authorization = `Bearer ${token}`;
    const cases: [Phase, Record<string, string>][] = [
      [phase, { Authorization }],
      [phase, { 'X-API-Key': sign(keyId, current) }],
      [phase, { Authorization: `Bearer ${bearer}` }],
      [phase, { 'X-API-Key': sign(keyId, previous), Authorization }],
      [phase, { 'X-API-Key': sign(keyId, current), Authorization: `${Authorization.slice(0, -8)}AAAAAAAA` }],
      [noHmac, { 'X-API-Key': sign(keyId, current), Authorization }],
    ];
    for (const [decide, headers] of cases) {
      assert.equal(await attempt(decide, { headers }), '401 credentials_invalid', JSON.stringify(headers));
    }
  });

  test('only the issuers and audiences of the route count', async () => {
    const headers = { Authorization: `Bearer ${token}` };
    const cases: [Authentication, string][] = [
      [{ issuers: [issuer.url] }, 'pass'],
      [{ issuers: ['https://other.test'] }, '401 credentials_invalid'],
      [{ audiences: ['x', 'api'] }, 'pass'],
      [{ audiences: ['x'] }, '401 credentials_invalid'],
    ];
    for (const [rules, expected] of cases) {
      const authentication: Authentication = { accept: ['jwt'], ...rules };
      assert.equal(await attempt(phaseOf(authentication), { headers }), expected);
    }
  });

  test('an optional credential of another kind is left for the upstream', async () => {
    const phase = phaseOf({ accept: ['hmac'], optional: true });
    for (const Authorization of ['Basic dTpw', `Bearer ${token}`]) {
      const { result, exchange } = await passThrough(phase, { headers: { Authorization } });
      assert.equal(verdict(result), 'pass');
      assert.equal(exchange.consumer, null);
      assert.equal(exchange.hideAuthorization, false);
    }
  });
});
