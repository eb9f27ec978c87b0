import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  Scalar,
  stringify,
} from 'yaml';
import type { FieldError } from './problems.ts';
import { type Change, type ObjectKind, objectKinds, objectSchemas } from './registry.ts';
import { check } from './validation.ts';

/**
 * The declarative configuration (tollgate.yaml): `gateway` with the settings of a gateway process, and one list for
 * each kind of resource, whose entries are exactly the registry's objects. `${NAME}` and `${NAME:-default}` in
 * values are taken from the environment; `$${` stands for `${`.
 */

/** Kinds that are declared; apps, keys and data keys belong to the database. */
export type DeclaredKind = Exclude<ObjectKind, 'app' | 'key' | 'data_key'>;
export type DeclaredResource = Extract<Change, { readonly kind: DeclaredKind }> & {
  readonly object: NonNullable<unknown>;
};

export const declaredKinds = objectKinds.filter(
  (kind): kind is DeclaredKind => kind !== 'app' && kind !== 'key' && kind !== 'data_key',
);

/** The name of a kind's list: `services` for `service`. */
export function sectionOf(kind: DeclaredKind): string {
  return `${kind}s`;
}

export interface Declaration {
  /** The `gateway` section; undefined when there is none. To be checked by who uses it. */
  readonly gateway: unknown;
  readonly resources: readonly DeclaredResource[];
  /** The line in the text, from 1, of what a JSON pointer leads to. */
  readonly lineOf: (pointer: string) => number;
}

export interface DeclarationError extends FieldError {
  readonly line: number;
  readonly hint?: string;
}

export type ParsedDeclaration =
  | { readonly ok: true; readonly value: Declaration }
  | { readonly ok: false; readonly errors: DeclarationError[] };

export interface DeclarationOptions {
  /** For `${NAME}`. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /**
   * Ids that exist besides the declared ones, for references to them. Absent: the declaration stands for itself.
   */
  readonly known?: Readonly<Partial<Record<DeclaredKind, ReadonlySet<string>>>>;
}

const maxNodes = 200_000;

/** Parses the text of a declaration and checks all of it. Every error is reported at once. */
export function parseDeclaration(text: string, options: DeclarationOptions): ParsedDeclaration {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: true });
  if (document.errors.length > 0) {
    const errors = document.errors.map((error) => ({
      line: lineCounter.linePos(error.pos[0]).line,
      pointer: '',
      detail: error.message,
    }));
    return { ok: false, errors };
  }
  const reader = new Reader(lineCounter, options.environment, (alias) => alias.resolve(document));
  const root = reader.read(document.contents, '');
  const lineOf = (pointer: string): number => reader.lineOf(pointer);
  const problems: (FieldError & { hint?: string })[] = [...reader.errors];
  const resources: DeclaredResource[] = [];
  let gateway: unknown;
  if (root !== null && root !== undefined) {
    if (typeof root !== 'object' || Array.isArray(root)) {
      problems.push({ pointer: '', detail: 'must be a mapping of sections' });
    } else {
      for (const [section, content] of Object.entries(root as Record<string, unknown>)) {
        const kind = declaredKinds.find((each) => sectionOf(each) === section);
        if (section === 'gateway') gateway = content ?? undefined;
        else if (!kind) {
          const sections = ['gateway', ...declaredKinds.map(sectionOf)];
          problems.push({
            pointer: `/${escapePart(section)}`,
            detail: `unknown section ${JSON.stringify(section)}`,
            hint: nearest(section, sections) ?? `sections are ${sections.join(', ')}`,
          });
        } else readSection(kind, content, resources, problems);
      }
      checkReferences(resources, root as Record<string, unknown>, options.known ?? {}, problems);
    }
  }
  if (problems.length > 0) {
    const errors = problems.map((problem) => ({ line: lineOf(problem.pointer), ...problem }));
    return { ok: false, errors: errors.sort((a, b) => a.line - b.line) };
  }
  return { ok: true, value: { gateway, resources, lineOf } };
}

