/**
 * How many usage events a second one consumer writes into PostgreSQL: events, three rollups and the deduplication of
 * batches, committed to disk. `node bench/ingest.ts [seconds] [pglite]`
 */
import { createColumns, encodeBatch, setEvent } from '#contract/usage-batch.ts';
import type { Database } from '../control-plane/database/database.ts';
import { migrate } from '../control-plane/database/migrate.ts';
import { openPglite } from '../control-plane/database/pglite.ts';
import { openPostgres } from '../control-plane/database/postgres.ts';
import { Ingestor } from '../control-plane/usage/ingest.ts';
import { Partitions } from '../control-plane/usage/partitions.ts';
import { startPostgres } from '../test/support/postgres.ts';

const seconds = Number(process.argv[2] ?? 10);
const embedded = process.argv[3] === 'pglite';
const batchEvents = 1000;
const batchesPerCall = 20;

/** Keys that call with Zipf's frequencies, each a few routes from one country, nearly all answered 200. */
const keys = Array.from({ length: 500 }, (_, i) => ({
  keyId: `ak_live_${String(i).padStart(22, '0')}`,
  appId: `app_${i % 300}`,
  accountId: `acc_${i % 200}`,
  country: ['SN', 'CI', 'FR', 'ML', 'US'][i % 5]!,
  routes: Array.from({ length: 4 }, (_, r) => `route-${(i * 7 + r) % 40}`),
}));
const weights = keys.map((_, i) => 1 / (i + 1));
const weightSum = weights.reduce((sum, weight) => sum + weight, 0);
let randomState = 12345;
function random(): number {
  randomState = (Math.imul(randomState, 1664525) + 1013904223) >>> 0;
  return randomState / 2 ** 32;
}
function pickKey() {
  let left = random() * weightSum;
  for (let i = 0; i < keys.length; i++) {
    left -= weights[i]!;
    if (left <= 0) return keys[i]!;
  }
  return keys[0]!;
}

let made = 0;
function makeBatch(sequence: number, now: number): Uint8Array {
  const columns = createColumns(batchEvents);
  for (let i = 0; i < batchEvents; i++) {
    const key = pickKey();
    const dice = random();
    setEvent(columns, i, {
      id: `0196b3a2-7c1e-7000-8000-${String(made++).padStart(12, '0')}`,
      occurredAt: now,
      keyId: key.keyId,
      appId: key.appId,
      accountId: key.accountId,
      environment: 'live',
      routeId: key.routes[(random() * 4) | 0]!,
      serviceId: 'payments',
      version: 'v1',
      method: 'POST',
      path: `/v1/payments/${(random() * 1e5) | 0}`,
      status: dice < 0.95 ? 200 : dice < 0.98 ? 404 : 500,
      latencyMs: Math.exp(3 + random() + random() + random()),
      upstreamLatencyMs: 10,
      bytesIn: 200,
      bytesOut: 1200,
      cache: null,
      limit: 'admitted',
      overage: false,
      country: key.country,
      clientIp: `203.0.${(random() * 250) | 0}.0`,
    });
  }
  return encodeBatch(
    { source: 'bench/0/life', sequence, gateway: 'bench', createdAt: now },
    columns,
    0,
    batchEvents,
  );
}

const postgres = embedded
  ? null
  : await startPostgres({ durable: true, settings: ['shared_buffers=512MB', 'max_wal_size=4GB'] });
const db: Database = postgres ? await openPostgres({ url: postgres.url }) : await openPglite(null);
await migrate(db);
const ingestor = new Ingestor({
  db,
  partitions: new Partitions(db, 30, Date.now),
  now: Date.now,
  maxBatchAgeDays: 35,
});
let sequence = 0;
const makeCall = (): Uint8Array[] =>
  Array.from({ length: batchesPerCall }, () => makeBatch(++sequence, Date.now()));

await ingestor.ingest(makeCall(), 'warm-up');
let events = 0;
let writingMs = 0;
const cpuBefore = process.cpuUsage();
let makingCpu = 0;
while (writingMs < seconds * 1000) {
  const before = process.cpuUsage();
  const batches = makeCall();
  const used = process.cpuUsage(before);
  makingCpu += used.user + used.system;
  const start = performance.now();
  const { accepted } = await ingestor.ingest(batches, 'bench');
  writingMs += performance.now() - start;
  events += accepted * batchEvents;
}
const cpu = process.cpuUsage(cpuBefore);
const [check] = await db.query<{ events: number; calls: number }>(
  `SELECT (SELECT count(*) FROM api_usage_events) AS events,
          (SELECT sum(calls)::bigint FROM api_usage_rollups_day) AS calls`,
);
console.log(
  JSON.stringify({
    bench: 'ingest',
    engine: db.engine,
    events,
    events_per_second: Math.round((events / writingMs) * 1000),
    consumer_cpu_us_per_event: Number(((cpu.user + cpu.system - makingCpu) / events).toFixed(2)),
    stored_equals_rollups: check!.events === check!.calls,
  }),
);
await db.close();
await postgres?.stop();
