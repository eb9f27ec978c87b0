import Type, { type Static } from 'typebox';
import { originOf } from '../audit/record.ts';
import type { App, Context, FastifyRequest } from '../context.ts';
import type { Queryable } from '../database/database.ts';
import { problemReplies } from '../http/openapi.ts';
import { ProblemError } from '../http/problem.ts';
import { chooseAccount } from '../identity/account-choice.ts';
import { requireRole } from '../identity/caller.ts';
import { type Alert, raiseAlerts } from './raise.ts';
import { quotaAlert } from './traffic-rules.ts';

const preferences = Type.Object(
  {
    email: Type.Union([Type.Literal('immediate'), Type.Literal('digest'), Type.Literal('off')]),
    address: Type.Union(
      [Type.String({ pattern: '^[^@\\s\\u0000]+@[^@\\s\\u0000]+$', maxLength: 254 }), Type.Null()],
      {
        description: 'Null: the address of the account.',
      },
    ),
    muted_types: Type.Array(Type.String({ pattern: '^[a-z_.]{1,64}$' }), { maxItems: 50, uniqueItems: true }),
  },
  { additionalProperties: false },
);

async function readPreferences(db: Queryable, accountId: string): Promise<Static<typeof preferences>> {
  const [row] = await db.query<Static<typeof preferences>>(
    'SELECT email, address, muted_types FROM notice_preferences WHERE account_id = $1',
    [accountId],
  );
  return row ? { ...row } : { email: 'immediate', address: null, muted_types: [] };
}

const threshold = Type.Object({
  subject: Type.String({ maxLength: 256 }),
  scope: Type.String(),
  policy: Type.String(),
  period: Type.Union([Type.Literal('day'), Type.Literal('month')]),
  limit: Type.Number(),
  percent: Type.Union([Type.Literal(80), Type.Literal(90), Type.Literal(100)]),
  reachedAt: Type.Number({ minimum: 0, maximum: 8e15, description: 'Milliseconds since the epoch.' }),
});

/** How an account is told, and what gateways tell of quotas. */
export function addAlertRoutes(app: App, context: Context): void {
  const { db, audit, auth } = context;
  const tags = ['developer'];
  const security: Record<string, string[]>[] = [{ developer: [] }, { operator: [] }];
  const querystring = Type.Object({ account: Type.Optional(Type.String({ maxLength: 254 })) });
  const refusals = problemReplies('credentials_invalid', 'forbidden', 'not_found', 'validation_failed');
  const accountOf = async (request: FastifyRequest, wanted: string | undefined): Promise<string> => {
    const accountId = await chooseAccount(db, request, wanted);
    if (accountId === null) throw new ProblemError('invalid_parameter', 'Name the account with `account`.');
    return accountId;
  };

  app.get(
    '/api/dev/notices/preferences',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'getNoticePreferences',
        tags,
        security,
        summary: 'How the account is told of alerts',
        querystring,
        response: { 200: preferences, ...refusals },
      },
    },
    async (request) => await readPreferences(db, await accountOf(request, request.query.account)),
  );

  app.put(
    '/api/dev/notices/preferences',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'putNoticePreferences',
        tags,
        security,
        summary: 'Choose e-mail at once, a daily digest or none, and mute types',
        querystring,
        body: preferences,
        response: { 200: preferences, ...refusals },
      },
    },
    async (request) => {
      requireRole(request, 'developer');
      const accountId = await accountOf(request, request.query.account);
      const { email, address, muted_types } = request.body;
      await db.transaction(async (tx) => {
        const before = await readPreferences(tx, accountId);
        await tx.execute(
          `INSERT INTO notice_preferences (account_id, email, address, muted_types) VALUES ($1, $2, $3, $4)
           ON CONFLICT (account_id) DO UPDATE SET email = $2, address = $3, muted_types = $4`,
          [accountId, email, address, muted_types],
        );
        await audit.record(tx, originOf(request), {
          action: 'notices.update',
          accountId,
          target: { account_id: accountId },
          before,
          after: request.body,
        });
      });
      return request.body;
    },
  );

  app.post(
    '/usage/v1/thresholds',
    {
      onRequest: auth.gateway,
      schema: {
        operationId: 'reportThresholds',
        tags: ['registry'],
        security: [{ gateway: [] }],
        summary: 'Tell that quotas of keys have reached a threshold',
        body: Type.Array(threshold, { maxItems: 1000 }),
        response: { 200: Type.Object({ raised: Type.Integer() }), ...refusals },
      },
    },
    async (request) => {
      const alerts: Alert[] = [];
      for (const { subject, scope, period, limit, percent, reachedAt } of request.body) {
        if (scope !== 'key') continue;
        const [key] = await db.query<{ app_id: string; account_id: string }>(
          `SELECT k.app_id, a.account_id FROM dev_app_keys k JOIN dev_apps a ON a.id = k.app_id WHERE k.key_id = $1`,
          [subject],
        );
        if (!key) continue;
        const owner = { keyId: subject, appId: key.app_id, accountId: key.account_id };
        alerts.push(quotaAlert(owner, period, limit, percent, new Date(reachedAt)));
      }
      return { raised: await raiseAlerts(db, alerts) };
    },
  );
}
