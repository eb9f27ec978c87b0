import { Gauge, Histogram } from 'prom-client';
import Type from 'typebox';
import type { Feature } from '../context.ts';
import { problemReplies } from '../http/openapi.ts';
import { ProblemError } from '../http/problem.ts';

/** Health and metrics. */
export const telemetry: Feature = (app, context) => {
  const { db, feed, metrics } = context;
  const registers = [metrics];
  const duration = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the head of a request to the end of its response.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    duration.labels(request.method, route, String(reply.statusCode)).observe(reply.elapsedTime / 1000);
  });

  new Gauge({
    name: 'active_api_keys',
    help: 'Keys that are neither revoked nor expired.',
    labelNames: ['environment', 'kind'],
    registers,
    async collect() {
      const rows = await db.query<{ environment: string; kind: string; n: number }>(
        `SELECT environment, kind, count(*)::int AS n FROM dev_app_keys
         WHERE status = 'active' AND (expires_at IS NULL OR expires_at > now()) GROUP BY environment, kind`,
      );
      this.reset();
      for (const row of rows) this.labels(row.environment, row.kind).set(row.n);
    },
  });
  new Gauge({
    name: 'tollgate_registry_revision',
    help: 'Head of the registry.',
    registers,
    collect() {
      this.set(feed.head);
    },
  });
  new Gauge({
    name: 'tollgate_registry_followers',
    help: 'Gateways that follow this instance.',
    registers,
    collect() {
      this.set(feed.followers);
    },
  });
  new Gauge({
    name: 'tollgate_gateway_revision_lag',
    help: 'Revisions between the head and what a gateway acknowledged.',
    labelNames: ['gateway'],
    registers,
    async collect() {
      const rows = await db.query<{ id: string; revision: number }>(
        `SELECT id, revision FROM gateways WHERE last_seen_at > now() - interval '1 day'`,
      );
      this.reset();
      for (const row of rows) this.labels(row.id).set(Math.max(0, feed.head - row.revision));
    },
  });
  new Gauge({
    name: 'tollgate_gateway_seen_seconds',
    help: 'Seconds since a gateway was last seen.',
    labelNames: ['gateway'],
    registers,
    async collect() {
      const rows = await db.query<{ id: string; seconds: number }>(
        `SELECT id, extract(epoch FROM now() - last_seen_at)::float8 AS seconds FROM gateways
         WHERE last_seen_at > now() - interval '1 day'`,
      );
      this.reset();
      for (const row of rows) this.labels(row.id).set(row.seconds);
    },
  });

  const tags = ['process'];
  const status = Type.Object({ status: Type.Literal('ok') });
  app.get(
    '/healthz',
    { schema: { operationId: 'health', tags, summary: 'The process runs', response: { 200: status } } },
    () => ({ status: 'ok' as const }),
  );
  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'ready',
        tags,
        summary: 'The database answers',
        response: { 200: status, ...problemReplies('unavailable') },
      },
    },
    async () => {
      await db.query('SELECT 1').catch((error: unknown) => {
        context.log.warn({ err: error }, 'not ready');
        throw new ProblemError('unavailable', 'The database does not answer.');
      });
      return { status: 'ok' as const };
    },
  );
  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'metrics',
        tags,
        summary: 'Metrics in the Prometheus text format',
        response: { 200: { description: 'Metrics.', content: { 'text/plain': { schema: Type.String() } } } },
      },
    },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()),
  );
};
