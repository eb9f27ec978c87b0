import { parseAuthority } from './authority.ts';
import type { RequestFault } from './faults.ts';
import type { Cursor, Reading } from './fields.ts';
import { hexValue, pathByte, queryByte, tokenLower } from './grammar.ts';

export interface RequestLine {
  method: string;
  target: string;
  authority: string | null;
  httpVersion: '1.0' | '1.1';
}

const maxMethodBytes = 32;

const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;
const PERCENT = 0x25;
const SLASH = 0x2f;
const QUESTION = 0x3f;

/**
 * Reads method SP request-target SP HTTP-version CRLF (RFC 9112 section 3), behind at most one empty line
 * (section 2.2), into `line`. A method longer than any known is 501, as the RFC asks.
 */
export function readRequestLine(cursor: Cursor, line: RequestLine, maxBytes: number): Reading | RequestFault {
  const { bytes, base, text } = cursor;
  const length = base + text.length;
  let start = base + cursor.position;
  if (cursor.position === 0 && bytes[start] === CR) {
    if (text.length === 1) return 'partial';
    if (bytes[start + 1] !== LF) return 'bare_cr';
    start += 2;
  }
  if (start === length) return 'partial';
  const last = start + maxBytes;
  let at = start;
  while (at < length && tokenLower[bytes[at]!] !== 0) {
    if (++at - start > maxMethodBytes) return 'method_too_long';
  }
  if (at === length) return 'partial';
  let code = bytes[at]!;
  if (code !== SP || at === start) return lineFault(code, 'request_line');
  const methodEnd = at;
  const targetStart = at + 1;
  at = scanTarget(bytes, targetStart, Math.min(length, last));
  if (at === last) return 'target_too_long';
  if (at === length) return 'partial';
  code = bytes[at]!;
  if (code !== SP || at === targetStart)
    return lineFault(code, at === targetStart ? 'request_line' : 'target_invalid');
  const reading = readVersion(bytes, at + 1, length, line);
  if (reading !== 'complete') return reading;
  line.method = methodName(text, start - base, methodEnd - base);
  line.target = text.slice(targetStart - base, at - base);
  cursor.position = at + 11 - base;
  if (line.method === 'CONNECT' || line.method === 'TRACE') return 'method_unsupported';
  return bytes[targetStart] === SLASH ? checkTarget(bytes, targetStart, at) : resolveTarget(line);
}

/** Up to the first character that no form of a target may hold. */
function scanTarget(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to) {
    const code = bytes[at]!;
    if (queryByte[code] === 0 && code !== PERCENT) break;
    at++;
  }
  return at;
}

const versionText = Buffer.from('HTTP/', 'latin1');

function readVersion(
  bytes: Uint8Array,
  from: number,
  length: number,
  line: RequestLine,
): Reading | RequestFault {
  for (let i = 0; i < 10; i++) {
    const at = from + i;
    if (at >= length) return 'partial';
    const code = bytes[at]!;
    let fits: boolean;
    if (i < 5) fits = code === versionText[i];
    else if (i === 6) fits = code === 0x2e;
    else if (i === 8) fits = code === CR;
    else if (i === 9) fits = code === LF;
    else fits = code >= 0x30 && code <= 0x39;
    if (!fits) return i === 9 ? 'bare_cr' : lineFault(code, 'version_invalid');
  }
  if (bytes[from + 5] !== 0x31) return 'version_unsupported';
  const minor = bytes[from + 7]! - 0x30;
  if (minor > 1) return 'version_unsupported';
  line.httpVersion = minor === 1 ? '1.1' : '1.0';
  return 'complete';
}

function lineFault(code: number, otherwise: RequestFault): RequestFault {
  if (code === LF) return 'bare_lf';
  return otherwise;
}

/** Common methods as shared strings. */
function methodName(text: string, start: number, end: number): string {
  switch (end - start) {
    case 3:
      if (text.startsWith('GET', start)) return 'GET';
      if (text.startsWith('PUT', start)) return 'PUT';
      break;
    case 4:
      if (text.startsWith('POST', start)) return 'POST';
      if (text.startsWith('HEAD', start)) return 'HEAD';
      break;
    case 5:
      if (text.startsWith('PATCH', start)) return 'PATCH';
      break;
    case 6:
      if (text.startsWith('DELETE', start)) return 'DELETE';
      break;
  }
  return text.slice(start, end);
}

/** Checks a target that came by itself, and turns absolute form into origin form. */
export function parseTarget(line: RequestLine): 'complete' | RequestFault {
  const bytes = Buffer.from(line.target, 'latin1');
  return bytes[0] === SLASH ? checkTarget(bytes, 0, bytes.length) : resolveTarget(line);
}

/** Origin form: absolute-path ["?" query]. */
function checkTarget(bytes: Uint8Array, start: number, end: number): 'complete' | RequestFault {
  let allowed = pathByte;
  for (let at = start + 1; at < end; at++) {
    const code = bytes[at]!;
    if (allowed[code] === 1) continue;
    if (code === PERCENT) {
      if (at + 2 >= end || hexValue[bytes[at + 1]!]! > 15 || hexValue[bytes[at + 2]!]! > 15)
        return 'target_invalid';
      at += 2;
    } else if (code === QUESTION && allowed === pathByte) allowed = queryByte;
    else return 'target_invalid';
  }
  return 'complete';
}

/** Asterisk form and absolute form (RFC 9112 sections 3.2.4 and 3.2.2), the latter turned into origin form. */
function resolveTarget(line: RequestLine): 'complete' | RequestFault {
  const target = line.target;
  if (target === '*') return line.method === 'OPTIONS' ? 'complete' : 'target_invalid';
  const scheme = target.slice(0, 8).toLowerCase();
  const from = scheme === 'https://' ? 8 : scheme.startsWith('http://') ? 7 : 0;
  if (from === 0) return 'target_invalid';
  let end = from;
  while (end < target.length && target.charCodeAt(end) !== SLASH && target.charCodeAt(end) !== QUESTION)
    end++;
  line.authority = parseAuthority(target.slice(from, end));
  if (line.authority === null) return 'target_invalid';
  const rest = target.slice(end);
  line.target = rest.startsWith('/') ? rest : `/${rest}`;
  return checkTarget(Buffer.from(line.target, 'latin1'), 0, line.target.length);
}
