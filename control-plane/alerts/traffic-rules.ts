import type { Queryable } from '../database/database.ts';
import { minuteMs } from '../usage/aggregate.ts';
import { readQuotas } from '../usage/quotas.ts';
import { quantilesOf } from '../usage/sketch.ts';
import { type Alert, operatorAccount } from './raise.ts';

const windowMinutes = 5;
/** Fewer calls in the window say little. */
const minCalls = 50;
const maxErrorRate = 0.05;
const maxP95Ms = 1000;
const maxFailedAuthentications = 100;
const thresholds: readonly number[] = [100, 90, 80];

/** Apps whose error rate or 95th percentile of latency was too high in the last full minutes; at most hourly each. */
export async function findTroubledApps(db: Queryable, now: Date): Promise<Alert[]> {
  const end = Math.floor(now.getTime() / minuteMs) * minuteMs;
  const rows = await db.query<{
    app_id: string;
    account_id: string;
    calls: number;
    errors: number;
    sketch: string;
  }>(
    `SELECT app_id, max(account_id) AS account_id, sum(calls)::bigint AS calls, sum(errors)::bigint AS errors,
       string_agg(array_to_string(latency_sketch, ','), ',') AS sketch
     FROM api_usage_rollups_minute WHERE minute >= $1 AND minute < $2 AND app_id <> '' AND account_id <> ''
     GROUP BY app_id HAVING sum(calls) >= $3`,
    [new Date(end - windowMinutes * minuteMs), new Date(end), minCalls],
  );
  const hour = new Date(end).toISOString().slice(0, 13);
  const alerts: Alert[] = [];
  for (const { app_id, account_id: accountId, calls, errors, sketch } of rows) {
    const errorRate = errors / calls;
    const [p95] = quantilesOf(sketch.split(',').map(Number), [0.95]);
    const observed = { app_id, minutes: windowMinutes, calls };
    if (errorRate > maxErrorRate) {
      alerts.push({
        mark: `alert.error_rate ${app_id} ${hour}`,
        type: 'alert.error_rate',
        accountId,
        payload: { ...observed, errors, error_rate: Number(errorRate.toFixed(4)) },
      });
    }
    if (p95! > maxP95Ms) {
      alerts.push({
        mark: `alert.latency ${app_id} ${hour}`,
        type: 'alert.latency',
        accountId,
        payload: { ...observed, p95_ms: Math.round(p95!) },
      });
    }
  }
  return alerts;
}

/** Too many failed authentications in one of the last full minutes: for the account of the key, and for the operator. */
export async function findFailedAuthentications(db: Queryable, now: Date): Promise<Alert[]> {
  const end = Math.floor(now.getTime() / minuteMs) * minuteMs;
  const rows = await db.query<{ account_id: string | null; failures: number; minute: Date }>(
    `SELECT minute, account_id, sum(calls)::bigint AS failures FROM api_usage_rollups_minute
     WHERE minute >= $1 AND minute < $2 AND status_code = 401
     GROUP BY GROUPING SETS ((minute, account_id), (minute)) HAVING sum(calls) > $3 ORDER BY minute`,
    [new Date(end - windowMinutes * minuteMs), new Date(end), maxFailedAuthentications],
  );
  return rows.flatMap(({ account_id, failures, minute }) => {
    if (account_id === '') return [];
    const accountId = account_id ?? operatorAccount;
    return {
      mark: `alert.authentication ${accountId} ${minute.toISOString().slice(0, 13)}`,
      type: 'alert.authentication' as const,
      accountId,
      payload: { failures, minute: minute.toISOString() },
    };
  });
}

/** Keys that have reached 80, 90 or 100 per cent of a quota, or gone beyond it. */
export async function findQuotaThresholds(db: Queryable, now: Date): Promise<Alert[]> {
  const alerts: Alert[] = [];
  for (const quota of await readQuotas(db, now, null)) {
    for (const [period, { limit, used }] of [
      ['day', quota.today],
      ['month', quota.month],
    ] as const) {
      if (limit === null) continue;
      const percent = thresholds.find((threshold) => used * 100 >= limit * threshold);
      if (percent === undefined) continue;
      alerts.push(quotaAlert(quota, period, limit, percent, now));
      if (used > limit) alerts.push(exceededAlert(quota, period, limit, used, now));
    }
  }
  return alerts;
}

interface QuotaSubject {
  readonly keyId: string;
  readonly appId: string;
  readonly accountId: string;
}

const periodOf = (period: 'day' | 'month', now: Date): string =>
  now.toISOString().slice(0, period === 'day' ? 10 : 7);

/** A threshold that a key has reached; counted here or told by a gateway, it is the same occasion. */
export function quotaAlert(
  { keyId, appId, accountId }: QuotaSubject,
  period: 'day' | 'month',
  limit: number,
  percent: number,
  now: Date,
): Alert {
  return {
    mark: `quota.threshold ${keyId} ${period} ${periodOf(period, now)} ${percent}`,
    type: 'quota.threshold',
    accountId,
    payload: { key_id: keyId, app_id: appId, period, limit, percent },
  };
}

function exceededAlert(
  { keyId, appId, accountId }: QuotaSubject,
  period: 'day' | 'month',
  limit: number,
  used: number,
  now: Date,
): Alert {
  return {
    mark: `quota.exceeded ${keyId} ${period} ${periodOf(period, now)}`,
    type: 'quota.exceeded',
    accountId,
    payload: { key_id: keyId, app_id: appId, period, limit, used },
  };
}
