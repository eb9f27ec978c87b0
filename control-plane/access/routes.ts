import Type from 'typebox';
import { findApp } from '../apps/queries.ts';
import { originOf } from '../audit/record.ts';
import type { Feature } from '../context.ts';
import { isUniqueViolation } from '../database/database.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { makePage, pageQuery, parseCursor } from '../http/pagination.ts';
import { notFound, ProblemError } from '../http/problem.ts';
import { mintId } from '../identifiers.ts';
import { requireRole, visibleAccount } from '../identity/caller.ts';
import {
  type AccessRequestRow,
  findAccessRequest,
  insertAccessRequest,
  listAccessRequests,
  listGrants,
} from './queries.ts';
import {
  accessRequestBody,
  accessRequestList,
  accessRequestReply,
  appParams,
  environmentList,
  statusFilter,
} from './schema.ts';

export function presentRequest(row: AccessRequestRow) {
  return {
    request_id: row.id,
    app_id: row.app_id,
    account_id: row.account_id,
    environment: row.environment,
    status: row.status,
    reason: row.reason,
    requested_by: row.requested_by,
    note: row.note,
    decided_by: row.decided_by,
    created_at: row.created_at.toISOString(),
    decided_at: row.decided_at?.toISOString() ?? null,
  };
}

/** Developers ask for an environment: test is open, live on approval. */
export const access: Feature = (app, context) => {
  const { db, audit, auth } = context;
  const common = { tags: ['developer'], security: callers.developer };

  app.get(
    '/api/dev/apps/:appId/environments',
    {
      onRequest: auth.developer,
      schema: {
        ...common,
        operationId: 'listEnvironments',
        summary: 'List the environments an app may have keys in',
        params: appParams,
        response: { 200: environmentList, ...problemReplies('credentials_invalid', 'not_found') },
      },
    },
    async (request) => {
      const found = await findApp(db, request.params.appId, visibleAccount(request));
      if (!found) throw notFound('app');
      const grants = await listGrants(db, found.id);
      return {
        data: [
          { environment: 'test' as const, audiences: [], granted_by: null, granted_at: null },
          ...grants
            .filter((grant) => grant.environment !== 'test')
            .map((grant) => ({ ...grant, granted_at: grant.granted_at.toISOString() })),
        ],
      };
    },
  );

  app.post(
    '/api/dev/apps/:appId/access-requests',
    {
      onRequest: auth.developer,
      schema: {
        ...common,
        operationId: 'requestAccess',
        summary: 'Ask for the live environment',
        params: appParams,
        body: accessRequestBody,
        response: {
          201: accessRequestReply,
          ...problemReplies('credentials_invalid', 'forbidden', 'not_found', 'conflict', 'validation_failed'),
        },
      },
    },
    async (request, reply) => {
      requireRole(request, 'developer');
      const { environment, reason = '' } = request.body;
      const made = await db
        .transaction(async (tx) => {
          const found = await findApp(tx, request.params.appId, visibleAccount(request), true);
          if (!found) throw notFound('app');
          if ((await listGrants(tx, found.id)).some((grant) => grant.environment === environment)) {
            throw new ProblemError('conflict', 'The app has this environment already.');
          }
          const id = mintId('req');
          const requestedBy = request.caller!.actor;
          await insertAccessRequest(tx, { id, appId: found.id, environment, reason, requestedBy });
          const row = (await findAccessRequest(tx, id))!;
          await audit.record(tx, originOf(request), {
            action: 'access.request',
            accountId: found.account_id,
            target: { app_id: found.id, request_id: id },
            after: presentRequest(row),
          });
          return presentRequest(row);
        })
        .catch((error: unknown) => {
          if (isUniqueViolation(error)) throw new ProblemError('conflict', 'A request is pending already.');
          throw error;
        });
      return reply.code(201).send(made);
    },
  );

  app.get(
    '/api/dev/apps/:appId/access-requests',
    {
      onRequest: auth.developer,
      schema: {
        ...common,
        operationId: 'listAppAccessRequests',
        summary: 'List the requests of an app',
        params: appParams,
        querystring: Type.Object({ ...pageQuery, status: statusFilter }),
        response: {
          200: accessRequestList,
          ...problemReplies('invalid_parameter', 'credentials_invalid', 'not_found'),
        },
      },
    },
    async (request) => {
      const found = await findApp(db, request.params.appId, visibleAccount(request));
      if (!found) throw notFound('app');
      const { limit = 50, cursor, status = null } = request.query;
      const rows = await listAccessRequests(
        db,
        { accountId: null, appId: found.id, status },
        parseCursor(cursor, ['time', 'text']),
        limit + 1,
      );
      return makePage(rows, limit, presentRequest, (row) => [row.created_at.toISOString(), row.id]);
    },
  );
};
