import type { ObjectKind } from '#contract/registry.ts';
import type { Queryable } from '../database/database.ts';

/** Kinds of resources that the operator configures; apps, keys and data keys have tables of their own. */
export type ResourceKind = Exclude<ObjectKind, 'app' | 'key' | 'data_key'>;

export interface ResourceRow {
  kind: ResourceKind;
  id: string;
  object: Record<string, unknown> & { id: string };
  created_at: Date;
  updated_at: Date;
}

export async function readResources(db: Queryable): Promise<ResourceRow[]> {
  return await db.query<ResourceRow>('SELECT * FROM resources ORDER BY kind, id');
}

/** Sets a resource; one that is the same already is not touched. Tells whether anything changed. */
export async function putResource(
  tx: Queryable,
  kind: ResourceKind,
  object: { readonly id: string },
): Promise<boolean> {
  const changed = await tx.execute(
    `INSERT INTO resources (kind, id, object) VALUES ($1, $2, $3)
     ON CONFLICT (kind, id) DO UPDATE SET object = excluded.object, updated_at = now()
     WHERE resources.object IS DISTINCT FROM excluded.object`,
    [kind, object.id, JSON.stringify(object)],
  );
  return changed > 0;
}

export async function deleteResource(tx: Queryable, kind: ResourceKind, id: string): Promise<boolean> {
  return (await tx.execute('DELETE FROM resources WHERE kind = $1 AND id = $2', [kind, id])) > 0;
}
