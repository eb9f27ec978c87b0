import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import type { Database } from '../../../control-plane/database/database.ts';
import { openDatabase } from '../../../control-plane/database/open.ts';
import { judge, WindowLimiter } from '../../../control-plane/onboarding/limits.ts';
import { type TestPostgres, usePostgres } from '../../support/postgres.ts';
import { makeFolder } from '../../support/temporary-folder.ts';
import { startInstances } from './instances.ts';

const hourMs = 3_600_000;
let postgres: TestPostgres;
before(async () => {
  postgres = await usePostgres();
});
after(() => postgres.stop());

test('in any history, a request is admitted exactly when fewer than the limit were in the window before it', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 50 }),
      fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 60 }),
      (limit, windowMs, pauses) => {
        const admitted: number[] = [];
        let nowMs = 1000;
        for (const pause of pauses) {
          nowMs += pause;
          const hits = admitted.filter((at) => at > nowMs - windowMs);
          const decision = judge([{ limit: { subject: 's', limit, windowMs }, hits }], nowMs);
          assert.equal(decision.admitted, hits.length < limit);
          assert.equal(decision.remaining, Math.max(0, limit - hits.length - (decision.admitted ? 1 : 0)));
          if (decision.admitted) admitted.push(nowMs);
          else {
            const later = nowMs + decision.retryAfterMs;
            assert.ok(decision.retryAfterMs > 0 && decision.retryAfterMs <= windowMs);
            assert.ok(admitted.filter((at) => at > later - windowMs).length < limit, 'not too early');
            assert.ok(admitted.filter((at) => at > later - 1 - windowMs).length >= limit, 'not too late');
          }
        }
      },
    ),
  );
});

for (const engine of ['PGlite', 'PostgreSQL'] as const) {
  test(`on ${engine} parallel requests are admitted up to the limit, and a refused one spends nothing`, async (t) => {
    const open = async (): Promise<Database> =>
      engine === 'PGlite'
        ? openDatabase({ dataDir: makeFolder('limits') })
        : openDatabase({ databaseUrl: await postgres.createDatabase() });
    const db = await open();
    t.after(() => db.close());
    let nowMs = Date.UTC(2026, 0, 1);
    const limiter = new WindowLimiter(db, () => nowMs);
    const narrow = { subject: 'narrow', limit: 3, windowMs: hourMs };
    const wide = { subject: 'wide', limit: 10, windowMs: hourMs };
    const first = await Promise.all(Array.from({ length: 12 }, () => limiter.take([narrow, wide])));
    assert.equal(first.filter(({ admitted }) => admitted).length, 3);
    const second = await Promise.all(Array.from({ length: 12 }, () => limiter.take([wide])));
    assert.equal(
      second.filter(({ admitted }) => admitted).length,
      7,
      'the refused ones did not spend of "wide"',
    );
    nowMs += hourMs - 1;
    assert.equal((await limiter.take([narrow])).admitted, false);
    nowMs += 1;
    assert.equal((await limiter.take([narrow])).admitted, true);
    nowMs += 2 * hourMs;
    await limiter.sweep();
    assert.deepEqual(await db.query('SELECT subject FROM onboarding_limits'), []);
  });
}

test('the limits of the guide hold over two instances, and say when to come back', async (t) => {
  let now = new Date('2026-02-07T10:00:00Z');
  const instances = await startInstances(await postgres.createDatabase(), {}, 2, () => now);
  t.after(() => instances.close());
  const register = () =>
    instances.call('POST', '/api/v1/applications/register', { body: { app_name: 'SIH' } });
  const masterKey = (await register()).body.master_key as string;
  const start = () =>
    instances.call('POST', '/api/v1/onboarding/start', { masterKey, body: { email: 'a@example.com' } });
  const uuids: string[] = [];
  for (let i = 0; i < 10; i++) {
    const reply = await start();
    assert.equal(reply.status, 201);
    assert.equal(reply.headers.get('x-ratelimit-remaining'), String(9 - i));
    uuids.push(reply.body.uuid as string);
    now = new Date(now.getTime() + 60_000);
  }
  const refused = await start();
  assert.equal(refused.status, 429);
  assert.equal(refused.body.code, 'rate_limited');
  assert.equal(refused.headers.get('retry-after'), String(50 * 60));
  assert.equal(refused.headers.get('x-ratelimit-remaining'), '0');
  now = new Date(now.getTime() + 50 * 60_000);
  assert.equal((await start()).status, 201);

  const status = () => instances.call('GET', `/api/v1/onboarding/status/${uuids[0]}`, { masterKey });
  for (let i = 0; i < 100; i++) assert.equal((await status()).status, 200);
  assert.equal((await status()).status, 429);

  now = new Date(now.getTime() + 2 * hourMs);
  const provision = () =>
    instances.call('POST', '/api/v1/onboarding/provision', { masterKey, body: { uuid: uuids[0] } });
  const done = await provision();
  assert.equal(done.status, 200);
  assert.equal(done.headers.get('x-ratelimit-remaining'), '0', 'the one of 24 hours is spent');
  for (let i = 0; i < 3; i++) {
    const replay = await provision();
    assert.equal(replay.status, 200, 'a replay is not counted');
    assert.equal((replay.body.metadata as { is_idempotent: boolean }).is_idempotent, true);
  }

  now = new Date(now.getTime() + 2 * hourMs);
  for (let i = 0; i < 50; i++) assert.equal((await register()).status, 201);
  const overall = await register();
  assert.equal(overall.status, 429, 'fifty an hour of one address');
  assert.equal(overall.headers.get('retry-after'), '3600');
  assert.equal((await start()).status, 429);
  assert.equal((await status()).status, 200, 'the status has its own limit');
});
