import Type, { type Static, type TSchema } from 'typebox';
import { addressRulesSchema, authenticationSchema, corsSchema, environmentSchema } from './access.ts';
import { cacheSchema } from './cache.ts';
import { limitSchema, overageSchema } from './limits.ts';
import type { Purge } from './purge.ts';
import { versionSchema } from './versions.ts';

/**
 * The registry: what a gateway knows. Objects are addressed by kind and id; each change carries the revision at
 * which the control plane numbered it.
 */

const id = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$' });
const duration = Type.Integer({ minimum: 1, maximum: 86_400_000 });
const closed = { additionalProperties: false } as const;

export const targetSchema = Type.Object(
  {
    url: Type.String({ pattern: '^https?://[^/?#\\s]+$', description: 'Origin: scheme, host and port.' }),
    weight: Type.Optional(Type.Integer({ minimum: 0, maximum: 1000 })),
  },
  closed,
);

export const serviceSchema = Type.Object(
  {
    id,
    targets: Type.Object(
      { test: Type.Optional(Type.Array(targetSchema)), live: Type.Optional(Type.Array(targetSchema)) },
      {
        ...closed,
        description: 'Targets of each environment; test keys reach test, live keys and anonymous live.',
      },
    ),
    balance: Type.Optional(Type.Union([Type.Literal('round_robin'), Type.Literal('least_pending')])),
    connectTimeoutMs: Type.Optional(duration),
    responseTimeoutMs: Type.Optional(duration),
    idleTimeoutMs: Type.Optional(duration),
    retries: Type.Optional(Type.Integer({ minimum: 0, maximum: 5 })),
    preserveHost: Type.Optional(Type.Boolean()),
    http2: Type.Optional(Type.Boolean({ description: 'Speak HTTP/2 to the targets.' })),
  },
  closed,
);

export const routeSchema = Type.Object(
  {
    id,
    service: id,
    hosts: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), { description: 'Exact or "*.example.com".' }),
    ),
    path: Type.String({ pattern: '^/', description: 'Prefix on whole segments; "/" matches all.' }),
    methods: Type.Optional(Type.Array(Type.String({ pattern: '^[A-Z][A-Z-]*$' }))),
    version: Type.Optional(Type.String()),
    stripPrefix: Type.Optional(Type.String({ pattern: '^/' })),
    environments: Type.Optional(Type.Array(environmentSchema, { minItems: 1 })),
    authentication: Type.Optional(
      Type.Union([authenticationSchema, Type.Literal('none')], { description: 'Default: any key.' }),
    ),
    addresses: Type.Optional(addressRulesSchema),
    cors: Type.Optional(corsSchema),
    limits: Type.Optional(Type.Array(limitSchema, { description: 'Beside the limits of the plan.' })),
    applyPlan: Type.Optional(Type.Boolean({ description: 'Plan limits apply. Default: true.' })),
    cost: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
    cache: Type.Optional(cacheSchema),
    maxBodyBytes: Type.Optional(Type.Integer({ minimum: 0 })),
    totalTimeoutMs: Type.Optional(duration),
    policies: Type.Optional(
      Type.Array(
        Type.Object({ name: Type.String({ minLength: 1 }), config: Type.Optional(Type.Unknown()) }, closed),
      ),
    ),
  },
  closed,
);

export const planSchema = Type.Object({ id, limits: Type.Array(limitSchema) }, closed);

export const appSchema = Type.Object(
  {
    id,
    account: id,
    name: Type.String(),
    plan: Type.Optional(id),
    version: Type.Optional(Type.String({ description: 'The version requests of this app are pinned to.' })),
  },
  closed,
);

/** A data key that encrypts secrets, itself wrapped by the key provider `provider`. */
export const dataKeySchema = Type.Object({ id, provider: Type.String(), wrapped: Type.String() }, closed);

/**
 * One secret of a key. `bearer` keys carry `sha256` (hex) only; `api_key` keys carry `box`: base64 of
 * nonce (12) ‖ AES-256-GCM ciphertext ‖ tag (16) under `dataKey`, with the `key_id` as additional data.
 */
export const secretSchema = Type.Object(
  {
    sha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
    dataKey: Type.Optional(id),
    box: Type.Optional(Type.String()),
    expiresAt: Type.Optional(Type.Integer({ description: 'Milliseconds since the epoch.' })),
  },
  closed,
);

