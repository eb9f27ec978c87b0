import {
  cacheStateOf,
  environmentOf,
  limitOutcomeOf,
  overageOf,
  type TextColumn,
  type UsageBatch,
} from '#contract/usage-batch.ts';
import type { Queryable } from '../database/database.ts';
import { dayMs, type Groups, hourMs, minuteMs, type UsageGroup } from './aggregate.ts';
import { plainArray, textArray } from './array-literals.ts';

/** Notes batches as counted and returns those that had not been. Concurrent claims of one batch wait for each other. */
export async function claimBatches(tx: Queryable, batches: readonly UsageBatch[]): Promise<UsageBatch[]> {
  const byName = new Map<string, UsageBatch>();
  for (const batch of batches) byName.set(`${batch.sequence} ${batch.source}`, batch);
  const names = [...byName.keys()].sort();
  const sorted = names.map((name) => byName.get(name)!);
  const claimed = await tx.query<{ source: string; sequence: number }>(
    `INSERT INTO usage_batches (source, sequence, gateway, events)
     SELECT * FROM unnest($1::text::text[], $2::text::bigint[], $3::text::text[], $4::text::integer[])
     ON CONFLICT DO NOTHING RETURNING source, sequence`,
    [
      textArray(sorted.map((batch) => batch.source)),
      plainArray(sorted.map((batch) => batch.sequence)),
      textArray(sorted.map((batch) => batch.gateway)),
      plainArray(sorted.map((batch) => batch.count)),
    ],
  );
  return claimed.map(({ source, sequence }) => byName.get(`${sequence} ${source}`)!);
}

const textColumnNames: readonly (readonly [TextColumn, string])[] = [
  ['keyId', 'key_id'],
  ['appId', 'app_id'],
  ['accountId', 'account_id'],
  ['routeId', 'route_id'],
  ['serviceId', 'service_id'],
  ['version', 'api_version'],
  ['method', 'method'],
  ['path', 'endpoint'],
  ['country', 'country'],
  ['clientIp', 'client_ip'],
];

const insertEventsSql = `INSERT INTO api_usage_events (request_id, ${textColumnNames.map(([, name]) => name).join(', ')},
    environment, cache_state, limit_outcome, occurred_at, status_code, latency_ms, upstream_latency_ms, bytes_in,
    bytes_out, overage)
  SELECT e.request_id, ${textColumnNames.map(([, name]) => `e.${name}`).join(', ')}, e.environment, e.cache_state,
    e.limit_outcome, to_timestamp(e.occurred_ms / 1000.0), e.status_code, e.latency_ms, e.upstream_latency_ms,
    e.bytes_in, e.bytes_out, e.overage
  FROM unnest(${Array.from({ length: 14 }, (_, i) => `$${i + 1}::text::text[]`).join(', ')},
    $15::text::float8[], $16::text::smallint[], $17::text::float8[], $18::text::float8[], $19::text::bigint[],
    $20::text::bigint[], $21::text::boolean[])
  AS e (request_id, ${textColumnNames.map(([, name]) => name).join(', ')}, environment, cache_state, limit_outcome,
    occurred_ms, status_code, latency_ms, upstream_latency_ms, bytes_in, bytes_out, overage)`;

/** Writes the events of batches. */
export async function insertEvents(tx: Queryable, batches: readonly UsageBatch[]): Promise<void> {
  const all = <T>(pick: (batch: UsageBatch) => ArrayLike<T>): T[] => {
    const values: T[] = [];
    for (const batch of batches) {
      const column = pick(batch);
      for (let i = 0; i < batch.count; i++) values.push(column[i]!);
    }
    return values;
  };
  const flags = all((batch) => batch.columns.flags);
  const micro = (value: number): number => Math.round(value * 1000) / 1000;
  await tx.execute(insertEventsSql, [
    textArray(all((batch) => batch.columns.ids)),
    ...textColumnNames.map(([column]) => {
      const values = all((batch) => batch.columns[column]);
      return textArray(
        column === 'method' || column === 'path' ? values.map((value) => value ?? '') : values,
      );
    }),
    textArray(flags.map(environmentOf)),
    textArray(flags.map(cacheStateOf)),
    textArray(flags.map(limitOutcomeOf)),
    plainArray(all((batch) => batch.columns.occurredAt).map(Math.floor)),
    plainArray(all((batch) => batch.columns.status)),
    plainArray(all((batch) => batch.columns.latencyMs).map(micro)),
    plainArray(
      all((batch) => batch.columns.upstreamLatencyMs).map((value) => (value < 0 ? null : micro(value))),
    ),
    plainArray(all((batch) => batch.columns.bytesIn)),
    plainArray(all((batch) => batch.columns.bytesOut)),
    plainArray(flags.map(overageOf)),
  ]);
}

