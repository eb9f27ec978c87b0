import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Database } from './database.ts';

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
}

const folder = fileURLToPath(new URL('./migrations/', import.meta.url));
const lockKey = 0x70_6c_6c_67;

/** The migrations of this program, in order: `NNN_name.sql`. */
export function readMigrations(from: string = folder): Migration[] {
  const migrations: Migration[] = [];
  for (const file of readdirSync(from).sort()) {
    const match = /^(\d{3})_([a-z0-9_]+)\.sql$/.exec(file);
    if (!match) continue;
    migrations.push({
      number: Number(match[1]),
      name: match[2]!,
      sql: readFileSync(`${from}/${file}`, 'utf8'),
    });
  }
  return migrations;
}

/**
 * Brings the schema up to date in one transaction. Safe when several instances start at once. Throws when the
 * database holds a migration that this program does not know: it belongs to a newer release.
 *
 * @returns the file names of the migrations that were applied.
 */
export async function migrate(
  db: Database,
  migrations: readonly Migration[] = readMigrations(),
): Promise<string[]> {
  return await db.transaction(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock($1)', [lockKey]);
    await tx.execute(`CREATE TABLE IF NOT EXISTS schema_migrations (
      number integer NOT NULL,
      name text NOT NULL,
      sha256 text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (number, name)
    )`);
    const recorded = await tx.query<{ number: number; name: string; sha256: string }>(
      'SELECT number, name, sha256 FROM schema_migrations ORDER BY number, name',
    );
    const known = new Map(migrations.map((m) => [fileName(m), m]));
    for (const entry of recorded) {
      const migration = known.get(fileName(entry));
      if (!migration) {
        throw new SchemaError(
          `the database schema is newer than this program: it has migration ${fileName(entry)}; start a newer release`,
        );
      }
      if (digest(migration.sql) !== entry.sha256) {
        throw new SchemaError(
          `migration ${fileName(entry)} was applied in another form than this program has`,
        );
      }
    }
    const done = new Set(recorded.map(fileName));
    const applied: string[] = [];
    for (const migration of migrations) {
      if (done.has(fileName(migration))) continue;
      for (const statement of splitStatements(migration.sql)) await tx.execute(statement);
      await tx.execute('INSERT INTO schema_migrations (number, name, sha256) VALUES ($1, $2, $3)', [
        migration.number,
        migration.name,
        digest(migration.sql),
      ]);
      applied.push(fileName(migration));
    }
    return applied;
  });
}

export class SchemaError extends Error {}

function fileName(migration: { number: number; name: string }): string {
  return `${String(migration.number).padStart(3, '0')}_${migration.name}`;
}

function digest(sql: string): string {
  return createHash('sha256').update(sql).digest('hex');
}

/** Splits a script at its semicolons, minding quotes, dollar quotes and comments. */
export function splitStatements(sql: string): string[] {
  const statements: string[] = [];
  let start = 0;
  let at = 0;
  const skipTo = (end: string): void => {
    const found = sql.indexOf(end, at);
    at = found < 0 ? sql.length : found + end.length;
  };
  while (at < sql.length) {
    const char = sql[at]!;
    if (char === "'" || char === '"') {
      at++;
      skipTo(char);
    } else if (char === '-' && sql[at + 1] === '-') {
      skipTo('\n');
    } else if (char === '/' && sql[at + 1] === '*') {
      skipTo('*/');
    } else if (char === '$') {
      const tag = /^\$[A-Za-z_]*\$/.exec(sql.slice(at, at + 64))?.[0];
      at += tag?.length ?? 1;
      if (tag) skipTo(tag);
    } else if (char === ';') {
      pushStatement(statements, sql.slice(start, at));
      start = ++at;
    } else at++;
  }
  pushStatement(statements, sql.slice(start));
  return statements;
}

function pushStatement(statements: string[], text: string): void {
  if (text.replace(/--[^\n]*/g, '').trim() !== '') statements.push(text.trim());
}
