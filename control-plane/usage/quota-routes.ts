import type { App, Context } from '../context.ts';
import { problemReplies } from '../http/openapi.ts';
import { requireApp } from './analytics-routes.ts';
import { type QuotaPeriod, readQuotas } from './quotas.ts';
import { appParams, forDevelopers, quotaReply } from './schema.ts';

/** `GET /api/dev/apps/:appId/quota`: what each key of an app has used and has left, today and this month. */
export function addQuotaRoutes(app: App, context: Context): void {
  app.get(
    '/api/dev/apps/:appId/quota',
    {
      onRequest: context.auth.developer,
      schema: {
        operationId: 'getQuotaUse',
        tags: ['developer'],
        security: forDevelopers,
        summary: 'Used and remaining quota of each key',
        description: 'Counted from usage events, which arrive within seconds.',
        params: appParams,
        response: { 200: quotaReply, ...problemReplies('credentials_invalid', 'forbidden', 'not_found') },
      },
    },
    async (request) => {
      await requireApp(context, request, request.params.appId);
      const quotas = await readQuotas(context.db, context.now(), request.params.appId);
      return quotas.map((quota) => ({
        key_id: quota.keyId,
        environment: quota.environment,
        overage_action: quota.overageAction,
        today: presentPeriod(quota.today),
        month: presentPeriod(quota.month),
      }));
    },
  );
}

function presentPeriod({ limit, used, overage, resetsAt }: QuotaPeriod) {
  return {
    limit,
    used,
    remaining: limit === null ? null : Math.max(0, limit - used),
    overage_calls: overage,
    resets_at: resetsAt.toISOString(),
  };
}
