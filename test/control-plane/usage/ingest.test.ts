import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import type { UsageEvent } from '#contract/usage.ts';
import { createColumns, encodeBatch, setEvent } from '#contract/usage-batch.ts';
import type { Database } from '../../../control-plane/database/database.ts';
import { migrate } from '../../../control-plane/database/migrate.ts';
import { openPglite } from '../../../control-plane/database/pglite.ts';
import { openPostgres } from '../../../control-plane/database/postgres.ts';
import { Ingestor } from '../../../control-plane/usage/ingest.ts';
import { listPartitions, Partitions } from '../../../control-plane/usage/partitions.ts';
import { quantilesOf } from '../../../control-plane/usage/sketch.ts';
import { makeBatch, makeEvent } from '../../gateway/usage/events.ts';
import { usePostgres } from '../../support/postgres.ts';

const noon = Date.UTC(2025, 0, 15, 12);
const day = 86_400_000;

function ingestorOf(db: Database, now = () => noon): Ingestor {
  const partitions = new Partitions(db, 30, now);
  return new Ingestor({ db, partitions, now, maxBatchAgeDays: 35 });
}

async function totals(db: Database, where = 'true'): Promise<Record<string, number>> {
  const [row] = await db.query<Record<string, number>>(
    `SELECT (SELECT count(*) FROM api_usage_events WHERE ${where}) AS events,
       (SELECT coalesce(sum(calls), 0)::bigint FROM api_usage_rollups_day WHERE ${where}) AS days,
       (SELECT coalesce(sum(calls), 0)::bigint FROM api_usage_rollups_hour WHERE ${where}) AS hours,
       (SELECT coalesce(sum(calls), 0)::bigint FROM api_usage_rollups_minute WHERE ${where}) AS minutes`,
  );
  return row!;
}

const same = (n: number) => ({ events: n, days: n, hours: n, minutes: n });

