import type { RequestFault } from './faults.ts';
import { fieldByte, tokenLower } from './grammar.ts';
import { internName } from './header-names.ts';

/**
 * Text of which a prefix has been read, and the bytes it was decoded from: bytes are quicker to look at, text to cut
 * strings from. `text[i]` is `bytes[base + i]`.
 */
export interface Cursor {
  bytes: Uint8Array;
  base: number;
  text: string;
  /** The start in `text` of the first line not yet read. */
  position: number;
}

export type Reading = 'complete' | 'partial';

const HTAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;
const COLON = 0x3a;

/**
 * Reads field lines up to and with the empty line that ends them (RFC 9112 section 5) into `fields`, flat, names in
 * lower case. `partial`: the text ends before that; to be called again with more text behind the same cursor.
 */
export function readFields(cursor: Cursor, fields: string[], maxFields: number): Reading | RequestFault {
  const { bytes, base, text } = cursor;
  const length = base + text.length;
  let line = base + cursor.position;
  for (;;) {
    cursor.position = line - base;
    let at = line;
    let hash = 0;
    let code = 0;
    while (at < length) {
      code = bytes[at]!;
      const lower = tokenLower[code]!;
      if (lower === 0) break;
      hash = (Math.imul(hash, 31) + lower) | 0;
      at++;
    }
    if (at === length) return 'partial';
    if (code !== COLON || at === line) {
      if (code === CR && at === line) {
        if (at + 1 === length) return 'partial';
        if (bytes[at + 1] !== LF) return 'bare_cr';
        cursor.position = at + 2 - base;
        return 'complete';
      }
      return nameFault(code, at === line, fields.length);
    }
    let start = at + 1;
    while (start < length && isBlank(bytes[start]!)) start++;
    let end = start;
    while (end < length && fieldByte[bytes[end]!] === 1) end++;
    if (end === length) return 'partial';
    code = bytes[end]!;
    if (code !== CR) return code === LF ? 'bare_lf' : 'field_value';
    if (end + 1 === length) return 'partial';
    if (bytes[end + 1] !== LF) return 'bare_cr';
    const next = end + 2;
    while (end > start && isBlank(bytes[end - 1]!)) end--;
    if (fields.length >= maxFields * 2) return 'too_many_fields';
    fields.push(internName(cursor, line, at, hash), text.slice(start - base, end - base));
    line = next;
  }
}

function isBlank(code: number): boolean {
  return code === SP || code === HTAB;
}

function nameFault(code: number, first: boolean, fieldsBefore: number): RequestFault {
  if (code === LF) return 'bare_lf';
  if (isBlank(code)) {
    if (!first) return 'space_before_colon';
    return fieldsBefore === 0 ? 'leading_space' : 'obs_fold';
  }
  return 'field_name';
}
