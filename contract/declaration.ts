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
import {
  type DeclaredResource,
  escapePart,
  type HintedError,
  type KnownIds,
  readSections,
  toSections,
} from './sections.ts';

/**
 * The declarative configuration (tollgate.yaml): `gateway` with the settings of a gateway process, `onboarding` with
 * those of tenant onboarding, and one list for each kind of resource, whose entries are exactly the registry's objects. `${NAME}` and `${NAME:-default}` in
 * values are taken from the environment; `$${` stands for `${`.
 */

export interface Declaration {
  /** The `gateway` section; undefined when there is none. To be checked by who uses it. */
  readonly gateway: unknown;
  /** The `onboarding` section, likewise. */
  readonly onboarding?: unknown;
  readonly resources: readonly DeclaredResource[];
  /** The line in the text, from 1, of what a JSON pointer leads to. */
  readonly lineOf: (pointer: string) => number;
}

export interface DeclarationError extends HintedError {
  readonly line: number;
}

export type ParsedDeclaration =
  | { readonly ok: true; readonly value: Declaration }
  | { readonly ok: false; readonly errors: DeclarationError[] };

export interface DeclarationOptions {
  /** For `${NAME}`. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Absent: the declaration stands for itself. */
  readonly known?: KnownIds;
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
  const problems: HintedError[] = [...reader.errors];
  let resources: DeclaredResource[] = [];
  let gateway: unknown;
  let onboarding: unknown;
  if (root !== null && root !== undefined) {
    if (typeof root !== 'object' || Array.isArray(root)) {
      problems.push({ pointer: '', detail: 'must be a mapping of sections' });
    } else {
      const { gateway: first, onboarding: second, policies, ...sections } = root as Record<string, unknown>;
      gateway = first ?? undefined;
      onboarding = second ?? undefined;
      // They may stand beside the section, as short as `policies: [./mine.ts]`.
      if (policies !== undefined) gateway = { ...(gateway as object | undefined), policies };
      resources = readSections(sections, options.known ?? {}, problems);
    }
  }
  if (problems.length > 0) {
    const errors = problems.map((problem) => ({ line: lineOf(problem.pointer), ...problem }));
    return { ok: false, errors: errors.sort((a, b) => a.line - b.line) };
  }
  return { ok: true, value: { gateway, onboarding, resources, lineOf } };
}

/** The declaration of resources as YAML text, which parses to the same resources. */
export function formatDeclaration(resources: readonly DeclaredResource[], gateway?: unknown): string {
  const root = {
    ...(gateway === undefined ? {} : { gateway }),
    ...(escapeVariables(toSections(resources)) as object),
  };
  return stringify(root, { lineWidth: 110 });
}

/** Turns YAML nodes into plain values, puts variables in and remembers where everything stands. */
class Reader {
  readonly errors: HintedError[] = [];
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
