import Type from 'typebox';
import { originOf } from '../audit/record.ts';
import type { Feature } from '../context.ts';
import { checkPrecondition, sendTagged } from '../http/entity-tag.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { makePage, pageQuery, parseCursor } from '../http/pagination.ts';
import { notFound, ProblemError } from '../http/problem.ts';
import { mintId } from '../identifiers.ts';
import { accountFor, chooseAccount } from '../identity/account-choice.ts';
import { requireRole, visibleAccount } from '../identity/caller.ts';
import { type AppRow, deleteApp, findApp, insertApp, listApps, updateApp } from './queries.ts';
import { checkReferences } from './rules.ts';
import {
  type AppReply,
  accountParameter,
  appBody,
  appChange,
  appList,
  appParams,
  appReply,
} from './schema.ts';

export function presentApp(row: AppRow): AppReply {
  return {
    app_id: row.id,
    name: row.name,
    description: row.description,
    account_id: row.account_id,
    version: row.api_version,
    plan: row.plan,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

export const apps: Feature = (app, context) => {
  const { db, audit, auth } = context;
  const security = callers.developer;
  const tags = ['developer'];

  app.post(
    '/api/dev/apps',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'createApp',
        tags,
        security,
        summary: 'Create an app',
        querystring: Type.Object({ account: accountParameter }),
        body: appBody,
        response: {
          201: appReply,
          ...problemReplies('credentials_invalid', 'forbidden', 'validation_failed'),
        },
      },
    },
    async (request, reply) => {
      requireRole(request, 'developer');
      const { name, description, version, account } = request.body;
      const created = await db.transaction(async (tx) => {
        await checkReferences(tx, { version });
        const named = account ?? (request.caller?.kind === 'operator' ? request.query.account : undefined);
        const accountId = await accountFor(context, tx, request, named);
        const row = await insertApp(tx, {
          id: mintId('app'),
          accountId,
          name: name.trim(),
          ...(description === undefined ? {} : { description }),
          version: version ?? null,
        });
        await audit.record(tx, originOf(request), {
          action: 'app.create',
          accountId,
          target: { app_id: row.id },
          after: presentApp(row),
        });
        return presentApp(row);
      });
      void reply.code(201).header('location', `/api/dev/apps/${created.app_id}`);
      return sendTagged(request, reply, created);
    },
  );

  app.get(
    '/api/dev/apps',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'listApps',
        tags,
        security,
        summary: 'List apps',
        querystring: Type.Object({ ...pageQuery, account: accountParameter }),
        response: {
          200: appList,
          ...problemReplies('invalid_parameter', 'credentials_invalid', 'not_found'),
        },
      },
    },
    async (request) => {
      const { limit = 50, cursor, account } = request.query;
      const accountId = await chooseAccount(db, request, account);
      const rows = await listApps(db, accountId, parseCursor(cursor, ['time', 'text']), limit + 1);
      return makePage(rows, limit, presentApp, (row) => [row.created_at.toISOString(), row.id]);
    },
  );

  app.get(
    '/api/dev/apps/:appId',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'getApp',
        tags,
        security,
        summary: 'Get an app',
        params: appParams,
        response: { 200: appReply, ...problemReplies('credentials_invalid', 'not_found') },
      },
    },
    async (request, reply) => {
      const row = await findApp(db, request.params.appId, visibleAccount(request));
      if (!row) throw notFound('app');
      return sendTagged(request, reply, presentApp(row));
    },
  );

  app.patch(
    '/api/dev/apps/:appId',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'updateApp',
        tags,
        security,
        summary: 'Change an app',
        params: appParams,
        body: appChange,
        response: {
          200: appReply,
          ...problemReplies(
            'credentials_invalid',
            'forbidden',
            'not_found',
            'precondition_failed',
            'validation_failed',
          ),
        },
      },
    },
    async (request, reply) => {
      requireRole(request, 'developer');
      const { name, description, version, plan } = request.body;
      if (plan !== undefined && request.caller?.kind !== 'operator') {
        throw new ProblemError('forbidden', 'Only an operator assigns plans.');
      }
      const changed = await db.transaction(async (tx) => {
        const row = await findApp(tx, request.params.appId, visibleAccount(request), true);
        if (!row) throw notFound('app');
        checkPrecondition(request, presentApp(row));
        await checkReferences(tx, { version, plan });
        const next = await updateApp(tx, {
          ...row,
          name: name?.trim() ?? row.name,
          description: description ?? row.description,
          api_version: version === undefined ? row.api_version : version,
          plan: plan === undefined ? row.plan : plan,
        });
        await audit.record(tx, originOf(request), {
          action: 'app.update',
          accountId: row.account_id,
          target: { app_id: row.id },
          before: presentApp(row),
          after: presentApp(next),
        });
        return presentApp(next);
      });
      return sendTagged(request, reply, changed);
    },
  );

  app.delete(
    '/api/dev/apps/:appId',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'deleteApp',
        tags,
        security,
        summary: 'Delete an app and all its keys',
        params: appParams,
        response: {
          204: Type.Null({ description: 'Deleted.' }),
          ...problemReplies('credentials_invalid', 'forbidden', 'not_found', 'precondition_failed'),
        },
      },
    },
    async (request, reply) => {
      requireRole(request, 'owner');
      await db.transaction(async (tx) => {
        const row = await findApp(tx, request.params.appId, visibleAccount(request), true);
        if (!row) throw notFound('app');
        checkPrecondition(request, presentApp(row));
        await deleteApp(tx, row.id);
        await audit.record(tx, originOf(request), {
          action: 'app.delete',
          accountId: row.account_id,
          target: { app_id: row.id },
          before: presentApp(row),
        });
      });
      return reply.code(204).send(null);
    },
  );
};
