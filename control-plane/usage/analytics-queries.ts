import type { Queryable } from '../database/database.ts';
import { quantilesOf } from './sketch.ts';
import type { Grain } from './store.ts';

/** What a series can be split by, and the column that has it. */
export const dimensions = {
  version: 'api_version',
  route: 'route_id',
  status: 'status_code',
  country: 'country',
  key: 'key_id',
  environment: 'environment',
} as const;
export type Dimension = keyof typeof dimensions;

export interface UsageFilter {
  readonly appId: string;
  readonly from: Date;
  readonly to: Date;
  readonly equal: Readonly<Partial<Record<Dimension, string>>>;
}

export interface DayUsage {
  readonly day: string;
  readonly calls: number;
  readonly errors: number;
  readonly avg_latency_ms: number;
}

const table: Readonly<Record<Grain, string>> = {
  minute: 'api_usage_rollups_minute',
  hour: 'api_usage_rollups_hour',
  day: 'api_usage_rollups_day',
};

/** Calls, errors and mean latency of each day with calls since `from`, oldest first. */
export async function readDays(
  db: Queryable,
  appId: string,
  from: Date,
  environment: string | undefined,
): Promise<DayUsage[]> {
  const rows = await db.query<DayUsage>(
    `SELECT day, sum(calls)::bigint AS calls, sum(errors)::bigint AS errors,
       round((sum(latency_ms_sum) / sum(calls))::numeric, 1)::float8 AS avg_latency_ms
     FROM api_usage_rollups_day
     WHERE app_id = $1 AND day >= $2::date AND ($3::text IS NULL OR environment = $3)
     GROUP BY day ORDER BY day`,
    [appId, from.toISOString().slice(0, 10), environment ?? null],
  );
  return rows.map((row) => ({ ...row }));
}

export interface SeriesPoint {
  readonly time: string;
  /** The value of the dimension that the series is split by; null: none (no key, no country). */
  readonly group?: string | null;
  readonly calls: number;
  readonly errors: number;
  readonly error_rate: number;
  readonly avg_latency_ms: number;
  readonly p50_ms: number | null;
  readonly p95_ms: number | null;
  readonly p99_ms: number | null;
  readonly bytes_in: number;
  readonly bytes_out: number;
  readonly overage_calls: number;
}

interface SeriesRow {
  time: Date | string;
  value: string | number | null;
  calls: number;
  errors: number;
  overage_calls: number;
  latency_ms_sum: number;
  bytes_in: number;
  bytes_out: number;
  sketch: string;
}

/** The series of an app in buckets of a grain, split by a dimension or not; at most `limit` points. */
export async function readSeries(
  db: Queryable,
  grain: Grain,
  filter: UsageFilter,
  by: Dimension | null,
  limit: number,
): Promise<SeriesPoint[]> {
  const values: unknown[] = [filter.appId, timeOf(grain, filter.from), timeOf(grain, filter.to)];
  const type = grain === 'day' ? 'date' : 'timestamptz';
  let where = `app_id = $1 AND ${grain} >= $2::${type} AND ${grain} < $3::${type}`;
  for (const [name, value] of Object.entries(filter.equal)) {
    values.push(value);
    where += ` AND ${dimensions[name as Dimension]}::text = $${values.length}`;
  }
  values.push(limit);
  const rows = await db.query<SeriesRow>(
    `SELECT ${grain} AS time, ${by ? dimensions[by] : 'NULL::text'} AS value, sum(calls)::bigint AS calls,
       sum(errors)::bigint AS errors, sum(overage_calls)::bigint AS overage_calls,
       sum(latency_ms_sum) AS latency_ms_sum, sum(bytes_in)::bigint AS bytes_in,
       sum(bytes_out)::bigint AS bytes_out, string_agg(array_to_string(latency_sketch, ','), ',') AS sketch
     FROM ${table[grain]} WHERE ${where} GROUP BY 1, 2 ORDER BY 1, calls DESC, 2 LIMIT $${values.length}`,
    values,
  );
  return rows.map((row) => presentPoint(row, by !== null));
}

function timeOf(grain: Grain, time: Date): string {
  return grain === 'day' ? time.toISOString().slice(0, 10) : time.toISOString();
}

function presentPoint(row: SeriesRow, split: boolean): SeriesPoint {
  const [p50, p95, p99] = quantilesOf(row.sketch.split(',').map(Number), [0.5, 0.95, 0.99]);
  return {
    time: row.time instanceof Date ? row.time.toISOString() : row.time,
    ...(split ? { group: row.value === '' || row.value === null ? null : String(row.value) } : {}),
    calls: row.calls,
    errors: row.errors,
    error_rate: Number((row.errors / row.calls).toFixed(6)),
    avg_latency_ms: tenth(row.latency_ms_sum / row.calls)!,
    p50_ms: tenth(p50!),
    p95_ms: tenth(p95!),
    p99_ms: tenth(p99!),
    bytes_in: row.bytes_in,
    bytes_out: row.bytes_out,
    overage_calls: row.overage_calls,
  };
}

/** Rounded to a tenth; below ten milliseconds to a thousandth, so that percentiles keep their accuracy. */
function tenth(ms: number | null): number | null {
  if (ms === null) return null;
  return ms < 10 ? Math.round(ms * 1000) / 1000 : Math.round(ms * 10) / 10;
}
