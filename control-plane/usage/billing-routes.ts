import Type from 'typebox';
import type { App, Context } from '../context.ts';
import type { Queryable } from '../database/database.ts';
import { problemReplies } from '../http/openapi.ts';
import { toCsv } from './csv.ts';

const line = Type.Object({
  account_id: Type.Union([Type.String(), Type.Null()]),
  app_id: Type.Union([Type.String(), Type.Null()]),
  key_id: Type.Union([Type.String(), Type.Null()]),
  environment: Type.Union([Type.String(), Type.Null()]),
  calls: Type.Integer(),
  errors: Type.Integer(),
  overage_calls: Type.Integer({ description: 'Admitted beyond a quota.' }),
  bytes_in: Type.Integer(),
  bytes_out: Type.Integer(),
});

interface Line {
  readonly account_id: string | null;
  readonly app_id: string | null;
  readonly key_id: string | null;
  readonly environment: string | null;
  readonly calls: number;
  readonly errors: number;
  readonly overage_calls: number;
  readonly bytes_in: number;
  readonly bytes_out: number;
}

const sums = ['calls', 'errors', 'overage_calls', 'bytes_in', 'bytes_out'] as const;

/** What each key has used in a month (UTC); calls without a key are lines of their own. */
export async function readBilling(db: Queryable, month: string, accountId: string | null): Promise<Line[]> {
  const rows = await db.query<Line>(
    `SELECT nullif(account_id, '') AS account_id, nullif(app_id, '') AS app_id, nullif(key_id, '') AS key_id,
       nullif(environment, '') AS environment, ${sums.map((name) => `sum(${name})::bigint AS ${name}`).join(', ')}
     FROM api_usage_rollups_day
     WHERE day >= $1::date AND day < ($1::date + interval '1 month') AND ($2::text IS NULL OR account_id = $2)
     GROUP BY 1, 2, 3, 4 ORDER BY 1 NULLS LAST, 2 NULLS LAST, 3 NULLS LAST, 4 NULLS LAST`,
    [`${month}-01`, accountId],
  );
  return rows.map((row) => ({ ...row }));
}

/** `GET /admin/v1/billing/usage?month=2025-01`. */
export function addBillingRoutes(app: App, { db, auth }: Context): void {
  app.get(
    '/admin/v1/billing/usage',
    {
      onRequest: auth.operator,
      schema: {
        operationId: 'getBillingUsage',
        tags: ['operator'],
        security: [{ operator: [] }],
        summary: 'What each key has used in a month',
        description: 'The totals equal the number of usage events of the month.',
        querystring: Type.Object({
          month: Type.String({
            pattern: '^[0-9]{4}-(0[1-9]|1[0-2])$',
            examples: ['2025-01'],
            description: 'UTC.',
          }),
          account: Type.Optional(Type.String({ maxLength: 128, pattern: '^[^\\u0000]*$' })),
          format: Type.Optional(Type.Union([Type.Literal('json'), Type.Literal('csv')], { default: 'json' })),
        }),
        response: {
          200: Type.Object({
            month: Type.String(),
            totals: Type.Pick(line, [...sums]),
            data: Type.Array(line),
          }),
          ...problemReplies('credentials_invalid', 'forbidden', 'invalid_parameter'),
        },
      },
    },
    async (request, reply) => {
      const { month, account, format } = request.query;
      const data = await readBilling(db, month, account ?? null);
      if (format === 'csv') {
        const text = toCsv(['account_id', 'app_id', 'key_id', 'environment', ...sums], data as never);
        return reply
          .type('text/csv; charset=utf-8')
          .header('content-disposition', `attachment; filename="billing-${month}.csv"`)
          .serializer((body: unknown) => body as string)
          .send(text as never);
      }
      const totals = { calls: 0, errors: 0, overage_calls: 0, bytes_in: 0, bytes_out: 0 };
      for (const entry of data) for (const name of sums) totals[name] += entry[name];
      return { month, totals, data };
    },
  );
}
