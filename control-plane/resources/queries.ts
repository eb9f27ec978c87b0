import type { ObjectKind } from '#contract/registry.ts';
import { type DeclaredKind, type DeclaredResource, declaredKinds } from '#contract/sections.ts';
import type { Queryable } from '../database/database.ts';
import type { ResourceChange } from './difference.ts';

const configurationLock = 0x63_6f_6e_66;

export interface ConfigurationRow {
  revision: number;
  created_at: Date;
  author: string;
  message: string;
  changes: { action: ResourceChange['action']; kind: DeclaredKind; id: string }[];
  sections: Record<string, unknown[]>;
}

/** The operator's resources, or those that features made; those that others refer to first. */
export async function readResources(
  db: Queryable,
  managedBy: 'operator' | 'system' = 'operator',
): Promise<DeclaredResource[]> {
  const rows = await db.query<DeclaredResource>(
    'SELECT kind, id, object FROM resources WHERE managed_by = $1 ORDER BY created_at, kind, id',
    [managedBy],
  );
  return rows
    .filter((row) => declaredKinds.includes(row.kind))
    .sort((a, b) => declaredKinds.indexOf(a.kind) - declaredKinds.indexOf(b.kind));
}

/** Kinds of registry objects that are kept as resources; apps, keys and data keys have tables of their own. */
export type ResourceKind = Exclude<ObjectKind, 'app' | 'key' | 'data_key'>;

/**
 * Sets a resource that a feature makes by itself; one that is the same already is not touched. Tells whether anything
 * changed.
 */
export async function putResource(
  tx: Queryable,
  kind: ResourceKind,
  object: { readonly id: string },
): Promise<boolean> {
  const changed = await tx.execute(
    `INSERT INTO resources (kind, id, object, managed_by) VALUES ($1, $2, $3, 'system')
     ON CONFLICT (kind, id) DO UPDATE SET object = excluded.object, updated_at = now()
     WHERE resources.managed_by = 'system' AND resources.object IS DISTINCT FROM excluded.object`,
    [kind, object.id, JSON.stringify(object)],
  );
  return changed > 0;
}

/** Removes a resource that a feature made. */
export async function deleteResource(tx: Queryable, kind: ResourceKind, id: string): Promise<boolean> {
  const removed = await tx.execute(
    `DELETE FROM resources WHERE kind = $1 AND id = $2 AND managed_by = 'system'`,
    [kind, id],
  );
  return removed > 0;
}

/** The revision of the configuration; 0 before the first. Held until the transaction ends when `lock` is set. */
export async function readConfigurationRevision(db: Queryable, lock = false): Promise<number> {
  if (lock) await db.query('SELECT pg_advisory_xact_lock($1)', [configurationLock]);
  const [row] = await db.query<{ revision: number }>(
    'SELECT coalesce(max(revision), 0) AS revision FROM configurations',
  );
  return row!.revision;
}

export async function storeChanges(tx: Queryable, changes: readonly ResourceChange[]): Promise<void> {
  for (const { kind, id, after } of changes) {
    if (after === null) {
      await tx.execute(`DELETE FROM resources WHERE kind = $1 AND id = $2 AND managed_by = 'operator'`, [
        kind,
        id,
      ]);
    } else {
      await tx.execute(
        `INSERT INTO resources (kind, id, object) VALUES ($1, $2, $3)
         ON CONFLICT (kind, id) DO UPDATE SET object = excluded.object, updated_at = now()
         WHERE resources.managed_by = 'operator'`,
        [kind, id, JSON.stringify(after)],
      );
    }
  }
}

export async function insertConfiguration(
  tx: Queryable,
  row: Omit<ConfigurationRow, 'created_at'>,
): Promise<void> {
  await tx.execute(
    'INSERT INTO configurations (revision, author, message, changes, sections) VALUES ($1, $2, $3, $4, $5)',
    [row.revision, row.author, row.message, JSON.stringify(row.changes), JSON.stringify(row.sections)],
  );
}

export async function findConfiguration(
  db: Queryable,
  revision: number,
): Promise<ConfigurationRow | undefined> {
  return (
    await db.query<ConfigurationRow>('SELECT * FROM configurations WHERE revision = $1', [revision])
  )[0];
}

/** Newest first, without their contents. */
export async function listConfigurations(
  db: Queryable,
  below: number | null,
  limit: number,
): Promise<Omit<ConfigurationRow, 'sections'>[]> {
  return await db.query(
    `SELECT revision, created_at, author, message, changes FROM configurations
     WHERE $1::bigint IS NULL OR revision < $1 ORDER BY revision DESC LIMIT $2`,
    [below, limit],
  );
}

/** Plans and versions that apps and keys use. */
export async function listUses(
  db: Queryable,
): Promise<{ kind: 'plan' | 'version'; id: string; app: string }[]> {
  return await db.query(
    `SELECT DISTINCT ON (kind, id) kind, id, app FROM (
       SELECT 'plan' AS kind, plan AS id, id AS app FROM dev_apps WHERE plan IS NOT NULL
       UNION ALL SELECT 'version', api_version, id FROM dev_apps WHERE api_version IS NOT NULL
       UNION ALL SELECT 'plan', plan, app_id FROM dev_app_keys WHERE plan IS NOT NULL
       UNION ALL SELECT 'version', api_version, app_id FROM dev_app_keys WHERE api_version IS NOT NULL
     ) used`,
  );
}
