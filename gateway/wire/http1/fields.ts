import type { RequestFault } from './faults.ts';
import { fieldByte, tokenLower } from './grammar.ts';
import { internName } from './header-names.ts';

/** Text of which a prefix has been read; `position` is the start of the first line not yet read. */
export interface Cursor {
  text: string;
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
  const text = cursor.text;
  const length = text.length;
  let line = cursor.position;
  for (;;) {
    cursor.position = line;
    let at = line;
    let hash = 0;
    let code = 0;
    while (at < length) {
      code = text.charCodeAt(at);
      const lower = tokenLower[code]!;
      if (lower === 0) break;
      hash = (Math.imul(hash, 31) + lower) | 0;
      at++;
    }
    if (at === length) return 'partial';
    if (code !== COLON || at === line) {
      if (code === CR && at === line) {
        if (at + 1 === length) return 'partial';
        if (text.charCodeAt(at + 1) !== LF) return 'bare_cr';
        cursor.position = at + 2;
        return 'complete';
      }
      return nameFault(code, at === line, fields.length);
    }
    let start = at + 1;
    while (start < length && isBlank(text.charCodeAt(start))) start++;
    let end = start;
    while (end < length && fieldByte[text.charCodeAt(end)] === 1) end++;
    if (end === length) return 'partial';
    code = text.charCodeAt(end);
    if (code !== CR) return code === LF ? 'bare_lf' : 'field_value';
    if (end + 1 === length) return 'partial';
    if (text.charCodeAt(end + 1) !== LF) return 'bare_cr';
    const next = end + 2;
    while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
    if (fields.length >= maxFields * 2) return 'too_many_fields';
    fields.push(internName(text, line, at, hash), text.slice(start, end));
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
