import Type from 'typebox';
import { defaultLimits, defaultPlanId } from '#contract/limits.ts';
import type { Plan } from '#contract/registry.ts';
import { originOf } from '../audit/record.ts';
import type { Feature } from '../context.ts';
import type { Queryable } from '../database/database.ts';
import { checkPrecondition, sendTagged } from '../http/entity-tag.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { notFound } from '../http/problem.ts';
import { visibleAccount } from '../identity/caller.ts';
import { findKey } from './queries.ts';
import { keyParams } from './schema.ts';

const overage = Type.Union([Type.Literal('block'), Type.Literal('warn'), Type.Literal('charge')]);
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const limits = {
  burst_limit: orNull(Type.Integer({ minimum: 1, maximum: 1e9, examples: [600] })),
  sustained_limit: orNull(Type.Integer({ minimum: 1, maximum: 1e9, examples: [100] })),
  daily_quota: orNull(Type.Integer({ minimum: 1, maximum: 1e12, examples: [1_000_000] })),
  overage_action: orNull(overage),
};
const quotaReply = Type.Object({
  key_id: Type.String(),
  plan: Type.String({ description: 'The plan that holds where nothing is set here.' }),
  ...limits,
  effective: Type.Object(limits, { description: 'What holds, from here or from the plan.' }),
});
const quotaBody = Type.Object(
  {
    burst_limit: Type.Optional(limits.burst_limit),
    sustained_limit: Type.Optional(limits.sustained_limit),
    daily_quota: Type.Optional(limits.daily_quota),
    overage_action: Type.Optional(limits.overage_action),
  },
  { additionalProperties: false, description: 'null: as the plan says.' },
);

interface QuotaRow {
  burst_limit: number | null;
  sustained_limit: number | null;
  daily_quota: number | null;
  overage_action: 'block' | 'warn' | 'charge' | null;
}

/** The limits of a key: developers read them, the operator sets them. */
export const quotas: Feature = (app, context) => {
  const { db, audit, auth } = context;

  app.get(
    '/api/dev/keys/:keyId/quota',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'getQuota',
        tags: ['developer'],
        security: callers.developer,
        summary: 'Get the limits of a key',
        params: keyParams,
        response: { 200: quotaReply, ...problemReplies('credentials_invalid', 'not_found') },
      },
    },
    async (request, reply) =>
      sendTagged(request, reply, await readQuota(db, request.params.keyId, visibleAccount(request))),
  );

  app.patch(
    '/api/dev/keys/:keyId/quota',
    {
      onRequest: auth.operator,
      schema: {
        operationId: 'setQuota',
        tags: ['operator'],
        security: callers.operator,
        summary: 'Set limits of a key',
        params: keyParams,
        body: quotaBody,
        response: {
          200: quotaReply,
          ...problemReplies(
            'credentials_invalid',
            'forbidden',
            'not_found',
            'precondition_failed',
            'validation_failed',
          ),
        },
      },
    },
    async (request, reply) => {
      const { keyId } = request.params;
      const quota = await db.transaction(async (tx) => {
        const key = await findKey(tx, keyId, null, true);
        if (!key) throw notFound('key');
        const before = await readQuota(tx, keyId, null);
        checkPrecondition(request, before);
        const next: QuotaRow = { ...before, ...request.body };
        await tx.execute(
          `INSERT INTO api_key_quotas (key_id, burst_limit, sustained_limit, daily_quota, overage_action)
           VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (key_id) DO UPDATE SET
             burst_limit = excluded.burst_limit, sustained_limit = excluded.sustained_limit,
             daily_quota = excluded.daily_quota, overage_action = excluded.overage_action`,
          [keyId, next.burst_limit, next.sustained_limit, next.daily_quota, next.overage_action],
        );
        const after = await readQuota(tx, keyId, null);
        await audit.record(tx, originOf(request), {
          action: 'quota.update',
          accountId: key.account_id,
          target: { key_id: keyId, app_id: key.app_id },
          before,
          after,
        });
        return after;
      });
      return sendTagged(request, reply, quota);
    },
  );
};

async function readQuota(db: Queryable, keyId: string, accountId: string | null) {
  const [row] = await db.query<QuotaRow & { plan: string | null; object: Plan | null }>(
    `SELECT q.burst_limit, q.sustained_limit, q.daily_quota, q.overage_action,
            coalesce(k.plan, a.plan) AS plan, p.object
     FROM dev_app_keys k
     LEFT JOIN dev_apps a ON a.id = k.app_id
     LEFT JOIN api_key_quotas q ON q.key_id = k.key_id
     LEFT JOIN resources p ON p.kind = 'plan' AND p.id = coalesce(k.plan, a.plan, $3)
     WHERE k.key_id = $1 AND ($2::text IS NULL OR a.account_id = $2)`,
    [keyId, accountId, defaultPlanId],
  );
  if (!row) throw notFound('key');
  const { plan, object, ...set } = row;
  const planLimits = object?.limits ?? defaultLimits;
  const bucket = planLimits.find((limit) => limit.kind === 'token_bucket');
  const daily = planLimits.find((limit) => limit.kind === 'quota' && limit.period === 'day');
  return {
    key_id: keyId,
    plan: plan ?? defaultPlanId,
    ...set,
    effective: {
      burst_limit: set.burst_limit ?? bucket?.capacity ?? null,
      sustained_limit:
        set.sustained_limit ?? (bucket ? Math.round((bucket.refill * 60_000) / bucket.intervalMs) : null),
      daily_quota: set.daily_quota ?? (daily?.kind === 'quota' ? daily.limit : null),
      overage_action: set.overage_action ?? (daily?.kind === 'quota' ? (daily.overage ?? 'block') : null),
    },
  };
}
