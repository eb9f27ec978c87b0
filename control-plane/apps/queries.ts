import type { Queryable } from '../database/database.ts';

export interface AppRow {
  id: string;
  account_id: string;
  name: string;
  description: string;
  plan: string | null;
  api_version: string | null;
  created_at: Date;
  updated_at: Date;
}

/** An app the account may see; `accountId` null sees all. */
export async function findApp(
  db: Queryable,
  appId: string,
  accountId: string | null,
  lock = false,
): Promise<AppRow | undefined> {
  const [row] = await db.query<AppRow>(
    `SELECT * FROM dev_apps WHERE id = $1 AND ($2::text IS NULL OR account_id = $2)${lock ? ' FOR UPDATE' : ''}`,
    [appId, accountId],
  );
  return row;
}

export async function listApps(
  db: Queryable,
  accountId: string | null,
  after: readonly string[] | null,
  limit: number,
): Promise<AppRow[]> {
  return await db.query<AppRow>(
    `SELECT * FROM dev_apps
     WHERE ($1::text IS NULL OR account_id = $1)
       AND ($2::timestamptz IS NULL OR (date_trunc('milliseconds', created_at), id) > ($2, $3))
     ORDER BY date_trunc('milliseconds', created_at), id LIMIT $4`,
    [accountId, after?.[0] ?? null, after?.[1] ?? null, limit],
  );
}

export async function insertApp(
  tx: Queryable,
  app: { id: string; accountId: string; name: string; description?: string; version?: string | null },
): Promise<AppRow> {
  const [row] = await tx.query<AppRow>(
    `INSERT INTO dev_apps (id, account_id, name, description, api_version) VALUES ($1, $2, $3, $4, $5) RETURNING *`,
    [app.id, app.accountId, app.name, app.description ?? '', app.version ?? null],
  );
  return row!;
}

export async function updateApp(tx: Queryable, app: AppRow): Promise<AppRow> {
  const [row] = await tx.query<AppRow>(
    `UPDATE dev_apps SET name = $2, description = $3, plan = $4, api_version = $5, updated_at = now()
     WHERE id = $1 RETURNING *`,
    [app.id, app.name, app.description, app.plan, app.api_version],
  );
  return row!;
}

export async function deleteApp(tx: Queryable, appId: string): Promise<void> {
  await tx.execute('DELETE FROM dev_apps WHERE id = $1', [appId]);
}

/** The ids of API versions there are. */
export async function listVersions(db: Queryable): Promise<string[]> {
  return (await db.query<{ id: string }>(`SELECT id FROM resources WHERE kind = 'version' ORDER BY id`)).map(
    (row) => row.id,
  );
}

export async function planExists(db: Queryable, plan: string): Promise<boolean> {
  return (await db.query(`SELECT 1 FROM resources WHERE kind = 'plan' AND id = $1`, [plan])).length > 0;
}
