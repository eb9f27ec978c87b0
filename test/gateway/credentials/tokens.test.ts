import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { IssuerSettings } from '#contract/issuers.ts';
import { Tokens } from '../../../gateway/credentials/tokens.ts';
import { startIssuer, type TestIssuer } from '../../support/issuer.ts';

const startMs = Date.UTC(2026, 0, 1);
const startSeconds = startMs / 1000;
const exp = startSeconds + 3600;

let issuer: TestIssuer;
let nowMs: number;
const failures: unknown[] = [];

before(async () => {
  issuer = await startIssuer();
  await issuer.addKey('rsa', 'RS256');
  await issuer.addKey('ec', 'ES256');
  await issuer.addKey('ed', 'EdDSA');
});
after(() => issuer.stop());
beforeEach(() => {
  nowMs = startMs;
  issuer.failing = null;
  failures.length = 0;
});

function tokensOf(settings: Partial<IssuerSettings> = {}, maxCacheBytes?: number): Tokens {
  return new Tokens(
    [{ issuer: issuer.url, ...settings }],
    { now: () => nowMs, onFailure: (_issuer, error) => failures.push(error) },
    maxCacheBytes,
  );
}

function encode(part: unknown): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}

describe('tokens', () => {
  test('of RS256, ES256 and EdDSA are verified with the keys that discovery finds', async () => {
    const tokens = tokensOf();
    for (const kid of ['rsa', 'ec', 'ed']) {
      const token = await issuer.sign(
        { sub: 'user 1', aud: ['a', 'b'], exp, scope: 'read write', roles: ['ops'] },
        { kid },
      );
      assert.deepEqual(await tokens.verify(token, nowMs), {
        issuer: issuer.url,
        subject: 'user 1',
        audiences: ['a', 'b'],
        scopes: ['read', 'write'],
        roles: ['ops'],
        environment: null,
      });
    }
  });

  test('are remembered: the second time needs no waiting', async () => {
    const tokens = tokensOf();
    const token = await issuer.sign({ sub: 'u', exp }, { kid: 'ec' });
    const first = tokens.verify(token, nowMs);
    assert.ok(first instanceof Promise);
    const claims = await first;
    assert.equal(tokens.verify(token, nowMs), claims);
  });

  test('are forgotten at their expiry; the tolerance counts for clocks, not for the memory', async () => {
    const tokens = tokensOf({ clockToleranceSeconds: 10 });
    const token = await issuer.sign({ sub: 'u', exp: startSeconds + 60 }, { kid: 'ec' });
    await tokens.verify(token, nowMs);
    assert.ok(!(tokens.verify(token, startMs + 59_999) instanceof Promise));
    const late = tokens.verify(token, startMs + 60_000);
    assert.ok(late instanceof Promise);
    assert.equal(typeof (await late), 'object');
    assert.equal(await tokens.verify(token, startMs + 70_000), 'expired');
  });

  test('are valid within exp and nbf with the tolerance', async () => {
    const tokens = tokensOf({ clockToleranceSeconds: 5 });
    const sign = (claims: object) => issuer.sign({ sub: 'u', ...claims }, { kid: 'ec' });
    assert.equal(typeof (await tokens.verify(await sign({ exp, nbf: startSeconds + 5 }), nowMs)), 'object');
    assert.equal(await tokens.verify(await sign({ exp, nbf: startSeconds + 6 }), nowMs), 'invalid');
    assert.equal(await tokens.verify(await sign({ exp: startSeconds - 5 }), nowMs), 'expired');
    assert.equal(typeof (await tokens.verify(await sign({ exp: startSeconds - 4 }), nowMs)), 'object');
    assert.equal(await tokens.verify(await sign({}), nowMs), 'invalid', 'without exp');
  });

  test('need one of the audiences', async () => {
    const tokens = tokensOf({ audiences: ['api', 'other'] });
    const verify = async (aud?: string | string[]) =>
      tokens.verify(await issuer.sign({ exp, ...(aud ? { aud } : {}) }, { kid: 'ec' }), nowMs);
    assert.equal(typeof (await verify('api')), 'object');
    assert.equal(typeof (await verify(['x', 'other'])), 'object');
    assert.equal(await verify('x'), 'invalid');
    assert.equal(await verify(), 'invalid');
  });

  test('name roles and scopes where the configuration says', async () => {
    const tokens = tokensOf({
      rolesClaim: 'realm_access.roles',
      scopesClaim: 'https://x/scopes',
      environment: 'test',
    });
    const token = await issuer.sign(
      { exp, realm_access: { roles: ['admin', 7] }, 'https://x/scopes': ['a', 'b'] },
      { kid: 'ec' },
    );
    const claims = await tokens.verify(token, nowMs);
    assert.ok(typeof claims === 'object');
    assert.deepEqual(
      [claims.roles, claims.scopes, claims.subject, claims.environment],
      [['admin'], ['a', 'b'], null, 'test'],
    );
  });

  test('a subject that is no header value is percent-encoded', async () => {
    const tokens = tokensOf();
    const token = await issuer.sign({ exp, sub: 'a\r\nX-Admin: é' }, { kid: 'ec' });
    const claims = await tokens.verify(token, nowMs);
    assert.equal(typeof claims === 'object' && claims.subject, 'a%0D%0AX-Admin%3A%20%C3%A9');
  });
});

