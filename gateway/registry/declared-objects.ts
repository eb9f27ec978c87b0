import type { Change, ObjectKind } from '#contract/registry.ts';

/** The objects that the configuration of a stand-alone gateway declares. */
export class DeclaredObjects {
  #objects = new Map<string, Change>();

  has(kind: ObjectKind, id: string): boolean {
    return this.#objects.has(`${kind} ${id}`);
  }

  /** What leads from the present declaration to another: its objects, and removals of those that it lacks. */
  changesTo(objects: readonly Change[]): Change[] {
    const wanted = new Set(objects.map(({ kind, id }) => `${kind} ${id}`));
    const gone = [...this.#objects]
      .filter(([name]) => !wanted.has(name))
      .map(([, { kind, id }]) => ({ kind, id, object: null }) as Change);
    return [...objects, ...gone];
  }

  set(objects: readonly Change[]): void {
    this.#objects = new Map(objects.map((change) => [`${change.kind} ${change.id}`, change]));
  }
}
