import { join } from 'node:path';
import type { Database } from './database.ts';
import { migrate } from './migrate.ts';
import { openPglite } from './pglite.ts';
import { openPostgres } from './postgres.ts';

export interface DatabaseOptions {
  /** PostgreSQL; else PGlite in `dataDir`/pg. */
  readonly databaseUrl?: string | undefined;
  readonly dataDir?: string | undefined;
  readonly onError?: (error: Error) => void;
}

/** Opens the database and brings its schema up to date. Errors say in one line what to mend. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const db = await connect(options);
  try {
    await migrate(db);
    return db;
  } catch (error) {
    await db.close().catch(() => {});
    throw error;
  }
}

async function connect(options: DatabaseOptions): Promise<Database> {
  if (options.databaseUrl) {
    const url = options.databaseUrl;
    try {
      return await openPostgres({ url, ...(options.onError ? { onError: options.onError } : {}) });
    } catch (error) {
      throw new Error(`cannot use DATABASE_URL ${withoutPassword(url)}: ${reason(error)}`, { cause: error });
    }
  }
  if (!options.dataDir) throw new Error('neither DATABASE_URL nor a data directory is given');
  const folder = join(options.dataDir, 'pg');
  try {
    return await openPglite(folder);
  } catch (error) {
    throw new Error(`cannot open the embedded database in ${folder}: ${reason(error)}`, { cause: error });
  }
}

function reason(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reason(error.errors[0]);
  return error instanceof Error
    ? error.message || (error as NodeJS.ErrnoException).code || error.name
    : String(error);
}

/** The URL as it may be shown. */
function withoutPassword(url: string): string {
  return url.replace(/^([a-z]+:\/\/[^:@/]*):[^@/]*@/i, '$1:***@');
}
