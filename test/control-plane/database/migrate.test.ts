import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Database } from '../../../control-plane/database/database.ts';
import {
  migrate,
  readMigrations,
  SchemaError,
  splitStatements,
} from '../../../control-plane/database/migrate.ts';
import { openPglite } from '../../../control-plane/database/pglite.ts';
import { openPostgres } from '../../../control-plane/database/postgres.ts';
import { onEachEngine } from '../../support/control-plane.ts';
import { type TestPostgres, usePostgres } from '../../support/postgres.ts';

const migrations = readMigrations();

onEachEngine('migrations', (engine) => {
  let postgres: TestPostgres | null = null;
  before(async () => {
    if (engine === 'postgres') postgres = await usePostgres();
  });
  after(() => postgres?.stop());

  async function emptyDatabase(): Promise<Database> {
    return postgres ? await openPostgres({ url: await postgres.createDatabase() }) : await openPglite(null);
  }

  test('run once, in the order of their numbers, and a lower number may arrive later', async () => {
    const db = await emptyDatabase();
    const without = migrations.filter((migration) => migration.name !== 'identity');
    assert.deepEqual(
      await migrate(db, without),
      without.map(({ number, name }) => `${String(number).padStart(3, '0')}_${name}`),
    );
    assert.deepEqual(await migrate(db, migrations), ['004_identity']);
    assert.deepEqual(await migrate(db, migrations), []);
    await db.close();
  });

  test('refuse a schema that is newer than the program, or that differs', async () => {
    const db = await emptyDatabase();
    await migrate(db, [
      { number: 1, name: 'one', sql: 'SELECT 1' },
      { number: 2, name: 'two', sql: 'SELECT 2' },
    ]);
    await assert.rejects(migrate(db, [{ number: 1, name: 'one', sql: 'SELECT 1' }]), (error: Error) => {
      assert.ok(error instanceof SchemaError);
      assert.match(error.message, /newer than this program: it has migration 002_two/);
      return true;
    });
    await assert.rejects(
      migrate(db, [
        { number: 1, name: 'one', sql: 'SELECT 9' },
        { number: 2, name: 'two', sql: 'SELECT 2' },
      ]),
      /001_one was applied in another form/,
    );
    await db.close();
  });

  test('leave nothing behind when one fails', async () => {
    const db = await emptyDatabase();
    const failing = [
      { number: 1, name: 'one', sql: 'CREATE TABLE first (a int)' },
      { number: 2, name: 'two', sql: 'CREATE TABLE first (a int)' },
    ];
    await assert.rejects(migrate(db, failing), /already exists/);
    const [row] = await db.query<{ found: string | null }>(`SELECT to_regclass('first')::text AS found`);
    assert.equal(row!.found, null);
    await db.close();
  });

  test('several instances that start at once run them once', { skip: engine === 'pglite' }, async () => {
    const url = await postgres!.createDatabase();
    const databases = await Promise.all([1, 2, 3, 4].map(() => openPostgres({ url })));
    const applied = await Promise.all(databases.map((db) => migrate(db, migrations)));
    assert.equal(applied.flat().length, migrations.length);
    await Promise.all(databases.map((db) => db.close()));
  });
});

test('scripts are split at semicolons outside of quotes and comments', () => {
  assert.deepEqual(
    splitStatements(`SELECT ';'; -- a;b\nSELECT $$ ; $$; /* ; */ SELECT $x$;$$;$x$;\n-- end\n`),
    [`SELECT ';'`, '-- a;b\nSELECT $$ ; $$', '/* ; */ SELECT $x$;$$;$x$'],
  );
});
