import Type, { type Static } from 'typebox';

/**
 * Kinds of limit. Any number of them apply to a request together, all or nothing: a request that one refuses
 * spends nothing of the others.
 */

const scope = Type.Optional(
  Type.Union(
    ['key', 'app', 'account', 'route', 'ip', 'subject'].map((name) => Type.Literal(name)) as [
      ReturnType<typeof Type.Literal<'key'>>,
      ReturnType<typeof Type.Literal<'app'>>,
      ReturnType<typeof Type.Literal<'account'>>,
      ReturnType<typeof Type.Literal<'route'>>,
      ReturnType<typeof Type.Literal<'ip'>>,
      ReturnType<typeof Type.Literal<'subject'>>,
    ],
    { description: 'What is counted: one counter for each value of it. Default: key.' },
  ),
);
const name = Type.String({
  pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$',
  description: 'Shown in RateLimit-Policy.',
});
const shadow = Type.Optional(Type.Boolean({ description: 'Decide and report, never refuse.' }));
const count = Type.Integer({ minimum: 1, maximum: 1e12 });

export const tokenBucketSchema = Type.Object(
  {
    kind: Type.Literal('token_bucket'),
    name,
    scope,
    shadow,
    capacity: Type.Integer({ minimum: 1, maximum: 1e9, description: 'Burst: tokens in a full bucket.' }),
    refill: Type.Integer({
      minimum: 1,
      maximum: 1e9,
      description: 'Tokens added per interval, continuously.',
    }),
    intervalMs: Type.Integer({ minimum: 1, maximum: 86_400_000 }),
  },
  { additionalProperties: false },
);
export const slidingWindowSchema = Type.Object(
  {
    kind: Type.Literal('sliding_window'),
    name,
    scope,
    shadow,
    limit: Type.Integer({ minimum: 1, maximum: 1e9 }),
    windowMs: Type.Integer({ minimum: 1, maximum: 86_400_000 }),
  },
  { additionalProperties: false },
);
export const overageSchema = Type.Union([
  Type.Literal('block'),
  Type.Literal('warn'),
  Type.Literal('charge'),
]);
export const quotaSchema = Type.Object(
  {
    kind: Type.Literal('quota'),
    name,
    scope,
    shadow,
    limit: count,
    period: Type.Union([Type.Literal('day'), Type.Literal('month')], { description: 'UTC.' }),
    overage: Type.Optional(overageSchema),
  },
  { additionalProperties: false },
);
export const concurrencySchema = Type.Object(
  {
    kind: Type.Literal('concurrency'),
    name,
    scope,
    shadow,
    limit: Type.Integer({ minimum: 1, maximum: 1e6 }),
  },
  { additionalProperties: false },
);
export const limitSchema = Type.Union([
  tokenBucketSchema,
  slidingWindowSchema,
  quotaSchema,
  concurrencySchema,
]);

export type TokenBucket = Static<typeof tokenBucketSchema>;
export type SlidingWindow = Static<typeof slidingWindowSchema>;
export type Quota = Static<typeof quotaSchema>;
export type Concurrency = Static<typeof concurrencySchema>;
export type Limit = Static<typeof limitSchema>;
export type LimitScope = NonNullable<Limit['scope']>;
export type Overage = Static<typeof overageSchema>;

/** A quota has reached a share of its limit; told once in its period, the highest when it passes several at once. */
export interface ThresholdEvent {
  /** The value of the scope, for example the key id. */
  readonly subject: string;
  readonly scope: LimitScope;
  readonly policy: string;
  readonly period: Quota['period'];
  readonly limit: number;
  readonly percent: 80 | 90 | 100;
  /** Milliseconds since the epoch. */
  readonly reachedAt: number;
}

/** The plan of a key that names none: burst 600, 100 a minute sustained, 1,000,000 a UTC day. */
export const defaultPlanId = 'default';
export const defaultLimits: readonly Limit[] = [
  { kind: 'token_bucket', name: 'burst', capacity: 600, refill: 100, intervalMs: 60_000 },
  { kind: 'quota', name: 'daily', limit: 1_000_000, period: 'day', overage: 'block' },
];
