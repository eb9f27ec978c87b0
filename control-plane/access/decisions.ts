import Type from 'typebox';
import { findApp } from '../apps/queries.ts';
import { originOf } from '../audit/record.ts';
import type { FastifyRequest, Feature } from '../context.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { makePage, pageQuery, parseCursor } from '../http/pagination.ts';
import { notFound, ProblemError } from '../http/problem.ts';
import { publishEvent } from '../webhooks/publish.ts';
import {
  decideAccessRequest,
  deleteGrant,
  findAccessRequest,
  listAccessRequests,
  putGrant,
} from './queries.ts';
import { presentRequest } from './routes.ts';
import {
  accessRequestList,
  accessRequestReply,
  approvalBody,
  grantBody,
  grantParams,
  refusalBody,
  requestParams,
  statusFilter,
} from './schema.ts';

/** Administrators decide on requests, and grant and withdraw environments. */
export const accessDecisions: Feature = (app, context) => {
  const { db, audit, auth } = context;
  const common = { tags: ['operator'], security: callers.operator };

  app.get(
    '/admin/v1/access-requests',
    {
      onRequest: auth.operator,
      schema: {
        ...common,
        operationId: 'listAccessRequests',
        summary: 'List requests for environments',
        querystring: Type.Object({ ...pageQuery, status: statusFilter }),
        response: {
          200: accessRequestList,
          ...problemReplies('invalid_parameter', 'credentials_invalid', 'forbidden'),
        },
      },
    },
    async (request) => {
      const { limit = 50, cursor, status = null } = request.query;
      const after = parseCursor(cursor, ['time', 'text']);
      const rows = await listAccessRequests(db, { accountId: null, appId: null, status }, after, limit + 1);
      return makePage(rows, limit, presentRequest, (row) => [row.created_at.toISOString(), row.id]);
    },
  );

  async function decide(
    request: FastifyRequest,
    id: string,
    status: 'approved' | 'refused',
    note: string | null,
    audiences: readonly string[],
  ) {
    return await db.transaction(async (tx) => {
      const before = await findAccessRequest(tx, id, true);
      if (!before) throw notFound('request');
      if (before.status !== 'pending') throw new ProblemError('conflict', `The request is ${before.status}.`);
      const decidedBy = request.caller!.actor;
      await decideAccessRequest(tx, id, status, note, decidedBy);
      if (status === 'approved') {
        const { app_id: appId, environment } = before;
        await putGrant(tx, { appId, environment, audiences, grantedBy: decidedBy });
        await publishEvent(tx, {
          type: 'app.approved',
          accountId: before.account_id,
          payload: { app_id: appId, environment, note },
        });
      }
      const after = presentRequest((await findAccessRequest(tx, id))!);
      await audit.record(tx, originOf(request), {
        action: status === 'approved' ? 'access.approve' : 'access.refuse',
        accountId: before.account_id,
        target: { app_id: before.app_id, request_id: id },
        before: presentRequest(before),
        after: { ...after, ...(status === 'approved' ? { audiences } : {}) },
      });
      return after;
    });
  }

  app.post(
    '/admin/v1/access-requests/:requestId/approve',
    {
      onRequest: auth.operator,
      schema: {
        ...common,
        operationId: 'approveAccess',
        summary: 'Approve a request',
        params: requestParams,
        body: approvalBody,
        response: {
          200: accessRequestReply,
          ...problemReplies('credentials_invalid', 'forbidden', 'not_found', 'conflict', 'validation_failed'),
        },
      },
    },
    async (request) => {
      const { note = null, audiences = [] } = request.body;
      return await decide(request, request.params.requestId, 'approved', note, audiences);
    },
  );

  app.post(
    '/admin/v1/access-requests/:requestId/refuse',
    {
      onRequest: auth.operator,
      schema: {
        ...common,
        operationId: 'refuseAccess',
        summary: 'Refuse a request',
        params: requestParams,
        body: refusalBody,
        response: {
          200: accessRequestReply,
          ...problemReplies('credentials_invalid', 'forbidden', 'not_found', 'conflict', 'validation_failed'),
        },
      },
    },
    async (request) =>
      await decide(request, request.params.requestId, 'refused', request.body.note ?? null, []),
  );

  app.put(
    '/admin/v1/apps/:appId/environments/:environment',
    {
      onRequest: auth.operator,
      schema: {
        ...common,
        operationId: 'grantEnvironment',
        summary: 'Grant an environment without a request',
        params: grantParams,
        body: grantBody,
        response: {
          204: Type.Null({ description: 'Granted.' }),
          ...problemReplies(
            'invalid_parameter',
            'credentials_invalid',
            'forbidden',
            'not_found',
            'validation_failed',
          ),
        },
      },
    },
    async (request, reply) => {
      const { appId, environment } = request.params;
      const { audiences = [] } = request.body;
      await db.transaction(async (tx) => {
        const found = await findApp(tx, appId, null, true);
        if (!found) throw notFound('app');
        await putGrant(tx, { appId, environment, audiences, grantedBy: request.caller!.actor });
        await audit.record(tx, originOf(request), {
          action: 'access.grant',
          accountId: found.account_id,
          target: { app_id: appId, environment },
          after: { audiences },
        });
      });
      return reply.code(204).send(null);
    },
  );

  app.delete(
    '/admin/v1/apps/:appId/environments/:environment',
    {
      onRequest: auth.operator,
      schema: {
        ...common,
        operationId: 'withdrawEnvironment',
        summary: 'Withdraw an environment and revoke its keys',
        params: grantParams,
        response: {
          204: Type.Null({ description: 'Withdrawn.' }),
          ...problemReplies('invalid_parameter', 'credentials_invalid', 'forbidden', 'not_found'),
        },
      },
    },
    async (request, reply) => {
      const { appId, environment } = request.params;
      await db.transaction(async (tx) => {
        const found = await findApp(tx, appId, null, true);
        if (!found || !(await deleteGrant(tx, appId, environment))) throw notFound('grant');
        const revoked = await tx.query<{ key_id: string }>(
          `UPDATE dev_app_keys SET status = 'revoked', revoked_at = now(), updated_at = now(),
             revoked_reason = 'The environment was withdrawn.'
           WHERE app_id = $1 AND environment = $2 AND status = 'active' RETURNING key_id`,
          [appId, environment],
        );
        await audit.record(tx, originOf(request), {
          action: 'access.withdraw',
          accountId: found.account_id,
          target: { app_id: appId, environment },
          after: { revoked: revoked.map((row) => row.key_id) },
        });
      });
      return reply.code(204).send(null);
    },
  );
};