for (const engine of ['PGlite', 'PostgreSQL'] as const) {
  describe(`ingestion into ${engine}`, () => {
    let db: Database;
    let stop: () => Promise<void> = async () => {};
    before(async () => {
      if (engine === 'PGlite') db = await openPglite(null);
      else {
        const postgres = await usePostgres();
        stop = postgres.stop;
        db = await openPostgres({ url: await postgres.createDatabase() });
      }
      await migrate(db);
    });
    after(async () => {
      await db.close();
      await stop();
    });

    test('an event is stored as it was and counted in every rollup', async () => {
      const event = makeEvent({ appId: 'whole', occurredAt: noon + 61_250, overage: true, cache: 'hit' });
      const result = await ingestorOf(db).ingest([makeBatch('whole', 1, [event])], 'test');
      assert.deepEqual(result, { accepted: 1, duplicates: 0, deadLettered: 0 });
      const rows = await db.query(`SELECT * FROM api_usage_events WHERE app_id = 'whole'`);
      assert.deepEqual(
        rows.map((row) => ({ ...row })),
        [
          {
            occurred_at: new Date(noon + 61_250),
            request_id: 'req-1',
            key_id: 'ak_test_abc123',
            app_id: 'whole',
            account_id: 'acc-1',
            environment: 'test',
            route_id: 'payments',
            service_id: 'payments',
            api_version: 'v1',
            method: 'POST',
            endpoint: '/v1/payments',
            status_code: 200,
            latency_ms: 12.5,
            upstream_latency_ms: 10,
            bytes_in: 100,
            bytes_out: 200,
            cache_state: 'hit',
            limit_outcome: 'admitted',
            overage: true,
            country: 'SN',
            client_ip: '192.0.2.0',
          },
        ],
      );
      assert.deepEqual(await totals(db, `app_id = 'whole'`), same(1));
      const [rollup] = await db.query<{ day: string; overage_calls: number; bytes_out: number }>(
        `SELECT day, overage_calls, bytes_out FROM api_usage_rollups_day WHERE app_id = 'whole'`,
      );
      assert.deepEqual({ ...rollup }, { day: '2025-01-15', overage_calls: 1, bytes_out: 200 });
    });

    test('a batch that arrives again, alone, together or at the same time elsewhere, is counted once', async () => {
      const batch = makeBatch('again', 1, [makeEvent({ appId: 'again' }), makeEvent({ appId: 'again' })]);
      const [one, two] = [ingestorOf(db), ingestorOf(db)];
      const results = await Promise.all([
        one.ingest([batch, batch], 'test'),
        two.ingest([batch], 'test'),
        one.ingest([batch], 'test'),
      ]);
      const accepted = results.reduce((sum, result) => sum + result.accepted, 0);
      assert.equal(accepted, 1);
      assert.equal(
        results.reduce((sum, result) => sum + result.duplicates, 0),
        3,
      );
      assert.deepEqual(await totals(db, `app_id = 'again'`), same(2));
    });

    test('the same request id in two requests is two events: clients choose it', async () => {
      const events = [
        makeEvent({ id: 'chosen', appId: 'chosen' }),
        makeEvent({ id: 'chosen', appId: 'chosen' }),
      ];
      await ingestorOf(db).ingest([makeBatch('chosen', 1, events)], 'test');
      assert.deepEqual(await totals(db, `app_id = 'chosen'`), same(2));
    });

    test('late and out-of-order events land in their own day, also one from long ago', async () => {
      const at = (time: number) => makeEvent({ appId: 'late', occurredAt: time });
      const ingestor = ingestorOf(db);
      await ingestor.ingest([makeBatch('late', 2, [at(noon), at(noon - 3 * day), at(noon - 1)])], 'test');
      await ingestor.ingest([makeBatch('late', 1, [at(noon - 3 * day + 5), at(noon - 400 * day)])], 'test');
      const days = await db.query<{ day: string; calls: number }>(
        `SELECT day, sum(calls)::int AS calls FROM api_usage_rollups_day WHERE app_id = 'late' GROUP BY 1 ORDER BY 1`,
      );
      assert.deepEqual(
        days.map((row) => ({ ...row })),
        [
          { day: '2023-12-12', calls: 1 },
          { day: '2025-01-12', calls: 2 },
          { day: '2025-01-15', calls: 2 },
        ],
      );
      const partitions = await db.query<{ name: string; events: number }>(
        `SELECT tableoid::regclass::text AS name, count(*)::int AS events FROM api_usage_events WHERE app_id = 'late' GROUP BY 1 ORDER BY 1`,
      );
      assert.deepEqual(
        partitions.map((row) => ({ ...row })),
        [
          { name: 'api_usage_events_20250112', events: 2 },
          { name: 'api_usage_events_20250115', events: 2 },
          { name: 'api_usage_events_default', events: 1 },
        ],
      );
    });

    test('poison is set aside with its reason and blocks nothing', async () => {
      const good = makeBatch('poison', 1, [makeEvent({ appId: 'poison' })]);
      const outOfRange = makeBatch('poison', 2, [makeEvent({ appId: 'poison', status: 65_000 })]);
      const broken = good.slice(0, 60);
      const before = await db.query('SELECT 1 FROM usage_dead_letters');
      const result = await ingestorOf(db).ingest([broken, outOfRange, good], 'somewhere');
      assert.deepEqual(result, { accepted: 1, duplicates: 0, deadLettered: 2 });
      assert.deepEqual(await totals(db, `app_id = 'poison'`), same(1));
      const letters = await db.query<{ origin: string; reason: string }>(
        'SELECT origin, reason FROM usage_dead_letters ORDER BY id',
      );
      assert.equal(letters.length, before.length + 2);
      assert.deepEqual(letters.at(-1)!.origin, 'somewhere');
      assert.match(letters.at(-1)!.reason, /out of range/);
      await ingestorOf(db).ingest([broken], 'again');
      assert.equal((await db.query('SELECT 1 FROM usage_dead_letters')).length, before.length + 2);
    });

    test('a batch older than what is remembered is set aside, not counted at a guess', async () => {
      const columns = createColumns(1);
      setEvent(columns, 0, makeEvent({ appId: 'old' }));
      const head = { source: 'old', sequence: 1, gateway: 'gw', createdAt: noon - 36 * day };
      const result = await ingestorOf(db).ingest([encodeBatch(head, columns, 0, 1)], 'test');
      assert.deepEqual(result, { accepted: 0, duplicates: 0, deadLettered: 1 });
      assert.deepEqual(await totals(db, `app_id = 'old'`), same(0));
    });

    test('any text is stored as it is, short of NUL', async () => {
      const texts = [
        '"quoted"',
        'back\\slash',
        'comma,{brace}',
        'NULL',
        '',
        ' ',
        'é\u{1f600}',
        'tab\tline\n',
        'nul\0end',
      ];
      const events = texts.map((path, i) => makeEvent({ appId: 'texts', path, id: `t${i}` }));
      await ingestorOf(db).ingest([makeBatch('texts', 1, events)], 'test');
      const rows = await db.query<{ endpoint: string }>(
        `SELECT endpoint FROM api_usage_events WHERE app_id = 'texts' ORDER BY request_id`,
      );
      assert.deepEqual(
        rows.map((row) => row.endpoint),
        texts.map((text) => text.replace('\0', '')),
      );
    });

    test('percentiles from the rollups are within 1 % of the exact ones', async () => {
      const latencies = fc.sample(fc.double({ min: 0.05, max: 30_000, noNaN: true }), {
        numRuns: 3000,
        seed: 7,
      });
      const ingestor = ingestorOf(db);
      for (let i = 0; i < 30; i++) {
        const events = latencies
          .slice(i * 100, i * 100 + 100)
          .map((latencyMs) => makeEvent({ appId: 'sketch', latencyMs }));
        await ingestor.ingest([makeBatch('sketch', i + 1, events)], 'test');
      }
      const sketches = await db.query<{ latency_sketch: number[] }>(
        `SELECT latency_sketch FROM api_usage_rollups_day WHERE app_id = 'sketch'`,
      );
      const sorted = [...latencies].sort((a, b) => a - b);
      const quantiles = [0, 0.5, 0.95, 0.99, 1];
      const estimated = quantilesOf(
        sketches.flatMap((row) => row.latency_sketch),
        quantiles,
      );
      quantiles.forEach((quantile, i) => {
        const exact = sorted[Math.floor(quantile * (sorted.length - 1))]!;
        const error = Math.abs(estimated[i]! - exact) / exact;
        assert.ok(error <= 0.0101, `q${quantile}: ${estimated[i]} for ${exact}`);
      });
      assert.ok(
        sketches.every((row) => row.latency_sketch.length < 3000),
        'sketches stay small',
      );
    });

    test('retention drops whole days; tomorrow has its partition in time', async () => {
      const ingestor = ingestorOf(db);
      const at = (time: number): UsageEvent => makeEvent({ appId: 'retention', occurredAt: time });
      await ingestor.ingest([makeBatch('retention', 1, [at(noon), at(noon - 25 * day)])], 'test');
      const later = noon + 10 * day;
      const dropped = await new Partitions(db, 30, () => later).maintain();
      assert.ok(dropped.includes('api_usage_events_20241221'));
      assert.ok((await listPartitions(db)).includes('api_usage_events_20250126'));
      assert.equal((await totals(db, `app_id = 'retention'`)).events, 1);
      assert.equal((await totals(db, `app_id = 'retention'`)).days, 2);
    });

    test('a day that stood in the default partition moves to its own when it is made', async () => {
      const past = ingestorOf(db, () => noon - 300 * day);
      const columns = createColumns(1);
      setEvent(columns, 0, makeEvent({ appId: 'moved', occurredAt: noon + 5 * day }));
      const head = { source: 'moved', sequence: 1, gateway: 'gw', createdAt: noon };
      await past.ingest([encodeBatch(head, columns, 0, 1)], 'test');
      await ingestorOf(db, () => noon + 5 * day).ingest(
        [makeBatch('moved', 2, [makeEvent({ appId: 'moved', occurredAt: noon + 5 * day })])],
        'test',
      );
      const partitions = await db.query<{ name: string }>(
        `SELECT tableoid::regclass::text AS name FROM api_usage_events WHERE app_id = 'moved'`,
      );
      assert.deepEqual(
        partitions.map((row) => row.name),
        ['api_usage_events_20250120', 'api_usage_events_20250120'],
      );
    });
  });
}
