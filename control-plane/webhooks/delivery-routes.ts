import { randomBytes } from 'node:crypto';
import Type from 'typebox';
import type { App, Context, FastifyRequest } from '../context.ts';
import { problemReplies } from '../http/openapi.ts';
import { makePage, pageQuery, parseCursor } from '../http/pagination.ts';
import { notFound, ProblemError } from '../http/problem.ts';
import { requireRole, visibleAccount } from '../identity/caller.ts';
import { payloadVersion } from './event-types.ts';
import { mintMessageId } from './publish.ts';
import {
  type DeliveryRow,
  type EndpointRow,
  findDelivery,
  findEndpoint,
  listAttempts,
  listDeliveries,
} from './queries.ts';
import {
  type DeliveryReply,
  deliveryDetail,
  deliveryList,
  deliveryParams,
  deliveryReply,
  endpointParams,
} from './schema.ts';

function presentDelivery(row: DeliveryRow): DeliveryReply {
  return {
    delivery_id: row.id,
    event_id: row.event_id,
    type: row.type,
    status: row.status,
    attempts: row.attempts,
    next_attempt_at: row.next_attempt_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
    finished_at: row.finished_at?.toISOString() ?? null,
  };
}

/** What was delivered to an endpoint, and how; sending again; sending a test. */
export function addDeliveryRoutes(app: App, context: Context, wake: () => void): void {
  const { db, auth, now } = context;
  const tags = ['developer'];
  const security: Record<string, string[]>[] = [{ developer: [] }, { operator: [] }];
  const refusals = problemReplies(
    'credentials_invalid',
    'forbidden',
    'not_found',
    'conflict',
    'invalid_parameter',
  );

  const requireEndpoint = async (request: FastifyRequest, id: string): Promise<EndpointRow> => {
    const row = await findEndpoint(db, id, visibleAccount(request));
    if (!row) throw notFound('webhook');
    return row;
  };

  app.get(
    '/api/dev/webhooks/:endpointId/deliveries',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'listDeliveries',
        tags,
        security,
        summary: 'Deliveries to an endpoint, newest first',
        params: endpointParams,
        querystring: Type.Object(pageQuery),
        response: { 200: deliveryList, ...refusals },
      },
    },
    async (request) => {
      const endpoint = await requireEndpoint(request, request.params.endpointId);
      const { limit = 50, cursor } = request.query;
      const rows = await listDeliveries(db, endpoint.id, parseCursor(cursor, ['time', 'text']), limit + 1);
      return makePage(rows, limit, presentDelivery, (row) => [row.created_at.toISOString(), row.id]);
    },
  );

  app.get(
    '/api/dev/webhooks/:endpointId/deliveries/:deliveryId',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'getDelivery',
        tags,
        security,
        summary: 'A delivery with its attempts',
        params: deliveryParams,
        response: { 200: deliveryDetail, ...refusals },
      },
    },
    async (request) => {
      const endpoint = await requireEndpoint(request, request.params.endpointId);
      const row = await findDelivery(db, endpoint.id, request.params.deliveryId);
      if (!row) throw notFound('delivery');
      const log = (await listAttempts(db, row.id)).map((entry) => ({
        attempted_at: entry.attempted_at.toISOString(),
        duration_ms: entry.duration_ms,
        status: entry.status_code,
        error: entry.error,
        request_excerpt: entry.request_excerpt,
        response_excerpt: entry.response_excerpt,
      }));
      return { ...presentDelivery(row), log };
    },
  );

  app.post(
    '/api/dev/webhooks/:endpointId/deliveries/:deliveryId/resend',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'resendDelivery',
        tags,
        security,
        summary: 'Send again now, whatever became of it',
        params: deliveryParams,
        response: { 202: deliveryReply, ...refusals },
      },
    },
    async (request, reply) => {
      requireRole(request, 'developer');
      const endpoint = await requireEndpoint(request, request.params.endpointId);
      if (endpoint.status === 'disabled')
        throw new ProblemError('conflict', 'The endpoint is disabled; enable it first.');
      const { deliveryId } = request.params;
      const changed = await db.execute(
        `UPDATE webhook_deliveries SET status = 'pending', next_attempt_at = $3, finished_at = NULL
         WHERE id = $1 AND endpoint_id = $2`,
        [deliveryId, endpoint.id, now()],
      );
      if (changed === 0) throw notFound('delivery');
      wake();
      const row = await findDelivery(db, endpoint.id, deliveryId);
      return reply.code(202).send(presentDelivery(row!));
    },
  );

  app.post(
    '/api/dev/webhooks/:endpointId/test',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'testWebhook',
        tags,
        security,
        summary: 'Send a webhook.test event to this endpoint',
        params: endpointParams,
        response: { 202: deliveryReply, ...refusals },
      },
    },
    async (request, reply) => {
      requireRole(request, 'developer');
      const endpoint = await requireEndpoint(request, request.params.endpointId);
      if (endpoint.status === 'disabled')
        throw new ProblemError('conflict', 'The endpoint is disabled; enable it first.');
      const eventId = mintMessageId();
      const deliveryId = `dlv_${randomBytes(12).toString('hex')}`;
      const body = {
        id: eventId,
        type: 'webhook.test',
        version: payloadVersion,
        timestamp: now().toISOString(),
        data: { endpoint_id: endpoint.id },
      };
      await db.transaction(async (tx) => {
        await tx.execute(
          'INSERT INTO events (id, type, account_id, payload, noticed) VALUES ($1, $2, $3, $4, true)',
          [eventId, body.type, endpoint.account_id, JSON.stringify(body)],
        );
        await tx.execute(
          'INSERT INTO webhook_deliveries (id, event_id, endpoint_id, next_attempt_at) VALUES ($1, $2, $3, $4)',
          [deliveryId, eventId, endpoint.id, now()],
        );
      });
      wake();
      const row = await findDelivery(db, endpoint.id, deliveryId);
      return reply.code(202).send(presentDelivery(row!));
    },
  );
}
