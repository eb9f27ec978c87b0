import { type KeyPush, parseKeyPush } from '#contract/key-push.ts';
import type { FieldError } from '#contract/problems.ts';
import type { Key } from '#contract/registry.ts';

/** One key of an import, or what is wrong with its line. */
export type ImportLine =
  | { readonly ok: true; readonly key: Key; readonly name: string }
  | { readonly ok: false; readonly errors: FieldError[] };

/** Splits a stream of text into lines, without their ends. Lines longer than 64 KiB are refused. */
export async function* splitLines(chunks: AsyncIterable<Buffer | string>): AsyncGenerator<string[]> {
  const decoder = new TextDecoder('utf-8', { fatal: false });
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (
      rest + (typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }))
    ).split(/\r?\n/);
    rest = lines.pop()!;
    if (rest.length > 65_536) throw new RangeError('a line is longer than 64 KiB');
    if (lines.length > 0) yield lines;
  }
  if (rest !== '') yield [rest];
}

/** Parses a line of NDJSON: the body of a pushed key with its `key_id`. */
export function parseJsonLine(line: string): ImportLine {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { ok: false, errors: [{ pointer: '', detail: 'is not JSON' }] };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { ok: false, errors: [{ pointer: '', detail: 'must be an object' }] };
  }
  const { key_id: keyId, ...push } = value as { key_id?: unknown } & KeyPush;
  return finish(keyId, push);
}

const columns = [
  'key_id',
  'sha256',
  'secret',
  'environment',
  'name',
  'app',
  'expires_at',
  'scopes',
  'version',
  'plan',
  'burst_limit',
  'sustained_limit',
  'daily_quota',
  'overage_action',
] as const;
type Column = (typeof columns)[number];

/** Reads the header of a CSV file; a list of errors when it has a column that is not known. */
export function parseCsvHeader(line: string): Column[] | FieldError[] {
  const names = splitCsv(line.replace(/^\uFEFF/, ''));
  const errors: FieldError[] = [];
  for (const name of names ?? []) {
    if (!columns.includes(name as Column)) {
      errors.push({
        pointer: '',
        detail: `unknown column ${JSON.stringify(name)}; columns are ${columns.join(', ')}`,
      });
    }
  }
  if (!names?.includes('key_id')) errors.push({ pointer: '', detail: 'there is no column "key_id"' });
  return errors.length > 0 ? errors : (names as Column[]);
}

/** Parses a line of CSV (RFC 4180, one line a record). Empty fields are absent; scopes are divided by blanks. */
export function parseCsvLine(line: string, header: readonly Column[]): ImportLine {
  const fields = splitCsv(line);
  if (fields?.length !== header.length) {
    return { ok: false, errors: [{ pointer: '', detail: `must have ${header.length} fields` }] };
  }
  const push: Record<string, unknown> = {};
  const quota: Record<string, unknown> = {};
  header.forEach((column, index) => {
    const text = fields[index]!;
    if (text === '') return;
    if (column === 'scopes') push.scopes = text.split(' ').filter(Boolean);
    else if (column === 'overage_action') quota.overage_action = text;
    else if (column === 'burst_limit' || column === 'sustained_limit' || column === 'daily_quota') {
      quota[column] = /^\d{1,13}$/.test(text) ? Number(text) : text;
    } else push[column] = text;
  });
  if (Object.keys(quota).length > 0) push.quota = quota;
  const { key_id: keyId, ...rest } = push;
  return finish(keyId, rest);
}

function finish(keyId: unknown, push: unknown): ImportLine {
  if (typeof keyId !== 'string') return { ok: false, errors: [{ pointer: '/key_id', detail: 'is missing' }] };
  const parsed = parseKeyPush(keyId, push);
  if (!parsed.ok) return parsed;
  const { name } = push as KeyPush;
  return { ok: true, key: parsed.value, name: name ?? '' };
}

function splitCsv(line: string): string[] | null {
  const fields: string[] = [];
  for (let at = 0; ; ) {
    if (line[at] === '"') {
      let field = '';
      for (;;) {
        const end = line.indexOf('"', at + 1);
        if (end < 0) return null;
        field += line.slice(at + 1, end);
        at = end + 1;
        if (line[at] !== '"') break;
        field += '"';
      }
      fields.push(field);
      if (at < line.length && line[at] !== ',') return null;
    } else {
      const end = line.indexOf(',', at);
      fields.push(line.slice(at, end < 0 ? line.length : end));
      at = end < 0 ? line.length : end;
    }
    if (at >= line.length) return fields;
    at++;
  }
}