export const keySchema = Type.Object(
  {
    id,
    kind: Type.Union([Type.Literal('api_key'), Type.Literal('bearer')]),
    environment: environmentSchema,
    app: Type.Optional(id),
    account: Type.Optional(id),
    status: Type.Union([Type.Literal('active'), Type.Literal('revoked')]),
    secrets: Type.Array(secretSchema, { description: 'Newest first; older ones until their grace ends.' }),
    publicKey: Type.Optional(Type.String({ description: 'Ed25519, base64 of the 32 raw bytes (RFC 9421).' })),
    expiresAt: Type.Optional(Type.Integer({ description: 'Milliseconds since the epoch.' })),
    scopes: Type.Optional(Type.Array(Type.String())),
    addresses: Type.Optional(addressRulesSchema),
    version: Type.Optional(Type.String()),
    plan: Type.Optional(id),
    quota: Type.Optional(
      Type.Object(
        {
          burst: Type.Optional(Type.Integer({ minimum: 1 })),
          sustainedPerMinute: Type.Optional(Type.Integer({ minimum: 1 })),
          daily: Type.Optional(Type.Integer({ minimum: 1 })),
          overage: Type.Optional(overageSchema),
        },
        { ...closed, description: 'Overrides the bucket and the daily quota of the plan (api_key_quotas).' },
      ),
    ),
  },
  closed,
);

/**
 * A TLS certificate that gateways choose by server name. `box` is its private key (PEM) sealed under `dataKey` as a
 * secret is, with the id of the certificate in the place of the key id.
 */
export const certificateSchema = Type.Object(
  {
    id,
    names: Type.Array(Type.String({ minLength: 1 }), {
      minItems: 1,
      description: 'Lower case; exact or "*.example.com", which stands for one label.',
    }),
    chain: Type.String({ description: 'PEM, leaf first.' }),
    dataKey: id,
    box: Type.String(),
  },
  closed,
);

export const objectSchemas = {
  service: serviceSchema,
  route: routeSchema,
  version: versionSchema,
  plan: planSchema,
  app: appSchema,
  data_key: dataKeySchema,
  key: keySchema,
  certificate: certificateSchema,
} satisfies Record<string, TSchema>;

export type Target = Static<typeof targetSchema>;
export type Service = Static<typeof serviceSchema>;
export type Route = Static<typeof routeSchema>;
export type Plan = Static<typeof planSchema>;
export type App = Static<typeof appSchema>;
export type DataKey = Static<typeof dataKeySchema>;
export type Secret = Static<typeof secretSchema>;
export type Key = Static<typeof keySchema>;
export type Certificate = Static<typeof certificateSchema>;
export type { Version } from './versions.ts';

export interface ObjectsByKind {
  service: Service;
  route: Route;
  version: Static<typeof versionSchema>;
  plan: Plan;
  app: App;
  data_key: DataKey;
  key: Key;
  certificate: Certificate;
}
export type ObjectKind = keyof ObjectsByKind;
export const objectKinds = Object.keys(objectSchemas) as ObjectKind[];

/** One object set (`object` present) or removed (`object: null`). */
export type Change = {
  [K in ObjectKind]: { readonly kind: K; readonly id: string; readonly object: ObjectsByKind[K] | null };
}[ObjectKind];

/** All changes of one revision, to be applied together. */
export interface Delta {
  readonly revision: number;
  readonly changes: readonly Change[];
}

/** The whole registry at one revision; every change sets an object. */
export type Snapshot = Delta;

/**
 * A line of the registry stream (`GET /registry/v1/stream?from=REVISION`, application/x-ndjson).
 * A snapshot is sent as `snapshot`, then `change` lines, then `snapshot_end` with their number; afterwards deltas.
 * `ping` comes every few seconds. `purge` comes when an operator purges; on a new connection those of the last day come
 * again, and a gateway does each once.
 */
export type StreamLine =
  | { readonly type: 'snapshot'; readonly revision: number }
  | ({ readonly type: 'change' } & Change)
  | { readonly type: 'snapshot_end'; readonly revision: number; readonly count: number }
  | { readonly type: 'delta'; readonly revision: number; readonly changes: readonly Change[] }
  | { readonly type: 'purge'; readonly id: number; readonly purge: Purge }
  | { readonly type: 'ping'; readonly revision: number };

/** Body of `POST /registry/v1/ack`. */
export interface Acknowledgement {
  readonly gateway: string;
  readonly revision: number;
  readonly version: string;
}
