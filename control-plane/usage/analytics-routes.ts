import type { FastifyRequest } from 'fastify';
import { findApp } from '../apps/queries.ts';
import type { App, Context } from '../context.ts';
import { problemReplies } from '../http/openapi.ts';
import { notFound, ProblemError } from '../http/problem.ts';
import { visibleAccount } from '../identity/caller.ts';
import { dayMs, hourMs, minuteMs } from './aggregate.ts';
import { type Dimension, dimensions, readDays, readSeries } from './analytics-queries.ts';
import { toCsv } from './csv.ts';
import { appParams, daysQuery, daysReply, forDevelopers, seriesQuery, seriesReply } from './schema.ts';
import { type Grain, grainMs } from './store.ts';

const defaultSpanMs: Readonly<Record<Grain, number>> = {
  minute: 60 * minuteMs,
  hour: 48 * hourMs,
  day: 30 * dayMs,
};
const maxBuckets = 3000;
const maxPoints = 50_000;

const csvColumns = [
  ...['time', 'group', 'calls', 'errors', 'error_rate', 'avg_latency_ms', 'p50_ms', 'p95_ms', 'p99_ms'],
  ...['bytes_in', 'bytes_out', 'overage_calls'],
];

/** Refuses apps that the caller cannot see. */
export async function requireApp({ db }: Context, request: FastifyRequest, appId: string): Promise<void> {
  if (!(await findApp(db, appId, visibleAccount(request)))) throw notFound('app');
}

/** What an app has been used for, for its developers. */
export function addAnalyticsRoutes(app: App, context: Context): void {
  const { db, auth } = context;
  const tags = ['developer'];
  const security = forDevelopers;
  const refusals = problemReplies('credentials_invalid', 'forbidden', 'not_found', 'invalid_parameter');

  app.get(
    '/api/dev/apps/:appId/usage',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'getUsage',
        tags,
        security,
        summary: 'Calls, errors and latency by day',
        params: appParams,
        querystring: daysQuery,
        response: { 200: daysReply, ...refusals },
      },
    },
    async (request) => {
      const { appId } = request.params;
      await requireApp(context, request, appId);
      const days = request.query.days ?? 30;
      const from = new Date(context.now().getTime() - (days - 1) * dayMs);
      return await readDays(db, appId, from, request.query.environment);
    },
  );

  app.get(
    '/api/dev/apps/:appId/usage/series',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'getUsageSeries',
        tags,
        security,
        summary: 'Calls, errors, percentiles and volume over time, by version, route, status, country or key',
        description: 'Percentiles are within 1 % of the exact ones. `format=csv` exports the same.',
        params: appParams,
        querystring: seriesQuery,
        response: { 200: seriesReply, ...refusals },
      },
    },
    async (request, reply) => {
      const { appId } = request.params;
      await requireApp(context, request, appId);
      const { interval = 'day', group_by: by = null, format, from, to, ...filters } = request.query;
      const end = to ? new Date(to) : context.now();
      const start = from ? new Date(from) : new Date(end.getTime() - defaultSpanMs[interval]);
      const spanMs = end.getTime() - start.getTime();
      if (spanMs <= 0) throw new ProblemError('invalid_parameter', '`from` must be before `to`.');
      if (spanMs / grainMs[interval] > maxBuckets) {
        throw new ProblemError(
          'invalid_parameter',
          `That is more than ${maxBuckets} buckets; use a longer interval.`,
        );
      }
      const aligned = new Date(Math.floor(start.getTime() / grainMs[interval]) * grainMs[interval]);
      const until = new Date(Math.ceil(end.getTime() / grainMs[interval]) * grainMs[interval]);
      const equal: Partial<Record<Dimension, string>> = {};
      for (const name of Object.keys(dimensions) as Dimension[]) {
        const value = filters[name];
        if (value !== undefined) equal[name] = value;
      }
      const data = await readSeries(
        db,
        interval,
        { appId, from: aligned, to: until, equal },
        by,
        maxPoints + 1,
      );
      if (data.length > maxPoints) {
        throw new ProblemError(
          'invalid_parameter',
          `That is more than ${maxPoints} points; ask for less at once.`,
        );
      }
      if (format === 'csv') {
        const columns = by ? csvColumns : csvColumns.filter((name) => name !== 'group');
        return reply
          .type('text/csv; charset=utf-8')
          .header('content-disposition', `attachment; filename="usage-${interval}.csv"`)
          .serializer((text: unknown) => text as string)
          .send(toCsv(columns, data as never) as never);
      }
      return { interval, from: aligned.toISOString(), to: until.toISOString(), group_by: by, data };
    },
  );
}
