import { isToken } from './grammar.ts';

const HTAB = 0x09;
const SP = 0x20;
const COMMA = 0x2c;

/** The value of a Content-Length field, 1*DIGIT (RFC 9110 section 8.6); -1 when it is not one or too large to count. */
export function parseContentLength(value: string): number {
  const length = value.length;
  if (length === 0 || length > 32) return -1;
  let parsed = 0;
  for (let i = 0; i < length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    parsed = parsed * 10 + digit;
    if (parsed > Number.MAX_SAFE_INTEGER) return -1;
  }
  return parsed;
}

/**
 * What the combined Transfer-Encoding lines ask for: `chunked` alone, another coding below a final `chunked`
 * (`unsupported`), or something that leaves the length unknown (`invalid`, RFC 9112 section 6.3).
 */
export function parseTransferEncoding(value: string): 'chunked' | 'unsupported' | 'invalid' {
  if (value === 'chunked') return 'chunked';
  const codings = splitList(value.toLowerCase());
  if (codings === null || codings.length === 0) return 'invalid';
  const last = codings.length - 1;
  for (let i = 0; i <= last; i++) {
    const coding = codings[i]!;
    const semicolon = coding.indexOf(';');
    const name = semicolon < 0 ? coding : coding.slice(0, semicolon).trim();
    if (!isToken(name)) return 'invalid';
    if ((name === 'chunked') !== (i === last) || (i === last && semicolon >= 0)) return 'invalid';
  }
  return last === 0 ? 'chunked' : 'unsupported';
}

/** What Connection fields say. */
export interface ConnectionOptions {
  closeNamed: boolean;
  keepAliveNamed: boolean;
  upgradeNamed: boolean;
  /** Other names listed, lower case; null when none. */
  connectionFields: string[] | null;
}

/** Reads one Connection value into `options` (RFC 9110 section 7.6.1); false when it is not a list of tokens. */
export function parseConnection(value: string, options: ConnectionOptions): boolean {
  if (value === 'keep-alive' || value === 'Keep-Alive') {
    options.keepAliveNamed = true;
    return true;
  }
  if (value === 'close') {
    options.closeNamed = true;
    return true;
  }
  const names = splitList(value);
  if (names === null) return false;
  for (const name of names) {
    if (!isToken(name)) return false;
    const lower = name.toLowerCase();
    if (lower === 'close') options.closeNamed = true;
    else if (lower === 'keep-alive') options.keepAliveNamed = true;
    else if (lower === 'upgrade') options.upgradeNamed = true;
    else if (options.connectionFields === null) options.connectionFields = [lower];
    else options.connectionFields.push(lower);
  }
  return true;
}

/** The first protocol of an Upgrade value as sent (RFC 9110 section 7.8); null when the value is not valid. */
export function parseUpgrade(value: string): string | null {
  const protocols = splitList(value);
  if (protocols === null || protocols.length === 0) return null;
  for (const protocol of protocols) {
    const slash = protocol.indexOf('/');
    if (slash < 0 ? !isToken(protocol) : !isToken(protocol.slice(0, slash))) return null;
    if (slash >= 0 && !isToken(protocol.slice(slash + 1))) return null;
  }
  return protocols[0]!;
}

/** Members of a comma-separated list without surrounding white space; empty ones are left out. Null: too many. */
function splitList(value: string): string[] | null {
  const members: string[] = [];
  const length = value.length;
  let start = 0;
  for (let at = 0; at <= length; at++) {
    if (at < length && value.charCodeAt(at) !== COMMA) continue;
    let from = start;
    let to = at;
    while (from < to && isSpace(value.charCodeAt(from))) from++;
    while (to > from && isSpace(value.charCodeAt(to - 1))) to--;
    if (to > from) members.push(value.slice(from, to));
    if (members.length > 32) return null;
    start = at + 1;
  }
  return members;
}

function isSpace(code: number): boolean {
  return code === SP || code === HTAB;
}

/** Whether a name may stand in Connection: not a field that the recipient itself needs (RFC 9110 section 7.6.1). */
export function isConnectionOption(name: string): boolean {
  return name !== 'host' && name !== 'content-length' && name !== 'transfer-encoding';
}
