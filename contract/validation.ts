import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import type { FieldError } from './problems.ts';
import { type Change, type ObjectKind, objectKinds, objectSchemas } from './registry.ts';

/** Parsers of untrusted registry data. They report every error at once, each with its JSON pointer. */

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly errors: FieldError[] };

interface Validator {
  Check(value: unknown): boolean;
  Errors(value: unknown): RawError[];
}
interface RawError {
  keyword: string;
  schemaPath: string;
  instancePath: string;
  params: object;
  message: string;
}

const compiled = new Map<TSchema, Validator>();

function validator(schema: TSchema): Validator {
  let found = compiled.get(schema);
  if (!found) {
    found = Compile(schema) as unknown as Validator;
    compiled.set(schema, found);
  }
  return found;
}

/** Checks a value against a schema. Unions tagged with `kind` report only the branch that was meant. */
export function check(schema: TSchema, value: unknown): FieldError[] {
  const compiledSchema = validator(schema);
  if (compiledSchema.Check(value)) return [];
  const errors = compiledSchema.Errors(value);
  const discriminated = new Map<string, Set<string>>();
  for (const error of errors) {
    const branch = branchOf(error.schemaPath);
    if (error.keyword === 'const' && error.instancePath.endsWith('/kind') && branch) {
      const missed = discriminated.get(branch.union) ?? new Set();
      missed.add(branch.path);
      discriminated.set(branch.union, missed);
    }
  }
  const seen = new Set<string>();
  const result: FieldError[] = [];
  for (const error of errors) {
    if (error.keyword === 'boolean' || error.keyword === 'anyOf') continue;
    const branch = branchOf(error.schemaPath);
    if (branch && discriminated.get(branch.union)?.has(branch.path) && !isKindError(error)) continue;
    const detail = describe(error);
    const mark = `${error.instancePath}\n${detail}`;
    if (seen.has(mark)) continue;
    seen.add(mark);
    result.push({ pointer: error.instancePath, detail });
  }
  return mergeAllowed(result.length > 0 ? result : [{ pointer: '', detail: 'is not valid' }]);
}

function branchOf(schemaPath: string): { union: string; path: string } | null {
  const match = /^(.*\/anyOf)\/(\d+)/.exec(schemaPath);
  return match ? { union: match[1]!, path: match[0] } : null;
}

function isKindError(error: RawError): boolean {
  return error.keyword === 'const' && error.instancePath.endsWith('/kind');
}

function describe(error: RawError): string {
  const params = error.params as Record<string, unknown>;
  if (error.keyword === 'additionalProperties') {
    return `unknown member ${(params.additionalProperties as string[]).map((name) => JSON.stringify(name)).join(', ')}`;
  }
  if (error.keyword === 'required') {
    return `missing member ${(params.requiredProperties as string[]).map((name) => JSON.stringify(name)).join(', ')}`;
  }
  if (error.keyword === 'const') return `must be ${JSON.stringify(params.allowedValue)}`;
  return error.message;
}

/** Joins "must be a", "must be b" at one place into one sentence. */
function mergeAllowed(errors: FieldError[]): FieldError[] {
  const allowed = new Map<string, string[]>();
  for (const { pointer, detail } of errors) {
    if (detail.startsWith('must be "'))
      allowed.set(pointer, [...(allowed.get(pointer) ?? []), detail.slice(8)]);
  }
  const done = new Set<string>();
  const result: FieldError[] = [];
  for (const error of errors) {
    const values = allowed.get(error.pointer);
    if (!values || !error.detail.startsWith('must be "')) result.push(error);
    else if (!done.has(error.pointer)) {
      done.add(error.pointer);
      result.push({ pointer: error.pointer, detail: `must be ${values.join(' or ')}` });
    }
  }
  return result;
}

/** Parses one change; `base` is the pointer of the change in its document. */
export function parseChange(value: unknown, base = ''): Parsed<Change> {
  if (typeof value !== 'object' || value === null) {
    return { ok: false, errors: [{ pointer: base, detail: 'must be an object' }] };
  }
  const { kind, id, object } = value as { kind?: unknown; id?: unknown; object?: unknown };
  const errors: FieldError[] = [];
  if (typeof kind !== 'string' || !objectKinds.includes(kind as ObjectKind)) {
    errors.push({ pointer: `${base}/kind`, detail: `unknown kind ${JSON.stringify(kind)}` });
  }
  if (typeof id !== 'string' || id === '')
    errors.push({ pointer: `${base}/id`, detail: 'must be a non-empty string' });
  if (errors.length > 0) return { ok: false, errors };
  if (object !== null) {
    for (const error of check(objectSchemas[kind as ObjectKind], object)) {
      errors.push({ pointer: `${base}/object${error.pointer}`, detail: error.detail });
    }
    if (errors.length === 0 && (object as { id: string }).id !== id) {
      errors.push({
        pointer: `${base}/object/id`,
        detail: `must equal the id of the change, ${JSON.stringify(id)}`,
      });
    }
  }
  return errors.length > 0 ? { ok: false, errors } : { ok: true, value: value as Change };
}

/** Parses the changes of a delta or snapshot; anything unknown refuses the whole. */
export function parseChanges(value: unknown, base = ''): Parsed<Change[]> {
  if (!Array.isArray(value)) return { ok: false, errors: [{ pointer: base, detail: 'must be an array' }] };
  const errors: FieldError[] = [];
  value.forEach((entry, index) => {
    const parsed = parseChange(entry, `${base}/${index}`);
    if (!parsed.ok) errors.push(...parsed.errors);
  });
  return errors.length > 0 ? { ok: false, errors } : { ok: true, value: value as Change[] };
}
