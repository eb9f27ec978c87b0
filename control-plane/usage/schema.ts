import Type from 'typebox';
import { dimensions } from './analytics-queries.ts';

const time = Type.String({ format: 'date-time' });
const text = Type.String({ maxLength: 256, pattern: '^[^\\u0000]*$' });
const nullable = <T extends ReturnType<typeof Type.Number> | ReturnType<typeof Type.String>>(type: T) =>
  Type.Union([type, Type.Null()]);

export const appParams = Type.Object({ appId: Type.String({ minLength: 1, maxLength: 128 }) });

export const environmentFilter = Type.Optional(Type.Union([Type.Literal('test'), Type.Literal('live')]));

export const daysQuery = Type.Object({
  days: Type.Optional(Type.Integer({ minimum: 1, maximum: 1095, default: 30, description: 'With today.' })),
  environment: environmentFilter,
});

export const daysReply = Type.Array(
  Type.Object({
    day: Type.String({ examples: ['2025-01-15'], description: 'UTC.' }),
    calls: Type.Integer({ examples: [15234] }),
    errors: Type.Integer({
      examples: [45],
      description: 'Answers of 400 and above, and requests without one.',
    }),
    avg_latency_ms: Type.Number({ examples: [125.4] }),
  }),
);

const dimensionNames = Object.keys(dimensions) as (keyof typeof dimensions)[];

export const seriesQuery = Type.Object({
  interval: Type.Optional(
    Type.Union([Type.Literal('minute'), Type.Literal('hour'), Type.Literal('day')], { default: 'day' }),
  ),
  from: Type.Optional(
    Type.String({ format: 'date-time', description: 'Default: 60 minutes, 48 hours, 30 days ago.' }),
  ),
  to: Type.Optional(Type.String({ format: 'date-time', description: 'Default: now.' })),
  group_by: Type.Optional(Type.Union(dimensionNames.map((name) => Type.Literal(name)))),
  version: Type.Optional(text),
  route: Type.Optional(text),
  status: Type.Optional(Type.String({ pattern: '^[0-9]{1,3}$' })),
  country: Type.Optional(Type.String({ pattern: '^[A-Z]{2}$' })),
  key: Type.Optional(text),
  environment: environmentFilter,
  format: Type.Optional(Type.Union([Type.Literal('json'), Type.Literal('csv')], { default: 'json' })),
});

export const seriesReply = Type.Object({
  interval: Type.String(),
  from: time,
  to: time,
  group_by: nullable(Type.String()),
  data: Type.Array(
    Type.Object({
      time: Type.String({ description: 'The beginning of the bucket; a date for days.' }),
      group: Type.Optional(nullable(Type.String())),
      calls: Type.Integer(),
      errors: Type.Integer(),
      error_rate: Type.Number(),
      avg_latency_ms: Type.Number(),
      p50_ms: nullable(Type.Number()),
      p95_ms: nullable(Type.Number()),
      p99_ms: nullable(Type.Number()),
      bytes_in: Type.Integer(),
      bytes_out: Type.Integer(),
      overage_calls: Type.Integer(),
    }),
  ),
});

const period = Type.Object({
  limit: nullable(Type.Number({ description: 'Null: no quota of this period.' })),
  used: Type.Integer(),
  remaining: nullable(Type.Number()),
  overage_calls: Type.Integer({ description: 'Admitted beyond the quota.' }),
  resets_at: time,
});

export const quotaReply = Type.Array(
  Type.Object({
    key_id: Type.String(),
    environment: Type.String(),
    overage_action: Type.String(),
    today: period,
    month: period,
  }),
);

/** OpenAPI: developers and operators may call. */
export const forDevelopers: Record<string, string[]>[] = [{ developer: [] }, { operator: [] }];