/** The declaration of resources as YAML text, which parses to the same resources. */
export function formatDeclaration(resources: readonly DeclaredResource[], gateway?: unknown): string {
  const root: Record<string, unknown> = gateway === undefined ? {} : { gateway };
  for (const kind of declaredKinds) {
    const objects = resources.filter((resource) => resource.kind === kind).map((resource) => resource.object);
    if (objects.length > 0) root[sectionOf(kind)] = objects.map((object) => escapeVariables(object));
  }
  return stringify(root, { lineWidth: 110 });
}

function readSection(
  kind: DeclaredKind,
  content: unknown,
  resources: DeclaredResource[],
  problems: (FieldError & { hint?: string })[],
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
  known: NonNullable<DeclarationOptions['known']>,
  problems: (FieldError & { hint?: string })[],
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

/** Turns YAML nodes into plain values, puts variables in and remembers where everything stands. */
class Reader {
  readonly errors: FieldError[] = [];
  readonly #lines: LineCounter;
  readonly #environment: DeclarationOptions['environment'];
  readonly #resolve: (alias: import('yaml').Alias) => Node | undefined;
  readonly #offsets = new Map<string, number>();
  #nodes = 0;

  constructor(
    lines: LineCounter,
    environment: DeclarationOptions['environment'],
    resolve: (alias: import('yaml').Alias) => Node | undefined,
  ) {
    this.#lines = lines;
    this.#environment = environment;
    this.#resolve = resolve;
  }

  lineOf(pointer: string): number {
    for (let at = pointer; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
      const offset = this.#offsets.get(at);
      if (offset !== undefined) return this.#lines.linePos(offset).line;
      if (at === '') return 1;
    }
  }

  read(node: unknown, pointer: string): unknown {
    if (++this.#nodes > maxNodes) {
      if (this.#nodes === maxNodes + 1) this.errors.push({ pointer: '', detail: 'has too many values' });
      return null;
    }
    const range = (node as Node | null)?.range;
    if (range && !this.#offsets.has(pointer)) this.#offsets.set(pointer, range[0]);
    if (isAlias(node)) return this.read(this.#resolve(node), pointer);
    if (isSeq(node)) return node.items.map((item, index) => this.read(item, `${pointer}/${index}`));
    if (isMap(node)) {
      const object: Record<string, unknown> = {};
      for (const pair of node.items) {
        const key = isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
        const place = `${pointer}/${escapePart(key)}`;
        if (key === '__proto__') {
          this.errors.push({ pointer, detail: 'unknown member "__proto__"' });
          continue;
        }
        const keyRange = (pair.key as Node | null)?.range;
        if (keyRange) this.#offsets.set(place, keyRange[0]);
        object[key] = this.read(pair.value, place);
      }
      return object;
    }
    if (isScalar(node)) return typeof node.value === 'string' ? this.#interpolate(node, pointer) : node.value;
    return null;
  }

  #interpolate(node: Scalar, pointer: string): unknown {
    const source = node.value as string;
    if (!source.includes('${')) return source;
    let replaced = false;
    const text = source.replace(
      /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{/g,
      (match, name: string | undefined, fallback: string | undefined) => {
        if (match === '$${') return '${';
        if (name === undefined) {
          this.errors.push({
            pointer,
            detail: 'has a "$" and "{" that do not begin "{NAME}" or "{NAME:-default}"',
          });
          return match;
        }
        replaced = true;
        const value = this.#environment[name];
        if (value !== undefined && (value !== '' || fallback === undefined)) return value;
        if (fallback !== undefined) return fallback;
        this.errors.push({ pointer, detail: `needs the environment variable ${name}, which is not set` });
        return match;
      },
    );
    return replaced && node.type === Scalar.PLAIN ? plainValue(text) : text;
  }
}

/** What a plain YAML scalar with this text is. */
function plainValue(text: string): unknown {
  if (/^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(text)) return Number(text);
  if (text === 'true' || text === 'false') return text === 'true';
  return text;
}

function escapeVariables(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('${', '$${');
  if (Array.isArray(value)) return value.map(escapeVariables);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, escapeVariables(member)]));
}

function escapePart(part: string): string {
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