describe('hostile tokens', () => {
  test('are refused without waiting for anything where no key could help', async () => {
    const tokens = tokensOf();
    await tokens.prepare(nowMs);
    const payload = encode({ iss: issuer.url, exp });
    const header = { alg: 'ES256', kid: 'ec' };
    const good = await issuer.sign({ exp }, { kid: 'ec' });
    const [, , signature] = good.split('.');
    for (const token of [
      `${encode({ alg: 'none' })}.${payload}.`,
      `${encode({ alg: 'nOnE', kid: 'ec' })}.${payload}.`,
      `${encode({ alg: 'HS256', kid: 'ec' })}.${payload}.${signature}`,
      ...['crit', 'b64', 'jwk', 'jku', 'x5u', 'x5c'].map(
        (name) => `${encode({ ...header, [name]: name === 'crit' ? ['exp'] : {} })}.${payload}.${signature}`,
      ),
      `${encode({ ...header, kid: { $ne: '' } })}.${payload}.${signature}`,
      `${encode({ ...header, typ: 'logout+jwt' })}.${payload}.${signature}`,
      `${encode({ ...header, typ: 7 })}.${payload}.${signature}`,
      `${encode({ alg: ['ES256'] })}.${payload}.${signature}`,
      `${encode(header)}.${encode({ iss: 'https://elsewhere.test', exp })}.${signature}`,
      `${encode(header)}.${encode({ iss: [issuer.url], exp })}.${signature}`,
      `${encode(header)}.${encode(null)}.${signature}`,
      `${encode('x')}.${payload}.${signature}`,
      `${good}.`,
      `${good}.x`,
      good.slice(good.indexOf('.')),
      'a.b.c',
      '..',
      `${'a'.repeat(1 << 20)}.b.c`,
    ]) {
      assert.equal(tokens.verify(token, nowMs), 'invalid', token.slice(0, 300));
    }
    assert.equal(failures.length, 0);
  });

  test('with an altered or foreign signature are refused', async () => {
    const tokens = tokensOf();
    const good = await issuer.sign({ exp, sub: 'u' }, { kid: 'ec' });
    const [header, , signature] = good.split('.');
    for (const token of [
      `${header}.${encode({ iss: issuer.url, exp, sub: 'admin' })}.${signature}`,
      `${header}.${good.split('.')[1]}.`,
      `${good.slice(0, -6)}AAAAAA`,
      `${encode({ alg: 'ES256', kid: 'rsa' })}.${good.split('.')[1]}.${signature}`,
      `${encode({ alg: 'RS256', kid: 'ec' })}.${good.split('.')[1]}.${signature}`,
    ]) {
      assert.equal(await tokens.verify(token, nowMs), 'invalid');
    }
  });

  test('an HMAC made with the public key as its secret is refused', async () => {
    const tokens = tokensOf();
    const jwk = issuer.published.find(({ kid }) => kid === 'rsa')!;
    const signed = `${encode({ alg: 'HS256', kid: 'rsa' })}.${encode({ iss: issuer.url, exp })}`;
    const signature = createHmac('sha256', JSON.stringify(jwk)).update(signed).digest('base64url');
    assert.equal(await tokens.verify(`${signed}.${signature}`, nowMs), 'invalid');
  });

  test('algorithms outside of the list of the issuer are refused', async () => {
    const tokens = tokensOf({ algorithms: ['RS256'] });
    assert.equal(await tokens.verify(await issuer.sign({ exp }, { kid: 'ec' }), nowMs), 'invalid');
    assert.equal(typeof (await tokens.verify(await issuer.sign({ exp }, { kid: 'rsa' }), nowMs)), 'object');
  });

  test('ten thousand different ones leave nothing behind', async () => {
    const tokens = tokensOf();
    await tokens.prepare(nowMs);
    const fetched = issuer.fetches.count;
    const [header, payload] = (await issuer.sign({ exp }, { kid: 'ec' })).split('.');
    for (let n = 0; n < 10_000; n++) {
      const answer = tokens.verify(`${header}.${payload}x${n}.${n}`, nowMs);
      if (n % 100 === 0) assert.equal(await answer, 'invalid');
    }
    assert.equal(tokens.cachedBytes, 0);
    assert.equal(issuer.fetches.count, fetched);
  });

  test('the memory for verified tokens is bounded', async () => {
    const tokens = tokensOf({}, 4000);
    for (let n = 0; n < 20; n++) {
      await tokens.verify(await issuer.sign({ exp, sub: `user-${n}` }, { kid: 'ed' }), nowMs);
      assert.ok(tokens.cachedBytes <= 4000);
    }
    assert.ok(tokens.cachedBytes > 2000);
  });
});

