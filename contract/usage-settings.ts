import Type, { type Static } from 'typebox';

/** The `usage:` section of a gateway's settings; everything has a default. */
export const usageSettingsSchema = Type.Object(
  {
    transport: Type.Optional(
      Type.Union([Type.Literal('http'), Type.Literal('redis'), Type.Literal('kafka'), Type.Literal('none')], {
        description: 'Default: http where a control plane is configured, else none.',
      }),
    ),
    stream: Type.Optional(
      Type.String({ minLength: 1, description: 'Redis stream. Default: tollgate:usage.' }),
    ),
    brokers: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), { minItems: 1, description: 'Kafka, host:port.' }),
    ),
    topic: Type.Optional(Type.String({ minLength: 1, description: 'Kafka. Default: usage.api-gateway.' })),
    flushIntervalMs: Type.Optional(
      Type.Integer({
        minimum: 10,
        maximum: 60_000,
        description: 'What a killed gateway can lose. Default: 500.',
      }),
    ),
    maxSpoolBytes: Type.Optional(Type.Integer({ minimum: 1 << 20, description: 'Default: 1 GiB.' })),
    fsync: Type.Optional(
      Type.Union([Type.Literal('always'), Type.Literal('interval'), Type.Literal('never')], {
        description: 'Default: interval (each second).',
      }),
    ),
    clientAddress: Type.Optional(
      Type.Union(
        [Type.Literal('whole'), Type.Literal('truncated'), Type.Literal('hashed'), Type.Literal('none')],
        {
          description: 'What of a client address is kept. Default: truncated.',
        },
      ),
    ),
    countryHeader: Type.Optional(
      Type.String({ pattern: '^[a-z0-9-]+$', description: 'A field that a trusted proxy sets, lower case.' }),
    ),
    countryDatabase: Type.Optional(Type.String({ minLength: 1, description: 'An MMDB file.' })),
  },
  { additionalProperties: false },
);
export type UsageSettings = Static<typeof usageSettingsSchema>;
