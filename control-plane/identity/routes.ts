import Type from 'typebox';
import { originOf } from '../audit/record.ts';
import type { Feature } from '../context.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { mintId } from '../identifiers.ts';
import { DevIssuer, devIssuerName } from './dev-issuer.ts';
import { ensureAccount, resolveDeveloper } from './users.ts';

const maxLifetimeSeconds = 30 * 86_400;
const defaultLifetimeSeconds = 12 * 3600;

/** The built-in issuer of developer tokens; only where the control plane is embedded and has no public address. */
export const devIssuer: Feature = async (app, context) => {
  const { config, db, audit, auth } = context;
  if (!config.embedded || config.publicUrl !== null || config.dataDir === null) return;
  const issuer = await DevIssuer.open(config.dataDir, context.url);

  auth.addTokens(async (token, request) => {
    const identity = await issuer.verify(token);
    return identity && (await resolveDeveloper(db, audit, identity, wantedAccount(request.query)));
  });

  app.get('/.well-known/openid-configuration', { schema: { hide: true } }, () => issuer.metadata());
  app.get('/oauth/jwks', { schema: { hide: true } }, () => issuer.jwks());

  app.post(
    '/admin/v1/dev-tokens',
    {
      onRequest: auth.operator,
      schema: {
        operationId: 'mintDevToken',
        tags: ['operator'],
        security: callers.operator,
        summary: 'Mint a developer token, in the embedded mode only',
        body: Type.Object(
          {
            account: Type.String({
              maxLength: 254,
              pattern: '^[^@\\s\\u0000]+@[^@\\s\\u0000]+$',
              description: 'E-mail address; the account is made when there is none.',
              examples: ['dev@example.com'],
            }),
            lifetime_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: maxLifetimeSeconds })),
            audience: Type.Optional(
              Type.String({
                minLength: 1,
                maxLength: 200,
                description: 'For a token that a gateway route takes.',
              }),
            ),
            scope: Type.Optional(Type.String({ maxLength: 1000 })),
            roles: Type.Optional(Type.Array(Type.String({ maxLength: 100 }), { maxItems: 50 })),
          },
          { additionalProperties: false },
        ),
        response: {
          201: Type.Object({
            token: Type.String(),
            token_type: Type.Literal('Bearer'),
            expires_in: Type.Integer(),
            account_id: Type.String(),
            issuer: Type.String(),
          }),
          ...problemReplies('credentials_invalid', 'forbidden', 'validation_failed'),
        },
      },
    },
    async (request, reply) => {
      const { account: email, lifetime_seconds: lifetimeSeconds = defaultLifetimeSeconds } = request.body;
      const { audience, scope, roles } = request.body;
      const { accountId, subject } = await db.transaction(async (tx) => {
        const account = await ensureAccount(tx, email);
        const [user] = await tx.query<{ id: string; subject: string }>(
          `INSERT INTO dev_users (id, issuer, subject, email) VALUES ($1, $2, $3, $4)
           ON CONFLICT (issuer, subject) DO UPDATE SET last_seen_at = now() RETURNING id, subject`,
          [mintId('usr'), devIssuerName, `dev:${email.toLowerCase()}`, email],
        );
        await tx.execute(
          `INSERT INTO dev_account_members (account_id, user_id, role) VALUES ($1, $2, 'owner')
           ON CONFLICT DO NOTHING`,
          [account.id, user!.id],
        );
        await audit.record(tx, originOf(request), {
          action: 'token.mint',
          accountId: account.id,
          target: { account_id: account.id, user_id: user!.id },
          after: { lifetime_seconds: lifetimeSeconds },
        });
        return { accountId: account.id, subject: user!.subject };
      });
      const token = await issuer.mint({
        subject,
        email,
        lifetimeSeconds,
        ...(audience ? { audience } : {}),
        ...(scope ? { scope } : {}),
        ...(roles ? { roles } : {}),
      });
      void reply.code(201).header('cache-control', 'no-store');
      return {
        token,
        token_type: 'Bearer' as const,
        expires_in: lifetimeSeconds,
        account_id: accountId,
        issuer: issuer.issuer,
      };
    },
  );
};

/** The `account` parameter of a request, by which a developer picks one of several accounts. */
export function wantedAccount(query: unknown): string | null {
  const wanted = (query as { account?: unknown } | null)?.account;
  return typeof wanted === 'string' && wanted !== '' && !wanted.includes('\0') ? wanted : null;
}
