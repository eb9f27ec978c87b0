import type { Database } from '../database/database.ts';
import { dayMs } from './aggregate.ts';
import type { UsageConfig } from './config.ts';
import type { Partitions } from './partitions.ts';

/** Drops what is past its retention, and forgets counted batches that can no longer arrive. */
export async function applyRetention(
  db: Database,
  partitions: Partitions,
  config: UsageConfig,
  now: number,
): Promise<void> {
  await partitions.maintain();
  const before = (days: number): Date => new Date(now - days * dayMs);
  await db.execute('DELETE FROM api_usage_rollups_minute WHERE minute < $1', [before(config.minuteDays)]);
  await db.execute('DELETE FROM api_usage_rollups_hour WHERE hour < $1', [before(config.hourDays)]);
  await db.execute('DELETE FROM api_usage_rollups_day WHERE day < $1::date', [
    before(config.dayDays).toISOString().slice(0, 10),
  ]);
  await db.execute('DELETE FROM usage_batches WHERE ingested_at < $1', [before(config.maxBatchAgeDays + 1)]);
}

/** Notes on each key when it was last used, to the minute, as counted since `since`. */
export async function noteLastUse(db: Database, since: Date): Promise<number> {
  return await db.execute(
    `UPDATE dev_app_keys k SET last_used_at = u.last_use
     FROM (SELECT key_id, max(minute) AS last_use FROM api_usage_rollups_minute
           WHERE minute >= $1 AND key_id <> '' GROUP BY key_id) u
     WHERE k.key_id = u.key_id AND (k.last_used_at IS NULL OR k.last_used_at < u.last_use)`,
    [since],
  );
}
