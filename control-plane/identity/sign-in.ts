import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { Feature } from '../context.ts';
import { makeCookie, readCookie } from '../http/cookies.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { notFound, ProblemError } from '../http/problem.ts';
import type { Caller } from './caller.ts';
import { OidcProvider, type ProviderIdentity, type SignInState } from './oidc.ts';
import { wantedAccount } from './routes.ts';
import {
  checkForgery,
  endSessions,
  findSession,
  listSessions,
  type SessionRow,
  startSession,
} from './sessions.ts';
import { resolveDeveloper } from './users.ts';

const sessionSeconds = 12 * 3600;
const signInSeconds = 600;

const sessionEntry = Type.Object({
  session_id: Type.String(),
  current: Type.Boolean(),
  user_agent: Type.Union([Type.String(), Type.Null()]),
  created_at: Type.String({ format: 'date-time' }),
  last_seen_at: Type.String({ format: 'date-time' }),
  expires_at: Type.String({ format: 'date-time' }),
});

/**
 * Signing in at the organisation's identity provider: the console by session, the API by the provider's tokens. Absent
 * without OAUTH_PROVIDER_URL.
 */
export const signIn: Feature = (app, context) => {
  const { config, db, audit, auth, secrets } = context;
  if (config.oidc === null) return;
  const provider = new OidcProvider(config.oidc);
  const secure = (): boolean => context.url().startsWith('https:');
  const sessionCookie = (): string => (secure() ? '__Host-tollgate_session' : 'tollgate_session');
  const signInCookie = (): string => (secure() ? '__Host-tollgate_sign_in' : 'tollgate_sign_in');
  const callbackUrl = (): string => `${context.url()}/auth/callback`;

  async function callerOf(identity: ProviderIdentity, request: FastifyRequest): Promise<Caller> {
    if (identity.administrator) return { kind: 'operator', actor: identity.email ?? identity.subject };
    return await resolveDeveloper(db, audit, identity, wantedAccount(request.query));
  }

  auth.addTokens(async (token, request) => {
    const identity = await provider.verifyToken(token);
    return identity && (await callerOf(identity, request));
  });

  async function sessionOf(request: FastifyRequest): Promise<SessionRow | null> {
    const token = readCookie(request.headers.cookie, sessionCookie());
    return token === null ? null : await findSession(db, token);
  }

  auth.addRequests(async (request) => {
    const session = await sessionOf(request);
    if (!session) return null;
    checkForgery(request, session);
    return await callerOf(identityOf(session), request);
  });

  async function requireSession(request: FastifyRequest): Promise<SessionRow> {
    const session = await sessionOf(request);
    if (!session) throw new ProblemError('credentials_invalid');
    checkForgery(request, session);
    return session;
  }

  function setCookie(reply: FastifyReply, name: string, value: string, maxAgeSeconds: number): void {
    void reply.header('set-cookie', makeCookie(name, value, { secure: secure(), path: '/', maxAgeSeconds }));
  }

  app.get(
    '/auth/sign-in',
    {
      schema: {
        operationId: 'signIn',
        tags: ['identity'],
        summary: 'Send the browser to the identity provider',
        querystring: Type.Object({
          return_to: Type.Optional(
            Type.String({ maxLength: 1000, description: 'A path of this site. Default: /console/.' }),
          ),
        }),
        response: {
          302: Type.Null({ description: 'To the identity provider.' }),
          ...problemReplies('invalid_parameter', 'unavailable'),
        },
      },
    },
    async (request, reply) => {
      const returnTo = request.query.return_to ?? '/console/';
      if (!/^\/(?![/\\])[!-[\]-~]*$/.test(returnTo)) {
        throw new ProblemError('invalid_parameter', 'return_to must be a path of this site.');
      }
      const { url, state } = await provider.beginSignIn(callbackUrl(), returnTo);
      const { dataKey, box } = await secrets.seal('sign-in', JSON.stringify(state));
      setCookie(
        reply,
        signInCookie(),
        `${dataKey}.${Buffer.from(box, 'base64').toString('base64url')}`,
        signInSeconds,
      );
      return reply.code(302).header('location', url).header('cache-control', 'no-store').send(null);
    },
  );

  app.get('/auth/callback', { schema: { hide: true } }, async (request, reply) => {
    const state = await readState(readCookie(request.headers.cookie, signInCookie()));
    setCookie(reply, signInCookie(), '', 0);
    if (!state) throw new ProblemError('credentials_invalid', 'The sign-in has expired; begin again.');
    const identity = await provider.finishSignIn(new URL(request.url, callbackUrl()), state);
    await callerOf(identity, request);
    const token = await startSession(db, identity, request.headers['user-agent'] ?? null);
    setCookie(reply, sessionCookie(), token, sessionSeconds);
    return reply.code(302).header('location', state.returnTo).header('cache-control', 'no-store').send(null);
  });

  async function readState(cookie: string | null): Promise<SignInState | null> {
    const [dataKey, box] = cookie?.split('.') ?? [];
    if (!dataKey || !box) return null;
    const text = await secrets.open('sign-in', dataKey, Buffer.from(box, 'base64url').toString('base64'));
    return text === null ? null : (JSON.parse(text) as SignInState);
  }

  app.get(
    '/auth/session',
    {
      schema: {
        operationId: 'getSession',
        tags: ['identity'],
        summary: 'Who is signed in, and the token that requests of the session carry in X-CSRF-Token',
        security: callers.session,
        response: {
          200: Type.Object({
            email: Type.Union([Type.String(), Type.Null()]),
            name: Type.Union([Type.String(), Type.Null()]),
            administrator: Type.Boolean(),
            csrf_token: Type.String(),
            expires_at: Type.String({ format: 'date-time' }),
          }),
          ...problemReplies('credentials_invalid'),
        },
      },
    },
    async (request, reply) => {
      const session = await requireSession(request);
      void reply.header('cache-control', 'no-store');
      return {
        email: session.email,
        name: session.name,
        administrator: session.administrator,
        csrf_token: session.csrf_token,
        expires_at: session.expires_at.toISOString(),
      };
    },
  );

  app.get(
    '/auth/sessions',
    {
      schema: {
        operationId: 'listSessions',
        tags: ['identity'],
        summary: 'List the sessions of who is signed in',
        security: callers.session,
        response: {
          200: Type.Object({ data: Type.Array(sessionEntry) }),
          ...problemReplies('credentials_invalid'),
        },
      },
    },
    async (request) => {
      const session = await requireSession(request);
      const all = await listSessions(db, session.issuer, session.subject);
      return {
        data: all.map((row) => ({
          session_id: row.id,
          current: row.id === session.id,
          user_agent: row.user_agent,
          created_at: row.created_at.toISOString(),
          last_seen_at: row.last_seen_at.toISOString(),
          expires_at: row.expires_at.toISOString(),
        })),
      };
    },
  );

  app.delete(
    '/auth/sessions/:sessionId',
    {
      schema: {
        operationId: 'endSession',
        tags: ['identity'],
        summary: 'End one of the sessions of who is signed in',
        security: callers.session,
        params: Type.Object({ sessionId: Type.String({ maxLength: 64 }) }),
        response: {
          204: Type.Null({ description: 'Ended.' }),
          ...problemReplies('credentials_invalid', 'forbidden', 'not_found'),
        },
      },
    },
    async (request, reply) => {
      const { issuer, subject } = await requireSession(request);
      const ended = await endSessions(db, { issuer, subject, id: request.params.sessionId });
      if (ended === 0) throw notFound('session');
      return reply.code(204).send(null);
    },
  );

  app.post(
    '/auth/sign-out',
    {
      schema: {
        operationId: 'signOut',
        tags: ['identity'],
        summary: 'End the session; the reply says where to end that of the provider',
        security: callers.session,
        response: {
          200: Type.Object({ end_session_url: Type.Union([Type.String(), Type.Null()]) }),
          ...problemReplies('credentials_invalid', 'forbidden'),
        },
      },
    },
    async (request, reply) => {
      const { issuer, id } = await requireSession(request);
      await endSessions(db, { issuer, id });
      setCookie(reply, sessionCookie(), '', 0);
      return { end_session_url: await provider.endSessionUrl(`${context.url()}/console/`).catch(() => null) };
    },
  );

  // In a scope of its own: no other endpoint takes forms.
  void app.register(async (scope) => {
    scope.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string' },
      (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(body as string))),
    );
    scope.post('/auth/backchannel-logout', { schema: { hide: true } }, async (request, reply) => {
      const token = (request.body as { logout_token?: unknown } | undefined)?.logout_token;
      const ended = typeof token === 'string' ? await provider.verifyLogoutToken(token) : null;
      if (!ended) throw new ProblemError('invalid_parameter', 'The logout token is not valid.');
      await endSessions(db, ended);
      return reply.code(200).header('cache-control', 'no-store').send(null);
    });
  });
};

function identityOf(session: SessionRow): ProviderIdentity {
  return {
    issuer: session.issuer,
    subject: session.subject,
    email: session.email,
    emailVerified: session.email_verified,
    name: session.name,
    administrator: session.administrator,
    sessionId: null,
  };
}
