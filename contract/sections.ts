import type { FieldError } from './problems.ts';
import { type Change, type ObjectKind, objectKinds, objectSchemas } from './registry.ts';
import { check } from './validation.ts';

/** Resources as an operator declares them: one list for each kind. */

/** Kinds that are declared. Apps and keys belong to developers, and what holds secrets to the database. */
export type DeclaredKind = Exclude<ObjectKind, 'app' | 'key' | 'data_key' | 'certificate'>;
export type DeclaredResource = Extract<Change, { readonly kind: DeclaredKind }> & {
  readonly object: NonNullable<unknown>;
};

const undeclared: readonly ObjectKind[] = ['app', 'key', 'data_key', 'certificate'];

export const declaredKinds = objectKinds.filter((kind): kind is DeclaredKind => !undeclared.includes(kind));

/** The name of a kind's list: `services` for `service`. */
export function sectionOf(kind: DeclaredKind): string {
  return `${kind}s`;
}

/** Ids that exist besides the declared ones, for references to them. */
export type KnownIds = Readonly<Partial<Record<DeclaredKind, ReadonlySet<string>>>>;

/** What is wrong at a place, and what was probably meant. */
export interface HintedError extends FieldError {
  readonly hint?: string;
}

/**
 * Checks sections of resources, `{ services: […], routes: […], … }`, and the references between them. `known` are ids
 * that exist besides.
 */
export function parseSections(
  sections: Readonly<Record<string, unknown>>,
  known: KnownIds = {},
):
  | { readonly ok: true; readonly value: DeclaredResource[] }
  | { readonly ok: false; readonly errors: HintedError[] } {
  const errors: HintedError[] = [];
  const value = readSections(sections, known, errors);
  return errors.length > 0 ? { ok: false, errors } : { ok: true, value };
}

/** Resources as sections: the form that `parseSections` reads and the declaration's text has. */
export function toSections(resources: readonly DeclaredResource[]): Record<string, unknown[]> {
  const sections: Record<string, unknown[]> = {};
  for (const kind of declaredKinds) {
    const objects = resources.filter((resource) => resource.kind === kind).map((resource) => resource.object);
    if (objects.length > 0) sections[sectionOf(kind)] = objects;
  }
  return sections;
}

/** As `parseSections`, adding what is wrong to `problems`. */
export function readSections(
  sections: Readonly<Record<string, unknown>>,
  known: KnownIds,
  problems: HintedError[],
): DeclaredResource[] {
  const resources: DeclaredResource[] = [];
  for (const [section, content] of Object.entries(sections)) {
    const kind = declaredKinds.find((each) => sectionOf(each) === section);
    if (kind) readSection(kind, content, resources, problems);
    else {
      const names = ['gateway', 'onboarding', ...declaredKinds.map(sectionOf)];
      problems.push({
        pointer: `/${escapePart(section)}`,
        detail: `unknown section ${JSON.stringify(section)}`,
        hint: nearest(section, names) ?? `sections are ${names.join(', ')}`,
      });
    }
  }
  checkReferences(resources, sections, known, problems);
  return resources;
}

function readSection(
  kind: DeclaredKind,
  content: unknown,
  resources: DeclaredResource[],
  problems: HintedError[],
): void {
  const base = `/${sectionOf(kind)}`;
  if (content === null || content === undefined) return;
  if (!Array.isArray(content)) {
    problems.push({ pointer: base, detail: 'must be a list' });
    return;
  }
  const places = new Map<string, number>();
  content.forEach((object: unknown, index) => {
    const pointer = `${base}/${index}`;
    const errors = check(objectSchemas[kind], object);
    for (const error of errors) {
      problems.push({ ...error, pointer: pointer + error.pointer, ...hintFor(kind, error) });
    }
    const id = (object as { id?: unknown } | null)?.id;
    if (typeof id !== 'string') return;
    const first = places.get(id);
    if (first !== undefined) {
      problems.push({ pointer: `${pointer}/id`, detail: `${JSON.stringify(id)} is declared twice` });
    } else places.set(id, index);
    if (errors.length === 0) resources.push({ kind, id, object } as DeclaredResource);
  });
}

/** For a misspelt member: the one that was probably meant. */
function hintFor(kind: DeclaredKind, error: FieldError): { hint?: string } {
  const unknown = /^unknown member "([^"]+)"$/.exec(error.detail)?.[1];
  if (unknown === undefined) return {};
  let schema: unknown = objectSchemas[kind];
  for (const part of error.pointer.split('/').slice(1)) {
    const at = schema as { properties?: Record<string, unknown>; items?: unknown };
    schema = at.properties?.[part] ?? at.items;
    if (!schema) return {};
  }
  const hint = nearest(unknown, Object.keys((schema as { properties?: object }).properties ?? {}));
  return hint ? { hint } : {};
}

/** References between resources: where they stand, the kind they lead to. */
function checkReferences(
  resources: readonly DeclaredResource[],
  root: Readonly<Record<string, unknown>>,
  known: KnownIds,
  problems: HintedError[],
): void {
  const ids = (kind: DeclaredKind): Set<string> => {
    const section = root[sectionOf(kind)];
    const declared = Array.isArray(section)
      ? section.map((entry) => (entry as { id?: unknown } | null)?.id).filter((id) => typeof id === 'string')
      : [];
    return new Set([...declared, ...(known[kind] ?? [])]);
  };
  const services = ids('service');
  const versions = ids('version');
  for (const resource of resources) {
    const section = root[sectionOf(resource.kind)] as { id?: unknown }[];
    const base = `/${sectionOf(resource.kind)}/${section.findIndex((entry) => entry?.id === resource.id)}`;
    const refer = (member: string, target: string | undefined, among: Set<string>, what: string): void => {
      if (target === undefined || among.has(target)) return;
      const hint = nearest(target, [...among]);
      const detail = `there is no ${what} ${JSON.stringify(target)}`;
      problems.push({ pointer: `${base}/${member}`, detail, ...(hint ? { hint } : {}) });
    };
    if (resource.kind === 'route') {
      refer('service', resource.object.service, services, 'service');
      refer('version', resource.object.version, versions, 'version');
    }
    if (resource.kind === 'version') refer('successor', resource.object.successor, versions, 'version');
  }
}

/** A member name as a part of a JSON pointer. */
export function escapePart(part: string): string {
  return part.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** `did you mean "x"?` for the candidate within two edits, or null. */
function nearest(word: string, candidates: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.min(3, Math.ceil(word.length / 2));
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best === null ? null : `did you mean ${JSON.stringify(best)}?`;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
