import type { Version } from '#contract/versions.ts';
import type { Queryable } from '../database/database.ts';
import { dayMs } from '../usage/aggregate.ts';
import type { Alert } from './raise.ts';

const noticeDays: readonly number[] = [1, 7, 30];

/** The notice that is due so long before a date: 30, 7 or 1 days; null: none yet, or the date is past. */
export function noticeBefore(date: number, now: number): number | null {
  const left = date - now;
  if (left <= 0) return null;
  return noticeDays.find((days) => left <= days * dayMs) ?? null;
}

/** Keys that expire in 30, 7 or 1 days. */
export async function findExpiringKeys(db: Queryable, now: Date): Promise<Alert[]> {
  const rows = await db.query<{
    key_id: string;
    app_id: string;
    account_id: string;
    expires_at: Date;
    name: string;
  }>(
    `SELECT k.key_id, k.app_id, a.account_id, k.expires_at, k.name FROM dev_app_keys k JOIN dev_apps a ON a.id = k.app_id
     WHERE k.status = 'active' AND k.expires_at > $1 AND k.expires_at <= $2 ORDER BY k.expires_at`,
    [now, new Date(now.getTime() + 30 * dayMs)],
  );
  return rows.flatMap((row) => {
    const days = noticeBefore(row.expires_at.getTime(), now.getTime());
    if (days === null) return [];
    const expiresAt = row.expires_at.toISOString();
    return {
      mark: `key.expiring ${row.key_id} ${expiresAt} ${days}`,
      type: 'key.expiring' as const,
      accountId: row.account_id,
      payload: {
        key_id: row.key_id,
        app_id: row.app_id,
        name: row.name,
        expires_at: expiresAt,
        days_left: days,
      },
    };
  });
}

/** Deprecations and sunsets, in effect or in 30, 7 or 1 days, for accounts that called the version in the last 30 days. */
export async function findVersionDates(db: Queryable, now: Date): Promise<Alert[]> {
  const versions = await db.query<{ object: Version }>(`SELECT object FROM resources WHERE kind = 'version'`);
  const alerts: Alert[] = [];
  for (const { object: version } of versions) {
    const occasions = occasionsOf(version, now.getTime());
    if (occasions.length === 0) continue;
    const callers = await db.query<{ account_id: string; calls: number; app_ids: string[] }>(
      `SELECT account_id, sum(calls)::bigint AS calls, array_agg(DISTINCT app_id) AS app_ids
       FROM api_usage_rollups_day
       WHERE api_version = $1 AND day >= $2::date AND account_id <> '' GROUP BY account_id`,
      [version.id, new Date(now.getTime() - 30 * dayMs).toISOString().slice(0, 10)],
    );
    for (const { account_id: accountId, calls, app_ids } of callers) {
      for (const { type, date, days } of occasions) {
        alerts.push({
          mark: `${type} ${version.id} ${accountId} ${date ?? ''} ${days}`,
          type,
          accountId,
          payload: {
            version: version.id,
            date,
            days_left: days,
            successor: version.successor ?? null,
            documentation: version.documentation ?? null,
            calls_last_30_days: calls,
            app_ids,
          },
        });
      }
    }
  }
  return alerts;
}

interface Occasion {
  readonly type: 'version.deprecated' | 'version.sunset';
  readonly date: string | null;
  /** 0: in effect. */
  readonly days: number;
}

function occasionsOf(version: Version, now: number): Occasion[] {
  const occasions: Occasion[] = [];
  const { deprecatedAt = null, sunsetAt = null, state } = version;
  const untilDeprecation = deprecatedAt === null ? null : noticeBefore(Date.parse(deprecatedAt), now);
  const isDeprecated = deprecatedAt === null ? state === 'deprecated' : Date.parse(deprecatedAt) <= now;
  if (untilDeprecation !== null) {
    occasions.push({ type: 'version.deprecated', date: deprecatedAt, days: untilDeprecation });
  } else if (isDeprecated && state !== 'sunset') {
    occasions.push({ type: 'version.deprecated', date: deprecatedAt, days: 0 });
  }
  const untilSunset = sunsetAt === null ? null : noticeBefore(Date.parse(sunsetAt), now);
  if (untilSunset !== null) occasions.push({ type: 'version.sunset', date: sunsetAt, days: untilSunset });
  return occasions;
}
