/** Reading of header fields from flat arrays ([name, value, …], names in lower case). */

/** All lines of a field joined with ", " (RFC 9110 section 5.3), or undefined when there is none. */
export function joinedField(headers: readonly string[], name: string): string | undefined {
  let joined: string | undefined;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === name)
      joined = joined === undefined ? headers[i + 1]! : `${joined}, ${headers[i + 1]!}`;
  }
  return joined;
}

/** The first line of a field, or undefined. */
export function firstField(headers: readonly string[], name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1];
  return undefined;
}

/** How many lines a field has. */
export function countField(headers: readonly string[], name: string): number {
  let count = 0;
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) count++;
  return count;
}

/**
 * The only line of a field that must not repeat; undefined when it is absent, null when it is repeated with
 * different values, which makes it invalid.
 */
export function singleField(headers: readonly string[], name: string): string | undefined | null {
  let found: string | undefined;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) continue;
    if (found === undefined) found = headers[i + 1]!;
    else if (found !== headers[i + 1]) return null;
  }
  return found;
}

const comma = 0x2c;
const quote = 0x22;
const backslash = 0x5c;

/**
 * The members of a list (RFC 9110 section 5.6.1): split at commas outside quoted strings, surrounding white space
 * removed, empty members dropped. Null when a quoted string does not end.
 */
export function splitList(value: string): string[] | null {
  const members: string[] = [];
  let start = 0;
  let quoted = false;
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (quoted) {
      if (code === backslash) i++;
      else if (code === quote) quoted = false;
    } else if (code === quote) quoted = true;
    else if (code === comma) {
      const member = trimSpace(value.slice(start, i));
      if (member !== '') members.push(member);
      start = i + 1;
    }
  }
  if (quoted) return null;
  const last = trimSpace(value.slice(start));
  if (last !== '') members.push(last);
  return members;
}

/** Removes spaces and tabs at both ends (OWS of RFC 9110 section 5.6.3), and nothing else. */
export function trimSpace(value: string): string {
  let start = 0;
  let end = value.length;
  while (start < end && isSpace(value.charCodeAt(start))) start++;
  while (end > start && isSpace(value.charCodeAt(end - 1))) end--;
  return start === 0 && end === value.length ? value : value.slice(start, end);
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** Whether the text is a token (RFC 9110 section 5.6.2). */
export function isToken(text: string): boolean {
  if (text === '') return false;
  for (let i = 0; i < text.length; i++) if (!isTokenCode(text.charCodeAt(i))) return false;
  return true;
}

function isTokenCode(code: number): boolean {
  if (code >= 0x30 && code <= 0x39) return true;
  if (code >= 0x41 && code <= 0x5a) return true;
  if (code >= 0x5e && code <= 0x7a) return true;
  switch (code) {
    case 0x21:
    case 0x23:
    case 0x24:
    case 0x25:
    case 0x26:
    case 0x27:
    case 0x2a:
    case 0x2b:
    case 0x2d:
    case 0x2e:
    case 0x7c:
    case 0x7e:
      return true;
    default:
      return false;
  }
}

/** The content of a quoted string (RFC 9110 section 5.6.4) that is the whole text, or null. */
export function unquote(text: string): string | null {
  if (text.length < 2 || text.charCodeAt(0) !== quote) return null;
  let content = '';
  for (let i = 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === quote) return i === text.length - 1 ? content : null;
    if (code === backslash) {
      i++;
      if (i === text.length) return null;
    }
    content += text[i];
  }
  return null;
}
