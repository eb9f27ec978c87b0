import Type, { type Static } from 'typebox';
import { pageOf } from '../http/pagination.ts';

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const kind = Type.Union([Type.Literal('api_key'), Type.Literal('bearer')]);
const environment = Type.Union([Type.Literal('test'), Type.Literal('live')]);
const addresses = Type.Object(
  {
    allow: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { maxItems: 1000 })),
    deny: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { maxItems: 1000 })),
  },
  { ...closed, description: 'CIDR blocks or addresses, IPv4 or IPv6.' },
);
const name = Type.String({ maxLength: 100, pattern: '^[^\\u0000]*$', examples: ['My Test Key'] });
const scopes = Type.Array(Type.String({ pattern: '^[!#-\\[\\]-~]{1,100}$' }), { maxItems: 100 });

export const maxLifetimeDays = 3650;
/** What a key gets when its creator does not say. */
export const defaultLifetimeDays = 90;

export const keyBody = Type.Object(
  {
    key_type: Type.Optional(
      Type.Union([Type.Literal('api_key'), Type.Literal('bearer')], {
        description: '`api_key` signs requests (default); `bearer` is itself presented.',
        examples: ['api_key'],
      }),
    ),
    kind: Type.Optional({ ...kind, description: 'Another name of `key_type`.' }),
    environment: Type.Optional({ ...environment, description: 'Default: test.', examples: ['test'] }),
    name: Type.Optional(name),
    scopes: Type.Optional(scopes),
    addresses: Type.Optional(addresses),
    version: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 64,
        pattern: '^[^\\u0000]*$',
        description: 'Pins an API version.',
      }),
    ),
    public_key: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9+/]{43}=$',
        description: 'Ed25519, base64 of 32 bytes, to verify RFC 9421 signatures.',
      }),
    ),
    expires_at: Type.Optional(nullable({ ...time, description: 'null: never.' })),
    expires_in_days: Type.Optional(
      Type.Integer({ minimum: 1, maximum: maxLifetimeDays, description: 'Default: 90.' }),
    ),
  },
  closed,
);
export type KeyBody = Static<typeof keyBody>;

export const keyReply = Type.Object({
  key_id: Type.String({ examples: ['ak_test_2mZ4yq7Tt9x0Yw3uVbNcQe'] }),
  app_id: nullable(Type.String()),
  key_type: kind,
  kind,
  environment,
  name: Type.String(),
  status: Type.Union([Type.Literal('active'), Type.Literal('expired'), Type.Literal('revoked')]),
  scopes: Type.Array(Type.String()),
  addresses: nullable(addresses),
  version: nullable(Type.String()),
  plan: nullable(Type.String()),
  public_key: nullable(Type.String()),
  expires_at: nullable(time),
  created_at: time,
  rotated_at: nullable(time),
  revoked_at: nullable(time),
  revoked_reason: nullable(Type.String()),
  last_used_at: nullable(time),
  previous_secrets: Type.Array(Type.Object({ expires_at: time }), {
    description: 'Older secrets that are still valid, and until when.',
  }),
});
export type KeyReply = Static<typeof keyReply>;

export const newKeyReply = Type.Object({
  ...keyReply.properties,
  secret: Type.String({ description: 'Shown this once.', examples: ['sk_test_…'] }),
});
export const keyList = pageOf(keyReply);
export const keyParams = Type.Object({ keyId: Type.String({ minLength: 1, maxLength: 128 }) });

export const rotateBody = Type.Object(
  {
    grace_days: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 30,
        description: 'How long the old secret stays valid. Default: 7.',
      }),
    ),
    grace_seconds: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 30 * 86_400, description: 'The same in seconds.' }),
    ),
  },
  closed,
);
export const defaultGraceSeconds = 7 * 86_400;

export const revokeBody = Type.Object(
  {
    reason: Type.Optional(
      Type.String({ maxLength: 500, pattern: '^[^\\u0000]*$', examples: ['Key compromised'] }),
    ),
  },
  closed,
);
