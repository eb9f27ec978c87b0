import Type, { type Static } from 'typebox';
import { cacheSettingsSchema } from './cache.ts';
import { issuerSchema } from './issuers.ts';
import { limiterSettingsSchema } from './limiter-settings.ts';
import { usageSettingsSchema } from './usage-settings.ts';

/** The `gateway:` section of tollgate.yaml; everything has a default. */

const closed = { additionalProperties: false } as const;
const port = Type.Integer({ minimum: 0, maximum: 65_535 });
const duration = Type.Integer({ minimum: 1, maximum: 86_400_000 });
const listener = Type.Object(
  { host: Type.Optional(Type.String({ minLength: 1 })), port: Type.Optional(port) },
  closed,
);

/** Where proxies ask before they forward; a Unix socket stands above host and port. */
const decisionSchema = Type.Object(
  {
    host: Type.Optional(Type.String({ minLength: 1, description: 'Default: 127.0.0.1.' })),
    port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535, description: 'Default: 8082.' })),
    socket: Type.Optional(Type.String({ minLength: 1 })),
  },
  closed,
);
export type DecisionSettings = Static<typeof decisionSchema>;

export const gatewaySettingsSchema = Type.Object(
  {
    listen: Type.Optional(listener),
    tls: Type.Optional(
      Type.Object(
        {
          host: Type.Optional(Type.String({ minLength: 1 })),
          port: Type.Optional(port),
          certificate: Type.Optional(
            Type.String({ description: 'PEM file, for names that the registry has no certificate of.' }),
          ),
          key: Type.Optional(Type.String({ description: 'PEM file.' })),
        },
        closed,
      ),
    ),
    admin: Type.Optional(
      Type.Object(
        {
          host: Type.Optional(Type.String({ minLength: 1 })),
          port: Type.Optional(port),
          tls: Type.Optional(
            Type.Object(
              {
                certificate: Type.String({ description: 'PEM file.' }),
                key: Type.String({ description: 'PEM file.' }),
                clientCa: Type.Optional(
                  Type.String({ description: 'PEM file. Clients must then present a certificate of it.' }),
                ),
              },
              closed,
            ),
          ),
        },
        closed,
      ),
    ),
    decision: Type.Optional(decisionSchema),
    workers: Type.Optional(Type.Integer({ minimum: 1, maximum: 256 })),
    trustedProxies: Type.Optional(Type.Array(Type.String(), { description: 'Addresses and CIDR networks.' })),
    redisUrl: Type.Optional(
      Type.String({ pattern: '^rediss?://', description: 'Several, with commas, are nodes of a cluster.' }),
    ),
    accessLog: Type.Optional(
      Type.String({ minLength: 1, description: 'A file, "-" for standard output, or "off".' }),
    ),
    maxSignedBodyBytes: Type.Optional(Type.Integer({ minimum: 0, maximum: 1 << 30 })),
    drainTimeoutMs: Type.Optional(duration),
    maxConnections: Type.Optional(Type.Integer({ minimum: 1 })),
    maxConnectionsPerAddress: Type.Optional(Type.Integer({ minimum: 1 })),
    headTimeoutMs: Type.Optional(duration),
    bodyIdleTimeoutMs: Type.Optional(duration),
    keepAliveTimeoutMs: Type.Optional(duration),
    policies: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description: 'Files of own policies (TypeScript or JavaScript), relative to this file.',
      }),
    ),
    issuers: Type.Optional(Type.Array(issuerSchema, { description: 'Whose tokens are believed.' })),
    cache: Type.Optional(cacheSettingsSchema),
    limiter: Type.Optional(limiterSettingsSchema),
    usage: Type.Optional(usageSettingsSchema),
  },
  closed,
);
export type GatewaySettings = Static<typeof gatewaySettingsSchema>;
