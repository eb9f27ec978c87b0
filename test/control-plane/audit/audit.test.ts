import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AuditLog, systemOrigin } from '../../../control-plane/audit/record.ts';
import { verifyAudit } from '../../../control-plane/audit/verify.ts';
import type { Database } from '../../../control-plane/database/database.ts';
import { migrate } from '../../../control-plane/database/migrate.ts';
import { openPglite } from '../../../control-plane/database/pglite.ts';
import { openPostgres } from '../../../control-plane/database/postgres.ts';
import { runTollgate } from '../../support/command-line.ts';
import { onEachEngine, operatorToken, startTestPlane, type TestPlane } from '../../support/control-plane.ts';
import { type TestPostgres, usePostgres } from '../../support/postgres.ts';

onEachEngine('audit through the API', (engine) => {
  let plane: TestPlane;
  before(async () => {
    plane = await startTestPlane(engine);
  });
  after(() => plane.stop());

  test('says who did what to which key, from where, and how it was before and after', async () => {
    const { keyId, secret } = await plane.makeKey();
    const token = await plane.tokenOf('dev@example.com');
    const headers = { 'x-request-id': 'my-request-1' };
    await plane.call('POST', `/api/dev/keys/${keyId}/revoke`, { reason: 'leaked' }, { token, headers });
    const list = await plane.call<{ data: Record<string, unknown>[] }>(
      'GET',
      `/api/dev/audit?key_id=${keyId}`,
      undefined,
      { token },
    );
    const [revoked, created] = list.body.data;
    assert.equal(created!.action, 'key.create');
    assert.equal(created!.actor, 'operator');
    assert.equal(revoked!.action, 'key.revoke');
    assert.equal(revoked!.actor, 'dev@example.com');
    assert.equal(revoked!.ip, '127.0.0.1');
    assert.equal(revoked!.request_id, 'my-request-1');
    assert.equal((revoked!.before as { status: string }).status, 'active');
    assert.equal((revoked!.after as { revoked_reason: string }).revoked_reason, 'leaked');
    assert.equal(JSON.stringify(list.body).includes(secret), false);
  });

  test('shows a developer only the account', async () => {
    await plane.makeKey('ana@example.com');
    const token = await plane.tokenOf('eve@example.com');
    const list = await plane.call<{ data: { actor: string }[] }>('GET', '/api/dev/audit', undefined, {
      token,
    });
    assert.equal(list.body.data.filter((entry) => entry.actor !== 'operator').length, 0);
    assert.equal(JSON.stringify(list.body).includes('ana@example.com'), false);
  });

  test('is verified from the command line', async () => {
    const at = ['--control', plane.url, '--token', operatorToken];
    const verified = await runTollgate(['audit', 'verify', ...at]);
    assert.equal(verified.code, 0, verified.output);
    const head = /head (\d+:[0-9a-f]{64})/.exec(verified.stdout)![1]!;
    await plane.makeKey();
    assert.equal((await runTollgate(['audit', 'verify', '--head', head, ...at])).code, 0);
    const wrong = `${head.split(':')[0]}:${'0'.repeat(64)}`;
    assert.equal((await runTollgate(['audit', 'verify', '--head', wrong, ...at])).code, 1);
  });
});

onEachEngine('audit log', (engine) => {
  let db: Database;
  let postgres: TestPostgres | null = null;
  const log = new AuditLog();
  before(async () => {
    if (engine === 'postgres') postgres = await usePostgres();
    db = postgres ? await openPostgres({ url: await postgres.createDatabase() }) : await openPglite(null);
    await migrate(db);
    for (let i = 0; i < 12; i++) {
      await db.transaction((tx) =>
        log.record(
          tx,
          { ...systemOrigin('test'), actor: `é${i}:2` },
          {
            action: 'key.create',
            target: { key_id: `ak_live_${i}`, n: i, é: [null, 1.5] },
            ...(i % 2 ? { before: { a: '\n"' }, after: null } : {}),
          },
        ),
      );
    }
  });
  after(async () => {
    await db.close();
    await postgres?.stop();
  });

  /** Does what only an attacker with the owner's rights can, and undoes it. */
  async function tamper(statement: string, check: () => Promise<void>): Promise<void> {
    const rollBack = new Error('roll back');
    await assert.rejects(
      db.transaction(async (tx) => {
        await tx.execute('ALTER TABLE dev_portal_audit DISABLE TRIGGER audit_keep');
        assert.ok((await tx.execute(statement)) > 0);
        const within = {
          ...db,
          transaction: (work: (t: typeof tx) => Promise<unknown>) => work(tx),
        } as Database;
        db = Object.assign(within, { outer: db });
        try {
          await check();
        } finally {
          db = (within as unknown as { outer: Database }).outer;
        }
        throw rollBack;
      }),
      rollBack,
    );
  }

  test('is whole after ordinary use, with ids without gaps', async () => {
    const verified = await verifyAudit(db);
    assert.deepEqual(verified.problems, []);
    assert.equal(verified.entries, 12);
    assert.equal(verified.head.id, 12);
  });

  test('refuses UPDATE, DELETE and TRUNCATE', async () => {
    for (const statement of [
      `UPDATE dev_portal_audit SET actor = 'x' WHERE id = 1`,
      'DELETE FROM dev_portal_audit',
      'TRUNCATE dev_portal_audit',
    ]) {
      await assert.rejects(db.execute(statement), /append-only/);
    }
  });

  test('finds a changed entry', async () => {
    for (const change of [
      `actor = 'x'`,
      `target = target || '{"z":1}'`,
      'account_id = $$a$$',
      `created_at = created_at + interval '1 second'`,
      `ip = '1.2.3.4'`,
    ]) {
      await tamper(`UPDATE dev_portal_audit SET ${change} WHERE id = 5`, async () => {
        assert.deepEqual((await verifyAudit(db)).problems, [{ id: 5, problem: 'changed' }]);
      });
    }
  });

  test('finds a removed entry, in the middle, at the beginning and at the end', async () => {
    for (const [id, problem] of [
      [5, { id: 6, problem: 'gap' }],
      [1, { id: 2, problem: 'gap' }],
      [12, { id: 12, problem: 'missing_end' }],
    ] as const) {
      await tamper(`DELETE FROM dev_portal_audit WHERE id = ${id}`, async () => {
        assert.deepEqual((await verifyAudit(db)).problems, [problem]);
      });
    }
  });

  test('finds entries that were exchanged', async () => {
    const swap = `UPDATE dev_portal_audit SET id = CASE id WHEN 4 THEN -5 ELSE 4 END WHERE id IN (4, 5)`;
    await tamper(swap, async () => {
      assert.notDeepEqual((await verifyAudit(db)).problems, []);
    });
  });

  test('the incident query of the guide works as printed', async () => {
    const rows = await db.query(`SELECT * FROM dev_portal_audit
WHERE target->>'key_id' = 'ak_live_3'
ORDER BY created_at DESC;`);
    assert.equal(rows.length, 1);
  });
});
