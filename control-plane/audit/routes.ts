import Type from 'typebox';
import type { Feature } from '../context.ts';
import type { Queryable } from '../database/database.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { makePage, pageOf, pageQuery, parseCursor } from '../http/pagination.ts';
import { invalid } from '../http/problem.ts';
import { chooseAccount } from '../identity/account-choice.ts';
import { verifyAudit } from './verify.ts';

const text = Type.String({ minLength: 1, maxLength: 128, pattern: '^[^\\u0000]*$' });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

const entrySchema = Type.Object({
  id: Type.Integer(),
  created_at: Type.String({ format: 'date-time' }),
  actor: Type.String(),
  action: Type.String({ examples: ['key.revoke'] }),
  account_id: orNull(Type.String()),
  target: Type.Object({}, { additionalProperties: true, examples: [{ key_id: 'ak_live_xyz' }] }),
  before: Type.Unknown(),
  after: Type.Unknown(),
  ip: orNull(Type.String()),
  request_id: orNull(Type.String()),
  hash: Type.String(),
});

const filterQuery = Type.Object({
  ...pageQuery,
  account: Type.Optional(text),
  key_id: Type.Optional(text),
  app_id: Type.Optional(text),
  action: Type.Optional(text),
});

interface AuditRow {
  id: number;
  created_at: Date;
  actor: string;
  action: string;
  account_id: string | null;
  target: Record<string, unknown>;
  before: unknown;
  after: unknown;
  ip: string | null;
  request_id: string | null;
  hash: string;
}

/** Reading the audit log, newest first: developers that of their account, the operator all. */
export const audit: Feature = (app, context) => {
  const { db, auth } = context;
  app.get(
    '/api/dev/audit',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'listAudit',
        tags: ['developer'],
        security: callers.developer,
        summary: 'List what was done in the account, newest first',
        querystring: filterQuery,
        response: {
          200: pageOf(entrySchema),
          ...problemReplies('invalid_parameter', 'credentials_invalid', 'not_found'),
        },
      },
    },
    async (request) => {
      const { limit = 50, cursor, account, ...filter } = request.query;
      const accountId = await chooseAccount(db, request, account);
      const below = parseCursor(cursor, ['number']);
      const rows = await listEntries(db, accountId, below ? Number(below[0]) : null, filter, limit + 1);
      return makePage(
        rows,
        limit,
        (row) => ({ ...row, created_at: row.created_at.toISOString() }),
        (row) => [String(row.id)],
      );
    },
  );

  app.get(
    '/admin/v1/audit/verification',
    {
      onRequest: auth.operator,
      schema: {
        operationId: 'verifyAudit',
        tags: ['operator'],
        security: callers.operator,
        summary: 'Verify the hash chain of the audit log',
        description:
          '`head_id` and `head_hash`, noted from an earlier verification, also show a past rewritten whole.',
        querystring: Type.Object({
          head_id: Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })),
          head_hash: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
        }),
        response: {
          200: Type.Object({
            valid: Type.Boolean(),
            entries: Type.Integer(),
            head: Type.Object({ id: Type.Integer(), hash: Type.String() }),
            problems: Type.Array(
              Type.Object({
                id: Type.Integer(),
                problem: Type.Union([
                  Type.Literal('changed'),
                  Type.Literal('gap'),
                  Type.Literal('reordered'),
                  Type.Literal('missing_end'),
                ]),
              }),
            ),
          }),
          ...problemReplies('invalid_parameter', 'credentials_invalid', 'forbidden', 'validation_failed'),
        },
      },
    },
    async (request) => {
      const { head_id: id, head_hash: hash } = request.query;
      if ((id === undefined) !== (hash === undefined)) {
        throw invalid([{ pointer: '', detail: 'head_id and head_hash belong together' }]);
      }
      const verified = await verifyAudit(db, id === undefined ? null : { id, hash: hash! });
      return { valid: verified.problems.length === 0, ...verified, problems: [...verified.problems] };
    },
  );
};

async function listEntries(
  db: Queryable,
  accountId: string | null,
  below: number | null,
  filter: { key_id?: string; app_id?: string; action?: string },
  limit: number,
): Promise<AuditRow[]> {
  return await db.query<AuditRow>(
    `SELECT id, created_at, actor, action, account_id, target, before, after, ip, request_id, hash
     FROM dev_portal_audit
     WHERE ($1::text IS NULL OR account_id = $1) AND ($2::bigint IS NULL OR id < $2)
       AND ($3::text IS NULL OR target->>'key_id' = $3) AND ($4::text IS NULL OR target->>'app_id' = $4)
       AND ($5::text IS NULL OR action = $5)
     ORDER BY id DESC LIMIT $6`,
    [accountId, below, filter.key_id ?? null, filter.app_id ?? null, filter.action ?? null, limit],
  );
}
