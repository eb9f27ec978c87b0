import Type, { type Static } from 'typebox';

/** The `limiter:` section of a gateway's settings: where limits are counted. Everything has a default. */
export const limiterSettingsSchema = Type.Object(
  {
    mode: Type.Optional(
      Type.Union([Type.Literal('local'), Type.Literal('leased'), Type.Literal('exact')], {
        description: 'Default: leased where redisUrl is set, else local (exact on this host alone).',
      }),
    ),
    whenRedisIsAway: Type.Optional(
      Type.Union([Type.Literal('local'), Type.Literal('open'), Type.Literal('closed')], {
        description: 'Enforce a share of each limit, admit, or refuse (503). Default: local.',
      }),
    ),
    budgetMs: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 10_000, description: 'What a decision may wait. Default: 25.' }),
    ),
    leaseMs: Type.Optional(
      Type.Integer({
        minimum: 500,
        maximum: 60_000,
        description: 'How long a lease is good. Default: 5000.',
      }),
    ),
    maxCounters: Type.Optional(
      Type.Integer({
        minimum: 100,
        maximum: 100_000_000,
        description: 'Held in memory. Default: 2,000,000.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type LimiterSettings = Static<typeof limiterSettingsSchema>;
