import Type from 'typebox';
import type { Environment } from '#contract/keys.ts';
import { isGranted } from '../access/queries.ts';
import { findApp } from '../apps/queries.ts';
import { checkReferences } from '../apps/rules.ts';
import { originOf } from '../audit/record.ts';
import type { Feature } from '../context.ts';
import { sendTagged } from '../http/entity-tag.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { makePage, pageQuery, parseCursor } from '../http/pagination.ts';
import { invalid, notFound, ProblemError } from '../http/problem.ts';
import { requireRole, visibleAccount } from '../identity/caller.ts';
import { createKey, revokeKey, rotateKey } from './operations.ts';
import { findKey, listKeys } from './queries.ts';
import { checkAddresses, lifetimeOf, presentKey } from './rules.ts';
import {
  defaultGraceSeconds,
  keyBody,
  keyList,
  keyParams,
  keyReply,
  newKeyReply,
  revokeBody,
  rotateBody,
} from './schema.ts';

const appParams = Type.Object({ appId: Type.String({ minLength: 1, maxLength: 128 }) });

/** The developer's keys. `:keyId` is the `key_id`. */
export const keys: Feature = (app, context) => {
  const { db, auth } = context;
  const security = callers.developer;
  const tags = ['developer'];

  async function requireEnvironment(appId: string, environment: Environment): Promise<void> {
    if (await isGranted(db, appId, environment)) return;
    throw new ProblemError(
      'forbidden',
      `The app has no access to ${environment}; ask for it in an access request.`,
    );
  }

  app.post(
    '/api/dev/apps/:appId/keys',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'createKey',
        tags,
        security,
        summary: 'Create a key',
        description: 'The secret is in this reply and never shown again.',
        params: appParams,
        body: keyBody,
        response: {
          201: newKeyReply,
          ...problemReplies('credentials_invalid', 'forbidden', 'not_found', 'validation_failed'),
        },
      },
    },
    async (request, reply) => {
      requireRole(request, 'developer');
      const body = request.body;
      const lifetime = lifetimeOf(body, context.now());
      const errors = [...checkAddresses(body.addresses), ...(Array.isArray(lifetime) ? lifetime : [])];
      if (body.kind !== undefined && body.key_type !== undefined && body.kind !== body.key_type) {
        errors.push({ pointer: '/kind', detail: 'contradicts "key_type"' });
      }
      if (errors.length > 0 || Array.isArray(lifetime)) throw invalid(errors);
      await checkReferences(db, { version: body.version });
      const environment = body.environment ?? 'test';
      if (request.caller?.kind === 'developer') {
        const found = await findApp(db, request.params.appId, visibleAccount(request));
        if (!found) throw notFound('app');
        await requireEnvironment(found.id, environment);
      }
      const issued = await createKey(context, originOf(request), visibleAccount(request), {
        app_id: request.params.appId,
        kind: body.key_type ?? body.kind ?? 'api_key',
        environment,
        name: body.name ?? '',
        scopes: body.scopes ?? null,
        addresses: body.addresses ?? null,
        api_version: body.version ?? null,
        public_key: body.public_key ?? null,
        lifetime_days: lifetime.lifetimeDays,
        expires_at: lifetime.expiresAt,
      });
      void reply
        .code(201)
        .header('cache-control', 'no-store')
        .header('location', `/api/dev/keys/${issued.key_id}`);
      return issued;
    },
  );

  app.get(
    '/api/dev/apps/:appId/keys',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'listKeys',
        tags,
        security,
        summary: 'List the keys of an app',
        params: appParams,
        querystring: Type.Object(pageQuery),
        response: {
          200: keyList,
          ...problemReplies('invalid_parameter', 'credentials_invalid', 'not_found'),
        },
      },
    },
    async (request) => {
      const found = await findApp(db, request.params.appId, visibleAccount(request));
      if (!found) throw notFound('app');
      const { limit = 50, cursor } = request.query;
      const rows = await listKeys(db, found.id, parseCursor(cursor, ['time', 'text']), limit + 1);
      const now = context.now();
      return makePage(
        rows,
        limit,
        (row) => presentKey(row, now),
        (row) => [row.created_at.toISOString(), row.key_id],
      );
    },
  );

  app.get(
    '/api/dev/keys/:keyId',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'getKey',
        tags,
        security,
        summary: 'Get a key',
        params: keyParams,
        response: { 200: keyReply, ...problemReplies('credentials_invalid', 'not_found') },
      },
    },
    async (request, reply) => {
      const row = await findKey(db, request.params.keyId, visibleAccount(request));
      if (!row) throw notFound('key');
      return sendTagged(request, reply, presentKey(row, context.now()));
    },
  );

  app.post(
    '/api/dev/keys/:keyId/rotate',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'rotateKey',
        tags,
        security,
        summary: 'Give a key a new secret',
        description: 'Its identity, limits and usage stay. The old secret stays valid for the grace period.',
        params: keyParams,
        body: rotateBody,
        response: {
          200: newKeyReply,
          ...problemReplies('credentials_invalid', 'forbidden', 'not_found', 'conflict', 'validation_failed'),
        },
      },
    },
    async (request, reply) => {
      requireRole(request, 'developer');
      const { grace_days: days, grace_seconds: seconds } = request.body;
      if (days !== undefined && seconds !== undefined) {
        throw invalid([{ pointer: '/grace_seconds', detail: 'cannot be given together with "grace_days"' }]);
      }
      const graceSeconds = seconds ?? (days === undefined ? defaultGraceSeconds : days * 86_400);
      const issued = await rotateKey(
        context,
        originOf(request),
        visibleAccount(request),
        request.params.keyId,
        graceSeconds * 1000,
      );
      void reply.header('cache-control', 'no-store');
      return issued;
    },
  );

  app.post(
    '/api/dev/keys/:keyId/revoke',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'revokeKey',
        tags,
        security,
        summary: 'Revoke a key at once',
        params: keyParams,
        body: revokeBody,
        response: {
          200: keyReply,
          ...problemReplies('credentials_invalid', 'forbidden', 'not_found', 'validation_failed'),
        },
      },
    },
    async (request) => {
      requireRole(request, 'developer');
      return await revokeKey(
        context,
        originOf(request),
        visibleAccount(request),
        request.params.keyId,
        request.body.reason ?? null,
      );
    },
  );
};