export type Grain = 'minute' | 'hour' | 'day';
export const grains: readonly Grain[] = ['minute', 'hour', 'day'];
export const grainMs: Readonly<Record<Grain, number>> = { minute: minuteMs, hour: hourMs, day: dayMs };

const upsertSql = Object.fromEntries(
  grains.map((grain) => {
    const table = `api_usage_rollups_${grain}`;
    const time = 'to_timestamp(g.bucket / 1000.0)';
    const bucket = grain === 'day' ? `(${time} AT TIME ZONE 'UTC')::date` : time;
    return [
      grain,
      `INSERT INTO ${table} AS r (${grain}, account_id, app_id, key_id, environment, route_id, api_version,
         status_code, country, calls, errors, overage_calls, latency_ms_sum, bytes_in, bytes_out, latency_sketch)
       SELECT ${bucket}, g.account_id, g.app_id, g.key_id, g.environment, g.route_id, g.api_version, g.status_code,
         g.country, g.calls, g.errors, g.overage_calls, g.latency_ms_sum, g.bytes_in, g.bytes_out,
         g.latency_sketch::integer[]
       FROM unnest($1::text::float8[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::text[],
         $6::text::text[], $7::text::text[], $8::text::smallint[], $9::text::text[], $10::text::bigint[],
         $11::text::bigint[], $12::text::bigint[], $13::text::float8[], $14::text::bigint[], $15::text::bigint[],
         $16::text::text[])
       AS g (bucket, account_id, app_id, key_id, environment, route_id, api_version, status_code, country, calls,
         errors, overage_calls, latency_ms_sum, bytes_in, bytes_out, latency_sketch)
       ON CONFLICT (app_id, ${grain}, key_id, route_id, api_version, status_code, country, environment, account_id)
       DO UPDATE SET calls = r.calls + excluded.calls, errors = r.errors + excluded.errors,
         overage_calls = r.overage_calls + excluded.overage_calls,
         latency_ms_sum = r.latency_ms_sum + excluded.latency_ms_sum,
         bytes_in = r.bytes_in + excluded.bytes_in, bytes_out = r.bytes_out + excluded.bytes_out,
         latency_sketch = usage_sketch_add(r.latency_sketch, excluded.latency_sketch)`,
    ];
  }),
) as Record<Grain, string>;

/** Adds groups to the rollups of their grain, in one order everywhere, so that consumers cannot deadlock. */
export async function addToRollups(tx: Queryable, grain: Grain, groups: Groups): Promise<void> {
  const sorted = [...groups.keys()].sort().map((name) => groups.get(name)!);
  const text = (pick: (group: UsageGroup) => string): string => textArray(sorted.map(pick));
  const plain = (pick: (group: UsageGroup) => number): string => plainArray(sorted.map(pick));
  await tx.execute(upsertSql[grain], [
    plain((group) => group.bucket),
    text((group) => group.accountId),
    text((group) => group.appId),
    text((group) => group.keyId),
    text((group) => group.environment),
    text((group) => group.routeId),
    text((group) => group.version),
    plain((group) => group.status),
    text((group) => group.country),
    plain((group) => group.calls),
    plain((group) => group.errors),
    plain((group) => group.overage),
    plain((group) => group.latencyMs),
    plain((group) => group.bytesIn),
    plain((group) => group.bytesOut),
    text((group) => pairsLiteral(group.sketch)),
  ]);
}

function pairsLiteral(sketch: ReadonlyMap<number, number>): string {
  let literal = '{';
  for (const [bin, calls] of sketch) literal += literal.length > 1 ? `,${bin},${calls}` : `${bin},${calls}`;
  return `${literal}}`;
}
