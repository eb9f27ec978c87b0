import { isDeepStrictEqual } from 'node:util';
import type { DeclaredKind, DeclaredResource } from '#contract/sections.ts';

/** One difference between two configurations. */
export interface ResourceChange {
  readonly action: 'create' | 'update' | 'delete';
  readonly kind: DeclaredKind;
  readonly id: string;
  readonly before: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
}

/**
 * What has to change for `wanted` to hold. Without `prune`, resources that are not wanted stay. Deletions come last
 * in the reverse order of creation, so that nothing refers to what is gone.
 */
export function compareResources(
  current: readonly DeclaredResource[],
  wanted: readonly DeclaredResource[],
  prune: boolean,
): ResourceChange[] {
  const mark = ({ kind, id }: { kind: string; id: string }): string => `${kind}/${id}`;
  const present = new Map(current.map((resource) => [mark(resource), resource]));
  const changes: ResourceChange[] = [];
  for (const resource of wanted) {
    const { kind, id } = resource;
    const after = resource.object as unknown as Record<string, unknown>;
    const before = (present.get(mark(resource))?.object ?? null) as Record<string, unknown> | null;
    if (before === null) changes.push({ action: 'create', kind, id, before, after });
    else if (!isDeepStrictEqual(before, after)) changes.push({ action: 'update', kind, id, before, after });
  }
  if (!prune) return changes;
  const kept = new Set(wanted.map(mark));
  for (const { kind, id, object } of [...current].reverse()) {
    if (kept.has(mark({ kind, id }))) continue;
    changes.push({
      action: 'delete',
      kind,
      id,
      before: object as unknown as Record<string, unknown>,
      after: null,
    });
  }
  return changes;
}

/** The configuration after changes. */
export function applyChanges(
  current: readonly DeclaredResource[],
  changes: readonly ResourceChange[],
): DeclaredResource[] {
  const next = new Map(current.map((resource) => [`${resource.kind}/${resource.id}`, resource]));
  for (const { kind, id, after } of changes) {
    if (after === null) next.delete(`${kind}/${id}`);
    else next.set(`${kind}/${id}`, { kind, id, object: after } as unknown as DeclaredResource);
  }
  return [...next.values()];
}