describe('keys of an issuer', () => {
  test('are fetched once for many tokens, again for an unknown key, but not within the cool-down', async () => {
    const tokens = tokensOf({ keysCoolDownSeconds: 10 });
    const before = issuer.fetches.count;
    const token = await issuer.sign({ exp }, { kid: 'ec' });
    await Promise.all([
      tokens.verify(token, nowMs),
      tokens.verify(token, nowMs),
      tokens.verify(token, nowMs),
    ]);
    assert.equal(issuer.fetches.count - before, 1);
    await issuer.addKey('new');
    const rotated = await issuer.sign({ exp }, { kid: 'new' });
    assert.equal(await tokens.verify(rotated, nowMs + 9999), 'invalid');
    assert.equal(issuer.fetches.count - before, 1);
    assert.equal(typeof (await tokens.verify(rotated, nowMs + 10_000)), 'object');
    assert.equal(issuer.fetches.count - before, 2);
    for (let n = 0; n < 50; n++) {
      const [, payload, signature] = rotated.split('.');
      await tokens.verify(
        `${encode({ alg: 'ES256', kid: `x${n}` })}.${payload}.${signature}`,
        nowMs + 10_001,
      );
    }
    assert.equal(issuer.fetches.count - before, 2);
  });

  test('that are withdrawn take the remembered tokens with them', async () => {
    const tokens = tokensOf({ keysMaxAgeSeconds: 60 });
    await issuer.addKey('leaving');
    const token = await issuer.sign({ exp }, { kid: 'leaving' });
    assert.equal(typeof (await tokens.verify(token, nowMs)), 'object');
    issuer.published.splice(
      issuer.published.findIndex(({ kid }) => kid === 'leaving'),
      1,
    );
    const later = nowMs + 60_000;
    const stale = tokens.verify(token, later);
    assert.ok(!(stale instanceof Promise), 'a stale key set does not hold requests up');
    await tokens.prepare(later);
    assert.equal(await tokens.verify(token, later), 'invalid');
  });

  test('stay in use while the issuer is down', async () => {
    const tokens = tokensOf({ keysMaxAgeSeconds: 60 });
    assert.equal(typeof (await tokens.verify(await issuer.sign({ exp }, { kid: 'ec' }), nowMs)), 'object');
    issuer.failing = 503;
    const later = startMs + 1000_000;
    assert.equal(
      typeof (await tokens.verify(await issuer.sign({ exp, sub: 'x' }, { kid: 'ec' }), later)),
      'object',
    );
    await tokens.prepare(later);
    assert.equal(failures.length, 1);
  });

  test('that were never fetched make the answer "unavailable", and are tried again after the cool-down', async () => {
    issuer.failing = 500;
    const tokens = tokensOf();
    const token = await issuer.sign({ exp }, { kid: 'ec' });
    assert.equal(await tokens.verify(token, nowMs), 'unavailable');
    assert.equal(failures.length, 1);
    issuer.failing = null;
    assert.equal(await tokens.verify(token, nowMs + 1), 'unavailable');
    assert.equal(typeof (await tokens.verify(token, nowMs + 15_000)), 'object');
  });

  test('metadata of another issuer are not believed', async () => {
    const tokens = new Tokens([{ issuer: `${issuer.url}/` }], {
      now: () => nowMs,
      onFailure: (_issuer, error) => failures.push(error),
    });
    await tokens.prepare(nowMs);
    assert.match(String(failures[0]), /another issuer/);
  });

  test('a set with a shared secret is refused whole', async () => {
    const secret = { kty: 'oct', k: 'c2VjcmV0', kid: 'secret' };
    issuer.published.push(secret);
    const tokens = tokensOf();
    assert.equal(await tokens.verify(await issuer.sign({ exp }, { kid: 'ec' }), nowMs), 'unavailable');
    issuer.published.splice(issuer.published.indexOf(secret), 1);
  });
});
