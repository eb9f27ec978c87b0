import Type, { type Static } from 'typebox';

/** Response caching of one route (RFC 9111 shared cache). Present means on. */
export const cacheSchema = Type.Object(
  {
    perConsumer: Type.Optional(
      Type.Boolean({ description: 'One set of entries for each app. Default: false.' }),
    ),
    query: Type.Optional(
      Type.Union(
        [Type.Literal('all'), Type.Literal('sorted'), Type.Literal('none'), Type.Array(Type.String())],
        {
          description:
            'Which query parameters belong to the key; an array names them. Default: all, as sent.',
        },
      ),
    ),
    defaultTtlMs: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'Freshness of answers that state none. Default: heuristic only.',
      }),
    ),
    staleWhileRevalidateMs: Type.Optional(Type.Integer({ minimum: 0 })),
    staleIfErrorMs: Type.Optional(Type.Integer({ minimum: 0 })),
    maxObjectBytes: Type.Optional(Type.Integer({ minimum: 1 })),
    countQuota: Type.Optional(Type.Boolean({ description: 'Hits spend quota. Default: true.' })),
  },
  { additionalProperties: false },
);
export type CachePolicy = Static<typeof cacheSchema>;

/** `gateway.cache` of the configuration: what all cached routes share. */
export const cacheSettingsSchema = Type.Object(
  {
    maxBytes: Type.Optional(
      Type.Integer({
        minimum: 1 << 20,
        description: 'Memory for stored responses of one host. Default: 256 MiB.',
      }),
    ),
    redis: Type.Optional(
      Type.Boolean({ description: 'Share stored responses and fetching through Redis. Default: false.' }),
    ),
  },
  { additionalProperties: false },
);
export type CacheSettings = Static<typeof cacheSettingsSchema>;
