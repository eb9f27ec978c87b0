/** One difference between two configurations, as the control plane tells it. */
export interface ResourceChange {
  readonly action: 'create' | 'update' | 'delete';
  readonly kind: string;
  readonly id: string;
  readonly before: unknown;
  readonly after: unknown;
}

const signs = { create: '+', update: '~', delete: '-' } as const;

/** A change as lines to read: the resource, then for an update each member that differs. */
export function describeChange(change: ResourceChange): string[] {
  const lines = [`${signs[change.action]} ${change.kind} ${change.id}`];
  if (change.action !== 'update') return lines;
  const before = new Map(listMembers(change.before, ''));
  const after = new Map(listMembers(change.after, ''));
  for (const path of new Set([...before.keys(), ...after.keys()])) {
    const [old, next] = [before.get(path), after.get(path)];
    if (old === next) continue;
    if (old === undefined) lines.push(`    + ${path}: ${next}`);
    else if (next === undefined) lines.push(`    - ${path}: ${old}`);
    else lines.push(`    ~ ${path}: ${old} → ${next}`);
  }
  return lines;
}

function listMembers(value: unknown, path: string): [string, string][] {
  if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) {
    return [[path, JSON.stringify(value)]];
  }
  return Object.entries(value).flatMap(([name, member]) => {
    const place = Array.isArray(value) ? `${path}[${name}]` : path === '' ? name : `${path}.${name}`;
    return listMembers(member, place);
  });
}
