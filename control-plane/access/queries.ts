import type { Environment } from '#contract/keys.ts';
import type { Queryable } from '../database/database.ts';

export interface AccessRequestRow {
  id: string;
  app_id: string;
  account_id: string;
  environment: Environment;
  status: 'pending' | 'approved' | 'refused';
  reason: string;
  requested_by: string;
  note: string | null;
  decided_by: string | null;
  created_at: Date;
  decided_at: Date | null;
}

export interface GrantRow {
  environment: Environment;
  audiences: string[];
  granted_by: string;
  granted_at: Date;
}

const source = 'dev_access_requests r JOIN dev_apps a ON a.id = r.app_id';

/** Whether an app may have keys in an environment. Test is open to all. */
export async function isGranted(db: Queryable, appId: string, environment: Environment): Promise<boolean> {
  if (environment === 'test') return true;
  const rows = await db.query('SELECT 1 FROM dev_app_environments WHERE app_id = $1 AND environment = $2', [
    appId,
    environment,
  ]);
  return rows.length > 0;
}

export async function listGrants(db: Queryable, appId: string): Promise<GrantRow[]> {
  return await db.query<GrantRow>(
    'SELECT environment, audiences, granted_by, granted_at FROM dev_app_environments WHERE app_id = $1 ORDER BY environment',
    [appId],
  );
}

export async function putGrant(
  tx: Queryable,
  grant: { appId: string; environment: Environment; audiences: readonly string[]; grantedBy: string },
): Promise<void> {
  await tx.execute(
    `INSERT INTO dev_app_environments (app_id, environment, audiences, granted_by) VALUES ($1, $2, $3, $4)
     ON CONFLICT (app_id, environment) DO UPDATE
     SET audiences = excluded.audiences, granted_by = excluded.granted_by, granted_at = now()`,
    [grant.appId, grant.environment, grant.audiences, grant.grantedBy],
  );
}

export async function deleteGrant(tx: Queryable, appId: string, environment: Environment): Promise<boolean> {
  const removed = await tx.execute(
    'DELETE FROM dev_app_environments WHERE app_id = $1 AND environment = $2',
    [appId, environment],
  );
  return removed > 0;
}

export async function insertAccessRequest(
  tx: Queryable,
  request: { id: string; appId: string; environment: Environment; reason: string; requestedBy: string },
): Promise<void> {
  await tx.execute(
    `INSERT INTO dev_access_requests (id, app_id, environment, reason, requested_by) VALUES ($1, $2, $3, $4, $5)`,
    [request.id, request.appId, request.environment, request.reason, request.requestedBy],
  );
}

export async function findAccessRequest(
  db: Queryable,
  id: string,
  lock = false,
): Promise<AccessRequestRow | undefined> {
  const [row] = await db.query<AccessRequestRow>(
    `SELECT r.*, a.account_id FROM ${source} WHERE r.id = $1${lock ? ' FOR UPDATE OF r' : ''}`,
    [id],
  );
  return row;
}

export async function listAccessRequests(
  db: Queryable,
  filter: { accountId: string | null; appId: string | null; status: string | null },
  after: readonly string[] | null,
  limit: number,
): Promise<AccessRequestRow[]> {
  return await db.query<AccessRequestRow>(
    `SELECT r.*, a.account_id FROM ${source}
     WHERE ($1::text IS NULL OR a.account_id = $1) AND ($2::text IS NULL OR r.app_id = $2)
       AND ($3::text IS NULL OR r.status = $3)
       AND ($4::timestamptz IS NULL OR (date_trunc('milliseconds', r.created_at), r.id) > ($4, $5))
     ORDER BY date_trunc('milliseconds', r.created_at), r.id LIMIT $6`,
    [filter.accountId, filter.appId, filter.status, after?.[0] ?? null, after?.[1] ?? null, limit],
  );
}

export async function decideAccessRequest(
  tx: Queryable,
  id: string,
  status: 'approved' | 'refused',
  note: string | null,
  decidedBy: string,
): Promise<void> {
  await tx.execute(
    `UPDATE dev_access_requests SET status = $2, note = $3, decided_by = $4, decided_at = now() WHERE id = $1`,
    [id, status, note, decidedBy],
  );
}
