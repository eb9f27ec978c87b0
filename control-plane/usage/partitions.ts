import type { Database, Queryable } from '../database/database.ts';
import { dayMs } from './aggregate.ts';

const lockKey = 0x75_73_61_67;

/** The partition of a UTC day, for example `api_usage_events_20250115`. */
function partitionName(day: number): string {
  return `api_usage_events_${new Date(day * dayMs).toISOString().slice(0, 10).replaceAll('-', '')}`;
}

/** Makes the partitions of `api_usage_events`, one for each UTC day, and drops those past the retention. */
export class Partitions {
  readonly #db: Database;
  readonly #retentionDays: number;
  readonly #now: () => number;
  readonly #known = new Set<number>();

  constructor(db: Database, retentionDays: number, now: () => number) {
    this.#db = db;
    this.#retentionDays = retentionDays;
    this.#now = now;
  }

  /** Sees to it that events of these times (milliseconds since the epoch) have their partitions, before they are written. */
  async prepare(times: Iterable<number>): Promise<void> {
    const today = Math.floor(this.#now() / dayMs);
    const missing = new Set<number>();
    for (const time of times) {
      const day = Math.floor(time / dayMs);
      const isKept = day >= today - this.#retentionDays && day <= today + 1;
      if (isKept && !this.#known.has(day)) missing.add(day);
    }
    for (const day of missing) {
      await this.#create(day);
      this.#known.add(day);
    }
  }

  async #create(day: number): Promise<void> {
    const name = partitionName(day);
    const bound = (at: number): string => `'${new Date(at * dayMs).toISOString()}'`;
    await this.#db.transaction(async (tx) => {
      await tx.query('SELECT pg_advisory_xact_lock($1)', [lockKey]);
      const [found] = await tx.query<{ found: string | null }>('SELECT to_regclass($1)::text AS found', [
        name,
      ]);
      if (found?.found) return;
      // Events of this day may stand in the default partition: from a time when the day was not yet, or no more, kept.
      await tx.execute(
        `CREATE TABLE ${name} (LIKE api_usage_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`,
      );
      await tx.execute('LOCK TABLE api_usage_events IN ACCESS EXCLUSIVE MODE');
      await tx.execute(
        `WITH moved AS (DELETE FROM api_usage_events_default
           WHERE occurred_at >= ${bound(day)} AND occurred_at < ${bound(day + 1)} RETURNING *)
         INSERT INTO ${name} SELECT * FROM moved`,
      );
      await tx.execute(
        `ALTER TABLE api_usage_events ATTACH PARTITION ${name} FOR VALUES FROM (${bound(day)}) TO (${bound(day + 1)})`,
      );
    });
  }

  /** Makes tomorrow's partition, drops those older than the retention and clears the default one of what is past it. */
  async maintain(): Promise<string[]> {
    const now = this.#now();
    await this.prepare([now, now + dayMs]);
    const oldest = partitionName(Math.floor(now / dayMs) - this.#retentionDays);
    const dropped: string[] = [];
    for (const name of await listPartitions(this.#db)) {
      if (name >= oldest) continue;
      await this.#db.execute(`DROP TABLE IF EXISTS ${name}`);
      dropped.push(name);
    }
    if (dropped.length > 0) this.#known.clear();
    await this.#db.execute('DELETE FROM api_usage_events_default WHERE occurred_at < $1', [
      new Date(now - this.#retentionDays * dayMs),
    ]);
    return dropped;
  }
}

export async function listPartitions(db: Queryable): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'api_usage_events'::regclass AND c.relname ~ '^api_usage_events_[0-9]{8}$' ORDER BY 1`,
  );
  return rows.map((row) => row.name);
}
