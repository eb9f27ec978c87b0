import Type, { type Static } from 'typebox';
import { environmentSchema } from './access.ts';

/** Issuers of tokens (OpenID Connect, RFC 9068) that a gateway believes. */

/** Algorithms of public keys only: a published key set holds no shared secret. */
export const tokenAlgorithms = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
  ...(['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const),
] as const;
export type TokenAlgorithm = (typeof tokenAlgorithms)[number];

const claim = Type.String({ minLength: 1, description: 'A claim, or a path of claims joined by ".".' });

export const issuerSchema = Type.Object(
  {
    issuer: Type.String({
      pattern: '^https?://[^?#\\s]+$',
      description: 'The iss of its tokens; discovery starts here.',
    }),
    jwksUri: Type.Optional(
      Type.String({ pattern: '^https?://', description: 'Its key set. Default: found by discovery.' }),
    ),
    audiences: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        minItems: 1,
        description: 'One of them has to be in aud. Default: any audience.',
      }),
    ),
    algorithms: Type.Optional(
      Type.Array(Type.Enum([...tokenAlgorithms] as unknown as [TokenAlgorithm, ...TokenAlgorithm[]]), {
        minItems: 1,
        description: 'Default: RS256, PS256, ES256 and EdDSA.',
      }),
    ),
    clockToleranceSeconds: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 600, description: 'Default: 30.' }),
    ),
    rolesClaim: Type.Optional(claim),
    scopesClaim: Type.Optional(claim),
    environment: Type.Optional(environmentSchema),
    keysMaxAgeSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        description: 'Keys are fetched again after. Default: 600.',
      }),
    ),
    keysCoolDownSeconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 3600,
        description: 'The shortest time between two fetches that unknown keys cause. Default: 15.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type IssuerSettings = Static<typeof issuerSchema>;
