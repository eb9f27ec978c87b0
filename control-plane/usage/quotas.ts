import { defaultLimits, defaultPlanId, type Limit, type Quota } from '#contract/limits.ts';
import type { Plan } from '#contract/registry.ts';
import type { Queryable } from '../database/database.ts';

/** What a key may use of a period and has used of it, as counted from its events. */
export interface QuotaPeriod {
  readonly limit: number | null;
  readonly used: number;
  readonly overage: number;
  readonly resetsAt: Date;
}

export interface KeyQuota {
  readonly keyId: string;
  readonly appId: string;
  readonly accountId: string;
  readonly environment: string;
  readonly overageAction: 'block' | 'warn' | 'charge';
  readonly today: QuotaPeriod;
  readonly month: QuotaPeriod;
}

interface KeyRow {
  key_id: string;
  app_id: string;
  account_id: string;
  environment: string;
  plan: string | null;
  daily_quota: number | null;
  overage_action: 'block' | 'warn' | 'charge' | null;
  used_today: number;
  overage_today: number;
  used_month: number;
  overage_month: number;
}

const usedOf = (since: string): string =>
  `SELECT key_id, sum(calls)::bigint AS used, sum(overage_calls)::bigint AS overage FROM api_usage_rollups_day
   WHERE day >= ${since}::date AND day <= $1::date AND key_id <> '' GROUP BY key_id`;

/**
 * The quotas of keys: of an app, or of all keys that have been used this month (null). A quota applies to keys whose
 * plan has one counted by key; `api_key_quotas` stands above the plan for the day.
 */
export async function readQuotas(db: Queryable, now: Date, appId: string | null): Promise<KeyQuota[]> {
  const plans = await readPlans(db);
  const today = now.toISOString().slice(0, 10);
  const rows = await db.query<KeyRow>(
    `WITH today AS (${usedOf('$1')}), month AS (${usedOf(`date_trunc('month', $1::date)`)})
     SELECT k.key_id, k.app_id, a.account_id, k.environment, coalesce(k.plan, a.plan) AS plan, q.daily_quota,
       q.overage_action, coalesce(t.used, 0)::bigint AS used_today, coalesce(t.overage, 0)::bigint AS overage_today,
       coalesce(m.used, 0)::bigint AS used_month, coalesce(m.overage, 0)::bigint AS overage_month
     FROM dev_app_keys k JOIN dev_apps a ON a.id = k.app_id LEFT JOIN api_key_quotas q ON q.key_id = k.key_id
       LEFT JOIN today t ON t.key_id = k.key_id LEFT JOIN month m ON m.key_id = k.key_id
     WHERE CASE WHEN $2::text IS NULL THEN m.used > 0 ELSE k.app_id = $2 END
     ORDER BY k.created_at, k.key_id`,
    [today, appId],
  );
  const nextDay = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + 1));
  const nextMonth = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1));
  return rows.map((row) => {
    const limits = plans.get(row.plan ?? defaultPlanId) ?? defaultLimits;
    const daily = quotaOf(limits, 'day');
    const monthly = quotaOf(limits, 'month');
    return {
      keyId: row.key_id,
      appId: row.app_id,
      accountId: row.account_id,
      environment: row.environment,
      overageAction: row.overage_action ?? daily?.overage ?? 'block',
      today: {
        limit: row.daily_quota ?? daily?.limit ?? null,
        used: row.used_today,
        overage: row.overage_today,
        resetsAt: nextDay,
      },
      month: {
        limit: monthly?.limit ?? null,
        used: row.used_month,
        overage: row.overage_month,
        resetsAt: nextMonth,
      },
    };
  });
}

async function readPlans(db: Queryable): Promise<Map<string, readonly Limit[]>> {
  const rows = await db.query<{ id: string; object: Plan }>(
    `SELECT id, object FROM resources WHERE kind = 'plan'`,
  );
  return new Map(rows.map(({ id, object }) => [id, object.limits]));
}

function quotaOf(limits: readonly Limit[], period: 'day' | 'month'): Quota | undefined {
  return limits.find(
    (limit): limit is Quota =>
      limit.kind === 'quota' && limit.period === period && (limit.scope ?? 'key') === 'key' && !limit.shadow,
  );
}
