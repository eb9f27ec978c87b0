import type { Version } from '#contract/versions.ts';
import type { Queryable } from '../database/database.ts';

export interface AdoptionPoint {
  readonly day: string;
  readonly version: string | null;
  readonly calls: number;
  readonly apps: number;
}

/** Calls and calling apps of each version by day, since a date. */
export async function readAdoption(
  db: Queryable,
  from: string,
  accountId: string | null,
): Promise<AdoptionPoint[]> {
  return await db.query<AdoptionPoint>(
    `SELECT day, nullif(api_version, '') AS version, sum(calls)::bigint AS calls,
       (count(DISTINCT nullif(app_id, '')))::int AS apps
     FROM api_usage_rollups_day WHERE day >= $1::date AND ($2::text IS NULL OR account_id = $2)
     GROUP BY day, api_version ORDER BY day, api_version`,
    [from, accountId],
  );
}

export interface InactiveApp {
  readonly app_id: string;
  readonly name: string;
  readonly account_id: string;
  readonly owner: string;
  readonly created_at: Date;
  /** Null: never. */
  readonly last_call: string | null;
}

/** Apps that are at least as old and have not called since `since`. */
export async function readInactive(
  db: Queryable,
  since: string,
  accountId: string | null,
): Promise<InactiveApp[]> {
  return await db.query<InactiveApp>(
    `SELECT a.id AS app_id, a.name, a.account_id, c.email AS owner, a.created_at, u.last_call
     FROM dev_apps a JOIN dev_accounts c ON c.id = a.account_id
       LEFT JOIN LATERAL (SELECT max(day) AS last_call FROM api_usage_rollups_day r WHERE r.app_id = a.id) u ON true
     WHERE a.created_at < $1::date AND (u.last_call IS NULL OR u.last_call < $1::date)
       AND ($2::text IS NULL OR a.account_id = $2)
     ORDER BY u.last_call NULLS FIRST, a.id`,
    [since, accountId],
  );
}

export interface Straggler {
  readonly app_id: string;
  readonly name: string | null;
  readonly account_id: string;
  readonly owner: string | null;
  readonly calls: number;
  readonly last_call: string;
}

export interface Migration {
  readonly version: string;
  readonly state: string;
  readonly deprecated_at: string | null;
  readonly sunset_at: string | null;
  readonly successor: string | null;
  /** Calls in the time looked at to this version and to its successor. */
  readonly calls: number;
  readonly successor_calls: number;
  /** Share of the calls to both that the successor gets; null without a successor or calls. */
  readonly migrated: number | null;
  readonly apps: readonly Straggler[];
}

/** How far each deprecated version has been left, and who still calls it since `since`, most calls first. */
export async function readMigrations(db: Queryable, since: string): Promise<Migration[]> {
  const rows = await db.query<{ object: Version }>(
    `SELECT object FROM resources WHERE kind = 'version' AND object->>'state' <> 'active' ORDER BY id`,
  );
  const migrations: Migration[] = [];
  for (const { object: version } of rows) {
    const apps = await db.query<Straggler>(
      `SELECT r.app_id, a.name, coalesce(a.account_id, r.account_id) AS account_id, c.email AS owner, sum(r.calls)::bigint AS calls, max(r.day) AS last_call
       FROM api_usage_rollups_day r LEFT JOIN dev_apps a ON a.id = r.app_id
         LEFT JOIN dev_accounts c ON c.id = coalesce(a.account_id, r.account_id)
       WHERE r.api_version = $1 AND r.day >= $2::date AND r.app_id <> ''
       GROUP BY 1, 2, 3, 4 ORDER BY calls DESC, r.app_id`,
      [version.id, since],
    );
    const callsOf = async (id: string): Promise<number> => {
      const [row] = await db.query<{ calls: number }>(
        `SELECT coalesce(sum(calls), 0)::bigint AS calls FROM api_usage_rollups_day
         WHERE api_version = $1 AND day >= $2::date`,
        [id, since],
      );
      return row!.calls;
    };
    const calls = await callsOf(version.id);
    const successorCalls = version.successor ? await callsOf(version.successor) : 0;
    const both = calls + successorCalls;
    migrations.push({
      version: version.id,
      state: version.state,
      deprecated_at: version.deprecatedAt ?? null,
      sunset_at: version.sunsetAt ?? null,
      successor: version.successor ?? null,
      calls,
      successor_calls: successorCalls,
      migrated: version.successor && both > 0 ? Number((successorCalls / both).toFixed(4)) : null,
      apps: apps.map((app) => ({ ...app })),
    });
  }
  return migrations;
}
