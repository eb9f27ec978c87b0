import Type, { type Static } from 'typebox';
import type { Environment } from './keys.ts';

/** How a route identifies its callers and whom it lets in. */

export const environmentSchema = Type.Union([Type.Literal('test'), Type.Literal('live')]);

/**
 * Ways to authenticate: `hmac` is `X-API-Key: <key_id>:<hex HMAC-SHA256(secret, body)>`, `bearer` a secret itself,
 * `signature` RFC 9421, `jwt` a token of a configured issuer.
 */
export const credentialSchema = Type.Union([
  Type.Literal('hmac'),
  Type.Literal('bearer'),
  Type.Literal('signature'),
  Type.Literal('jwt'),
]);

export const authenticationSchema = Type.Object(
  {
    accept: Type.Optional(
      Type.Array(credentialSchema, { description: 'Default: hmac, bearer and signature.' }),
    ),
    optional: Type.Optional(Type.Boolean({ description: 'Requests without credentials pass as anonymous.' })),
    require: Type.Optional(
      Type.Union([Type.Literal('any'), Type.Literal('key_and_jwt')], { description: 'Default: any.' }),
    ),
    scopes: Type.Optional(Type.Array(Type.String({ minLength: 1 }))),
    scopesMatch: Type.Optional(Type.Union([Type.Literal('all'), Type.Literal('any')])),
    roles: Type.Optional(Type.Array(Type.String({ minLength: 1 }))),
    rolesMatch: Type.Optional(Type.Union([Type.Literal('all'), Type.Literal('any')])),
    issuers: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        minItems: 1,
        description: 'Whose tokens count here. Default: those of all configured issuers.',
      }),
    ),
    audiences: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        minItems: 1,
        description: 'One of them has to be in the aud of a token.',
      }),
    ),
    maxFailuresPerMinute: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000,
        description: 'Failed attempts of one address (IPv6: of one /64) before it is refused for the minute.',
      }),
    ),
    maxSignedBodyBytes: Type.Optional(Type.Integer({ minimum: 0, maximum: 1 << 30 })),
  },
  { additionalProperties: false },
);

const octet = '(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])';
const network = Type.String({
  pattern: `^(?:${octet}(?:\\.${octet}){3}(?:/(?:3[0-2]|[12]?[0-9]))?|(?=.*:)[0-9A-Fa-f:.]{2,45}(?:/(?:12[0-8]|1[01][0-9]|[1-9]?[0-9]))?)$`,
  description: 'An address or a CIDR network, IPv4 or IPv6.',
});
export const addressRulesSchema = Type.Object(
  {
    allow: Type.Optional(Type.Array(network, { description: 'Default: any.' })),
    deny: Type.Optional(Type.Array(network, { description: 'Stands above allow.' })),
  },
  { additionalProperties: false },
);

export const corsSchema = Type.Object(
  {
    origins: Type.Array(Type.String({ minLength: 1 }), { description: 'Exact origins, or "*" alone.' }),
    methods: Type.Optional(Type.Array(Type.String({ minLength: 1 }))),
    headers: Type.Optional(Type.Array(Type.String({ minLength: 1 }))),
    exposeHeaders: Type.Optional(Type.Array(Type.String({ minLength: 1 }))),
    credentials: Type.Optional(Type.Boolean()),
    maxAgeSeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400 })),
  },
  { additionalProperties: false },
);

export type Credential = Static<typeof credentialSchema>;
export type Authentication = Static<typeof authenticationSchema>;
export type AddressRules = Static<typeof addressRulesSchema>;
export type Cors = Static<typeof corsSchema>;

/** Who is calling, once a request is authenticated. Absent members are null. */
export interface Consumer {
  readonly keyId: string | null;
  readonly appId: string | null;
  readonly accountId: string | null;
  readonly environment: Environment | null;
  /** `sub` of the JWT. */
  readonly subject: string | null;
  readonly scopes: readonly string[];
  readonly roles: readonly string[];
}
