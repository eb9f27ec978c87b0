import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Database } from '../../../control-plane/database/database.ts';
import { migrate } from '../../../control-plane/database/migrate.ts';
import { openPglite } from '../../../control-plane/database/pglite.ts';
import { defaultUsage, readUsageConfig } from '../../../control-plane/usage/config.ts';
import { Ingestor } from '../../../control-plane/usage/ingest.ts';
import { applyRetention, noteLastUse } from '../../../control-plane/usage/maintenance.ts';
import { Partitions } from '../../../control-plane/usage/partitions.ts';
import { makeBatch, makeEvent } from '../../gateway/usage/events.ts';

const noon = Date.UTC(2025, 0, 15, 12);
const day = 86_400_000;
let db: Database;
before(async () => {
  db = await openPglite(null);
  await migrate(db);
});
after(() => db.close());

test('each kind of record goes when its time is over, and counted batches are remembered long enough', async () => {
  const partitions = new Partitions(db, defaultUsage.eventDays, () => noon);
  const ingestor = new Ingestor({ db, partitions, now: () => noon, maxBatchAgeDays: 35 });
  await ingestor.ingest([makeBatch('a', 1, [makeEvent({ occurredAt: noon })])], 'test');
  await db.execute('UPDATE usage_batches SET ingested_at = $1', [new Date(noon)]);
  const remaining = async (afterDays: number): Promise<string> => {
    const now = noon + afterDays * day;
    await applyRetention(db, new Partitions(db, defaultUsage.eventDays, () => now), defaultUsage, now);
    const [row] = await db.query<Record<string, number>>(
      `SELECT (SELECT count(*)::int FROM api_usage_rollups_minute) AS minute,
        (SELECT count(*)::int FROM api_usage_rollups_hour) AS hour, (SELECT count(*)::int FROM api_usage_events) AS event,
        (SELECT count(*)::int FROM usage_batches) AS batch, (SELECT count(*)::int FROM api_usage_rollups_day) AS day`,
    );
    return Object.entries(row!)
      .filter(([, count]) => count > 0)
      .map(([name]) => name)
      .join(' ');
  };
  assert.equal(await remaining(6), 'minute hour event batch day');
  assert.equal(await remaining(8), 'hour event batch day');
  assert.equal(await remaining(35), 'hour event batch day');
  assert.equal(await remaining(37), 'hour event day');
  assert.equal(await remaining(92), 'day');
  assert.equal(await remaining(1097), '');
});

test('a key says when it was last used, to the minute', async () => {
  await db.execute(`INSERT INTO dev_accounts (id, email, name) VALUES ('acc', 'a@example.com', 'A')`);
  await db.execute(`INSERT INTO dev_apps (id, account_id, name) VALUES ('app', 'acc', 'Shop')`);
  await db.execute(
    `INSERT INTO dev_app_keys (key_id, app_id, kind, environment) VALUES ('ak_live_1', 'app', 'api_key', 'live'),
       ('ak_live_2', 'app', 'api_key', 'live')`,
  );
  const ingestor = new Ingestor({
    db,
    partitions: new Partitions(db, 30, () => noon),
    now: () => noon,
    maxBatchAgeDays: 35,
  });
  await ingestor.ingest(
    [makeBatch('b', 1, [makeEvent({ keyId: 'ak_live_1', occurredAt: noon + 61_000 })])],
    'test',
  );
  assert.equal(await noteLastUse(db, new Date(noon)), 1);
  assert.equal(await noteLastUse(db, new Date(noon)), 0);
  const rows = await db.query<{ last_used_at: Date | null }>(
    'SELECT last_used_at FROM dev_app_keys ORDER BY key_id',
  );
  assert.deepEqual(
    rows.map((row) => row.last_used_at),
    [new Date(noon + 60_000), null],
  );
});

test('settings that make no sense are named', () => {
  const errors: string[] = [];
  const config = readUsageConfig(
    {
      TOLLGATE_USAGE_EVENT_DAYS: '0',
      TOLLGATE_USAGE_REDIS_URL: 'http://x',
      TOLLGATE_USAGE_KAFKA_BROKERS: 'a:1, b:2',
    },
    errors,
  );
  assert.equal(errors.length, 2);
  assert.deepEqual(config.kafka, { brokers: ['a:1', 'b:2'], topic: 'usage.api-gateway' });
});
