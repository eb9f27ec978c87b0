import Type from 'typebox';

const closed = { additionalProperties: false } as const;
const revision = (description: string) =>
  Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, examples: [42], description });
const time = Type.String({ format: 'date-time' });

export const streamQuery = Type.Object({
  from: Type.Optional(revision('The revision the gateway has; absent: all is sent.')),
  gateway: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 128,
      pattern: '^[^\\u0000]*$',
      description: 'Keeps the gateway listed as seen while it follows.',
    }),
  ),
});

export const acknowledgementSchema = Type.Object(
  {
    gateway: Type.String({ minLength: 1, maxLength: 128, pattern: '^[^\\u0000]*$', examples: ['gw-1'] }),
    revision: revision('What the gateway has applied.'),
    version: Type.String({ maxLength: 64, pattern: '^[^\\u0000]*$', examples: ['0.1.0'] }),
  },
  closed,
);

export const gatewayListSchema = Type.Object({
  revision: Type.Integer({ description: 'The head of the registry.' }),
  data: Type.Array(
    Type.Object({
      id: Type.String(),
      version: Type.String(),
      revision: Type.Integer({ description: 'The last revision it acknowledged.' }),
      lag: Type.Integer({ description: 'Revisions between the head and the acknowledged one.' }),
      address: Type.Union([Type.String(), Type.Null()]),
      first_seen_at: time,
      last_seen_at: time,
      stale: Type.Boolean({ description: 'Not seen for 30 seconds.' }),
    }),
  ),
});
