import Type, { type Static } from 'typebox';

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time', examples: ['2026-02-07T10:30:00Z'] });
const nullable = <T extends ReturnType<typeof Type.String>>(schema: T) => Type.Union([schema, Type.Null()]);
const visibleText = (maxLength: number) =>
  Type.String({ maxLength, pattern: '^[^\\u0000-\\u001f\\u007f]*$' });

export const status = Type.Union([
  Type.Literal('pending'),
  Type.Literal('provisioning'),
  Type.Literal('activated'),
  Type.Literal('completed'),
  Type.Literal('failed'),
]);

export const registerBody = Type.Object(
  {
    app_name: Type.String({
      minLength: 1,
      maxLength: 100,
      pattern: '^[^\\u0000-\\u001f\\u007f]*[^\\s\\u0000-\\u001f\\u007f][^\\u0000-\\u001f\\u007f]*$',
    }),
  },
  closed,
);
export const registerReply = Type.Object({
  success: Type.Literal(true),
  app_id: Type.String(),
  app_name: Type.String(),
  master_key: Type.String({ description: 'Shown this once.', examples: ['mk_…'] }),
});

export const startBody = Type.Object(
  {
    email: Type.String({
      maxLength: 254,
      pattern: '^[^@\\s\\u0000-\\u001f]{1,64}@[^@\\s\\u0000-\\u001f.][^@\\s\\u0000-\\u001f]*$',
      examples: ['admin@example.com'],
    }),
    organization_name: Type.Optional(nullable(visibleText(200))),
    custom_domain: Type.Optional(
      Type.String({
        maxLength: 253,
        pattern: '^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])$',
        description:
          'Another name for the tenant, lower case. It needs a CNAME to the full domain, and one of its `_acme-challenge` to NAME._challenges.BASE.',
      }),
    ),
  },
  closed,
);
export const startReply = Type.Object({
  success: Type.Literal(true),
  uuid: Type.String({ format: 'uuid' }),
  subdomain: Type.String(),
  full_domain: Type.String(),
  url: Type.String(),
  email: Type.String(),
  organization_name: Type.String(),
  onboarding_status: status,
  custom_domain: Type.Optional(Type.String()),
});

export const provisionBody = Type.Object(
  {
    uuid: Type.String({ pattern: '^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' }),
    generate_api_key: Type.Optional(Type.Boolean()),
  },
  closed,
);
const metadata = {
  created_at: time,
  updated_at: time,
  dns_configured: Type.Boolean(),
  ssl_configured: Type.Boolean(),
  infrastructure_status: Type.Union([
    Type.Literal('pending'),
    Type.Literal('provisioning'),
    Type.Literal('ready'),
    Type.Literal('failed'),
  ]),
  api_key_generated: Type.Boolean(),
  provisioning_attempts: Type.Integer(),
};
export const provisionReply = Type.Object({
  success: Type.Literal(true),
  uuid: Type.String({ format: 'uuid' }),
  subdomain: Type.String(),
  email: Type.String(),
  organization_name: Type.String(),
  onboarding_status: status,
  api_key: nullable(Type.String()),
  api_secret: nullable(Type.String()),
  metadata: Type.Object({ ...metadata, is_idempotent: Type.Boolean() }),
});
export const statusReply = Type.Object({
  ...startReply.properties,
  failure_reason: nullable(Type.String()),
  completed_at: nullable(time),
  metadata: Type.Object(metadata),
});

export const completeBody = Type.Object(
  {
    tenant_id: Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000-\\u001f\\u007f]+$' }),
    metadata: Type.Optional(
      Type.Record(Type.String({ maxLength: 100 }), Type.Unknown(), { maxProperties: 50 }),
    ),
  },
  closed,
);
export const completeReply = Type.Object({
  success: Type.Literal(true),
  message: Type.String(),
  uuid: Type.String({ format: 'uuid' }),
  onboarding_status: status,
  completed_at: time,
});
export const deleteReply = Type.Object({
  success: Type.Literal(true),
  message: Type.String(),
  uuid: Type.String({ format: 'uuid' }),
});
export const uuidParams = Type.Object({ uuid: Type.String({ maxLength: 64 }) });

export type ProvisionReply = Static<typeof provisionReply>;
export type StatusReply = Static<typeof statusReply>;
export type StartReply = Static<typeof startReply>;
