import Type from 'typebox';
import type { App, Context } from '../context.ts';
import { problemReplies } from '../http/openapi.ts';
import { makePage, pageOf, pageQuery, parseCursor } from '../http/pagination.ts';
import { notFound } from '../http/problem.ts';
import type { Ingestor } from './ingest.ts';

const letter = Type.Object({
  id: Type.Integer(),
  received_at: Type.String({ format: 'date-time' }),
  origin: Type.String(),
  reason: Type.String(),
  bytes: Type.Integer(),
});

interface LetterRow {
  id: number;
  received_at: Date;
  origin: string;
  reason: string;
  bytes: number;
}

/** Batches that could not be ingested: to look at, to try again once the cause is mended, to discard. */
export function addDeadLetterRoutes(app: App, { db, auth }: Context, ingestor: Ingestor): void {
  const tags = ['operator'];
  const security: Record<string, string[]>[] = [{ operator: [] }];
  const params = Type.Object({ id: Type.Integer({ minimum: 1, maximum: 2 ** 52 }) });
  const refusals = problemReplies('credentials_invalid', 'forbidden', 'not_found', 'invalid_parameter');

  app.get(
    '/admin/v1/usage/dead-letters',
    {
      onRequest: auth.operator,
      schema: {
        operationId: 'listDeadLetters',
        tags,
        security,
        summary: 'Usage batches that could not be ingested',
        querystring: Type.Object(pageQuery),
        response: { 200: pageOf(letter), ...refusals },
      },
    },
    async (request) => {
      const { limit = 50, cursor } = request.query;
      const after = parseCursor(cursor, ['number']);
      const rows = await db.query<LetterRow>(
        `SELECT id, received_at, origin, reason, octet_length(body) AS bytes FROM usage_dead_letters
         WHERE $1::bigint IS NULL OR id > $1 ORDER BY id LIMIT $2`,
        [after ? Number(after[0]) : null, limit + 1],
      );
      return makePage(
        rows,
        limit,
        (row) => ({ ...row, received_at: row.received_at.toISOString() }),
        (row) => [String(row.id)],
      );
    },
  );

  app.post(
    '/admin/v1/usage/dead-letters/:id/retry',
    {
      onRequest: auth.operator,
      schema: {
        operationId: 'retryDeadLetter',
        tags,
        security,
        summary: 'Try to ingest a batch again',
        params,
        response: { 200: Type.Object({ ingested: Type.Boolean() }), ...refusals },
      },
    },
    async (request) => {
      const { id } = request.params;
      const [row] = await db.query<{ body: string; origin: string }>(
        `SELECT encode(body, 'hex') AS body, origin FROM usage_dead_letters WHERE id = $1`,
        [id],
      );
      if (!row) throw notFound('dead letter');
      const { deadLettered } = await ingestor.ingest([Buffer.from(row.body, 'hex')], row.origin);
      if (deadLettered === 0) await db.execute('DELETE FROM usage_dead_letters WHERE id = $1', [id]);
      return { ingested: deadLettered === 0 };
    },
  );

  app.delete(
    '/admin/v1/usage/dead-letters/:id',
    {
      onRequest: auth.operator,
      schema: {
        operationId: 'discardDeadLetter',
        tags,
        security,
        summary: 'Discard a batch',
        params,
        response: { 204: Type.Null({ description: 'Discarded.' }), ...refusals },
      },
    },
    async (request, reply) => {
      if ((await db.execute('DELETE FROM usage_dead_letters WHERE id = $1', [request.params.id])) === 0) {
        throw notFound('dead letter');
      }
      return reply.code(204).send(null);
    },
  );
}
