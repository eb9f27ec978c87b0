import type { Certificate, Route, Service } from '#contract/registry.ts';
import type { Version } from '#contract/versions.ts';
import type { RoutingInput } from '../compile.ts';
import type { PlainChange } from './state.ts';

/** The objects that every worker holds. */
export interface Replicated extends RoutingInput {
  readonly certificates: ReadonlyMap<string, Certificate>;
}

export const nothingReplicated: Replicated = {
  services: new Map(),
  routes: new Map(),
  versions: new Map(),
  certificates: new Map(),
};

/** The objects with changes made; what they were made from stays as it is. */
export function changedObjects(present: Replicated, changes: readonly PlainChange[]): Replicated {
  const changed = {
    service: new Map<string, Service>(present.services),
    route: new Map<string, Route>(present.routes),
    version: new Map<string, Version>(present.versions),
    certificate: new Map<string, Certificate>(present.certificates),
  };
  for (const { kind, id, object } of changes) {
    if (kind === 'data_key') continue;
    const map: Map<string, unknown> = changed[kind];
    if (object === null) map.delete(id);
    else map.set(id, object);
  }
  return {
    services: changed.service,
    routes: changed.route,
    versions: changed.version,
    certificates: changed.certificate,
  };
}

/** The changes that lead from what there is to exactly the given objects. */
export function replacingChanges(
  present: { readonly [K in PlainChange['kind']]: ReadonlyMap<string, unknown> },
  wanted: readonly PlainChange[],
): PlainChange[] {
  const kept = new Set(wanted.map(({ kind, id }) => `${kind} ${id}`));
  const changes: PlainChange[] = [];
  for (const kind of ['route', 'service', 'version', 'certificate', 'data_key'] as const) {
    for (const id of present[kind].keys()) {
      if (!kept.has(`${kind} ${id}`)) changes.push({ kind, id, object: null });
    }
  }
  return [...changes, ...wanted];
}
