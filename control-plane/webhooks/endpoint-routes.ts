import Type from 'typebox';
import { originOf } from '../audit/record.ts';
import type { App, Context } from '../context.ts';
import { problemReplies } from '../http/openapi.ts';
import { notFound } from '../http/problem.ts';
import { accountFor, chooseAccount } from '../identity/account-choice.ts';
import { requireRole, visibleAccount } from '../identity/caller.ts';
import {
  checkUrl,
  mintEndpointId,
  mintWebhookSecret,
  presentEndpoint,
  sealWebhookSecret,
} from './endpoints.ts';
import { eventTypes } from './event-types.ts';
import { findEndpoint, insertEndpoint, listEndpoints, updateEndpoint } from './queries.ts';
import {
  endpointBody,
  endpointChange,
  endpointParams,
  endpointReply,
  endpointSecretReply,
  rotationBody,
} from './schema.ts';

const hourMs = 3_600_000;

/** Where an account is told of events. */
export function addEndpointRoutes(app: App, context: Context): void {
  const { db, audit, auth, now } = context;
  const tags = ['developer'];
  const security: Record<string, string[]>[] = [{ developer: [] }, { operator: [] }];
  const refusals = problemReplies('credentials_invalid', 'forbidden', 'not_found', 'validation_failed');

  app.get(
    '/api/dev/webhooks/event-types',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'listEventTypes',
        tags,
        security,
        summary: 'What endpoints can be told of',
        response: {
          200: Type.Array(Type.Object({ type: Type.String(), description: Type.String() })),
          ...refusals,
        },
      },
    },
    () => Object.entries(eventTypes).map(([type, description]) => ({ type, description })),
  );

  app.post(
    '/api/dev/webhooks',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'createWebhook',
        tags,
        security,
        summary: 'Add an endpoint; its signing secret is shown this once',
        body: endpointBody,
        response: { 201: endpointSecretReply, ...refusals },
      },
    },
    async (request, reply) => {
      requireRole(request, 'developer');
      const { url, description = '', event_types = [], account } = request.body;
      checkUrl(context, url);
      const id = mintEndpointId();
      const secret = mintWebhookSecret();
      const sealed = await sealWebhookSecret(context, id, secret);
      const row = await db.transaction(async (tx) => {
        const accountId = await accountFor(context, tx, request, account);
        const made = await insertEndpoint(tx, {
          id,
          account_id: accountId,
          url,
          description,
          event_types,
          secrets: [sealed],
        });
        await audit.record(tx, originOf(request), {
          action: 'webhook.create',
          accountId,
          target: { endpoint_id: id },
          after: presentEndpoint(made),
        });
        return made;
      });
      return reply
        .code(201)
        .header('cache-control', 'no-store')
        .send({ ...presentEndpoint(row), secret });
    },
  );

  app.get(
    '/api/dev/webhooks',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'listWebhooks',
        tags,
        security,
        summary: 'List endpoints',
        querystring: Type.Object({ account: Type.Optional(Type.String({ maxLength: 254 })) }),
        response: { 200: Type.Object({ data: Type.Array(endpointReply) }), ...refusals },
      },
    },
    async (request) => {
      const rows = await listEndpoints(db, await chooseAccount(db, request, request.query.account));
      return { data: rows.map(presentEndpoint) };
    },
  );

  app.get(
    '/api/dev/webhooks/:endpointId',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'getWebhook',
        tags,
        security,
        summary: 'Read an endpoint',
        params: endpointParams,
        response: { 200: endpointReply, ...refusals },
      },
    },
    async (request) => {
      const row = await findEndpoint(db, request.params.endpointId, visibleAccount(request));
      if (!row) throw notFound('webhook');
      return presentEndpoint(row);
    },
  );

  app.patch(
    '/api/dev/webhooks/:endpointId',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'updateWebhook',
        tags,
        security,
        summary: 'Change an endpoint, or enable it again',
        params: endpointParams,
        body: endpointChange,
        response: { 200: endpointReply, ...refusals },
      },
    },
    async (request) => {
      requireRole(request, 'developer');
      const change = request.body;
      if (change.url !== undefined) checkUrl(context, change.url);
      return await db.transaction(async (tx) => {
        const row = await findEndpoint(tx, request.params.endpointId, visibleAccount(request), true);
        if (!row) throw notFound('webhook');
        const enabled = change.status === 'enabled';
        const next = await updateEndpoint(tx, {
          ...row,
          url: change.url ?? row.url,
          description: change.description ?? row.description,
          event_types: change.event_types ?? row.event_types,
          status: change.status ?? row.status,
          disabled_reason: enabled
            ? null
            : change.status === 'disabled'
              ? 'By request.'
              : row.disabled_reason,
          failing_since: enabled ? null : row.failing_since,
        });
        await audit.record(tx, originOf(request), {
          action: 'webhook.update',
          accountId: row.account_id,
          target: { endpoint_id: row.id },
          before: presentEndpoint(row),
          after: presentEndpoint(next),
        });
        return presentEndpoint(next);
      });
    },
  );

  app.post(
    '/api/dev/webhooks/:endpointId/rotate-secret',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'rotateWebhookSecret',
        tags,
        security,
        summary: 'Make a new signing secret; both sign until the grace period ends',
        params: endpointParams,
        body: rotationBody,
        response: { 200: endpointSecretReply, ...refusals },
      },
    },
    async (request, reply) => {
      requireRole(request, 'developer');
      const graceMs = (request.body.grace_hours ?? 24) * hourMs;
      const { endpointId } = request.params;
      const secret = mintWebhookSecret();
      const sealed = await sealWebhookSecret(context, endpointId, secret);
      const row = await db.transaction(async (tx) => {
        const found = await findEndpoint(tx, endpointId, visibleAccount(request), true);
        if (!found) throw notFound('webhook');
        const time = now().getTime();
        const old = found.secrets
          .map((each) => ({ ...each, expiresAt: Math.min(each.expiresAt ?? Infinity, time + graceMs) }))
          .filter((each) => each.expiresAt > time);
        const next = await updateEndpoint(tx, { ...found, secrets: [sealed, ...old.slice(0, 4)] });
        await audit.record(tx, originOf(request), {
          action: 'webhook.rotate_secret',
          accountId: found.account_id,
          target: { endpoint_id: found.id },
        });
        return next;
      });
      return reply.header('cache-control', 'no-store').send({ ...presentEndpoint(row), secret });
    },
  );

  app.delete(
    '/api/dev/webhooks/:endpointId',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'deleteWebhook',
        tags,
        security,
        summary: 'Remove an endpoint and its log',
        params: endpointParams,
        response: { 204: Type.Null({ description: 'Removed.' }), ...refusals },
      },
    },
    async (request, reply) => {
      requireRole(request, 'developer');
      await db.transaction(async (tx) => {
        const row = await findEndpoint(tx, request.params.endpointId, visibleAccount(request), true);
        if (!row) throw notFound('webhook');
        await tx.execute('DELETE FROM webhook_endpoints WHERE id = $1', [row.id]);
        await audit.record(tx, originOf(request), {
          action: 'webhook.delete',
          accountId: row.account_id,
          target: { endpoint_id: row.id },
          before: presentEndpoint(row),
        });
      });
      return reply.code(204).send(null);
    },
  );
}
