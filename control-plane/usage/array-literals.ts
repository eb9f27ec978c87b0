/**
 * PostgreSQL array literals of columns, to be passed as text and cast (`$1::text::bigint[]`): a fraction of what the
 * drivers need to serialize the same arrays value by value, and the same for both engines.
 */

const special = /["\\\0]/;
const quotable = /["\\]/g;

/** NULs, which PostgreSQL cannot store, are left out. */
function quote(text: string): string {
  if (!special.test(text)) return `"${text}"`;
  return `"${text.replaceAll('\0', '').replace(quotable, '\\$&')}"`;
}

export function textArray(values: readonly (string | null)[]): string {
  let literal = '{';
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (i > 0) literal += ',';
    literal += value === null ? 'NULL' : quote(value);
  }
  return `${literal}}`;
}

/** Of numbers and booleans; null is NULL. */
export function plainArray(values: ArrayLike<number | boolean | null>): string {
  let literal = '{';
  for (let i = 0; i < values.length; i++) literal += i > 0 ? `,${values[i]}` : `${values[i]}`;
  return `${literal}}`;
}
