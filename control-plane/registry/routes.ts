import Type from 'typebox';
import type { Feature } from '../context.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { purges, replayPurges } from './purges.ts';
import { acknowledgementSchema, gatewayListSchema, streamQuery } from './schema.ts';
import { RegistryStream } from './stream.ts';

const pingIntervalMs = 5000;
const staleAfterMs = 30_000;

interface GatewayRow {
  id: string;
  version: string;
  revision: number;
  address: string | null;
  first_seen_at: Date;
  last_seen_at: Date;
}

/** The feed that gateways follow, and the list of gateways. */
export const registry: Feature = (app, context) => {
  const { db, feed, auth } = context;
  const streams = new Map<RegistryStream, string | null>();

  const heartbeat = setInterval(() => {
    feed.poke();
    for (const stream of streams.keys()) stream.ping();
    const present = [...new Set(streams.values())].filter((id) => id !== null);
    if (present.length === 0) return;
    db.execute('UPDATE gateways SET last_seen_at = now() WHERE id = ANY($1)', [present]).catch(
      (error: unknown) => context.log.error({ err: error }, 'cannot note the gateways as seen'),
    );
  }, pingIntervalMs);
  heartbeat.unref();
  context.onClose(() => {
    clearInterval(heartbeat);
    for (const stream of [...streams.keys()]) stream.close();
  });

  app.get(
    '/registry/v1/stream',
    {
      onRequest: auth.gateway,
      schema: {
        operationId: 'followRegistry',
        tags: ['registry'],
        summary: 'Follow the registry',
        description:
          'An endless stream of JSON lines: a snapshot when `from` is absent or cannot be continued, then deltas as they happen, and a ping every five seconds.',
        security: callers.gateway,
        querystring: streamQuery,
        response: {
          200: { description: 'Lines.', content: { 'application/x-ndjson': { schema: Type.String() } } },
          ...problemReplies('invalid_parameter', 'credentials_invalid'),
        },
      },
    },
    (request, reply) => {
      reply.hijack();
      const accepted = request.headers['accept-encoding'];
      const gzip = typeof accepted === 'string' && /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/.test(accepted);
      const response = reply.raw;
      response.writeHead(200, {
        'content-type': 'application/x-ndjson',
        'cache-control': 'no-store',
        'x-request-id': request.id,
        ...(gzip ? { 'content-encoding': 'gzip' } : {}),
      });
      response.flushHeaders();
      response.socket?.setNoDelay(true);
      response.socket?.setTimeout(0);
      const from = request.query.from ?? null;
      const stream = new RegistryStream({ db, feed, log: request.log }, response, from, gzip);
      streams.set(stream, request.query.gateway ?? null);
      replayPurges(db, stream).catch((error: unknown) =>
        context.log.error({ err: error }, 'cannot tell a gateway of purges'),
      );
      response.on('close', () => streams.delete(stream));
    },
  );

  purges(app, context, streams);

  app.post(
    '/registry/v1/ack',
    {
      onRequest: auth.gateway,
      schema: {
        operationId: 'acknowledgeRevision',
        tags: ['registry'],
        summary: 'Acknowledge a revision',
        security: callers.gateway,
        body: acknowledgementSchema,
        response: {
          204: Type.Null({ description: 'Noted.' }),
          ...problemReplies('credentials_invalid', 'validation_failed'),
        },
      },
    },
    async (request, reply) => {
      const { gateway, revision, version } = request.body;
      await db.execute(
        `INSERT INTO gateways (id, version, revision, address) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET
           version = excluded.version, revision = excluded.revision, address = excluded.address,
           last_seen_at = now()`,
        [gateway, version, revision, request.ip],
      );
      return reply.code(204).send(null);
    },
  );

  app.get(
    '/admin/v1/gateways',
    {
      onRequest: auth.operator,
      schema: {
        operationId: 'listGateways',
        tags: ['operator'],
        summary: 'List the gateways and how far they are',
        security: callers.operator,
        response: { 200: gatewayListSchema, ...problemReplies('credentials_invalid', 'forbidden') },
      },
    },
    async () => {
      const rows = await db.query<GatewayRow>('SELECT * FROM gateways ORDER BY id');
      const now = context.now().getTime();
      return {
        revision: feed.head,
        data: rows.map((row) => ({
          id: row.id,
          version: row.version,
          revision: row.revision,
          lag: Math.max(0, feed.head - row.revision),
          address: row.address,
          first_seen_at: row.first_seen_at.toISOString(),
          last_seen_at: row.last_seen_at.toISOString(),
          stale: now - row.last_seen_at.getTime() > staleAfterMs,
        })),
      };
    },
  );
};
