import { createHash } from 'node:crypto';
import { isToken, joinedField, splitList } from './fields.ts';

/** What the upstream was shown of a request; selecting values are read from here. */
export interface SelectingRequest {
  readonly headers: readonly string[];
  readonly forwardedFor: string;
  readonly forwardedHost: string;
  readonly forwardedProto: string;
}

/** Fields that differ with every request that the gateway sends. */
const unmatchable = new Set(['x-request-id', 'traceparent', 'via', 'forwarded']);
const secret = new Set(['authorization', 'cookie', 'x-api-key', 'proxy-authorization']);

/**
 * The names that Vary lists, lower case, sorted and without repetition; "*" when any member is "*" or no field name,
 * or names what no second request can match (RFC 9111 section 4.1).
 */
export function parseVary(headers: readonly string[]): readonly string[] | '*' {
  const value = joinedField(headers, 'vary');
  if (value === undefined) return [];
  const members = splitList(value);
  if (members === null) return '*';
  const names = new Set<string>();
  for (const member of members) {
    const name = member.toLowerCase();
    if (name === '*' || !isToken(name) || unmatchable.has(name)) return '*';
    names.add(name);
  }
  return [...names].sort();
}

/**
 * The part of the key that selecting fields make: equal for two requests exactly when each field matches, after the
 * normalization that its definition permits. Secrets are digested.
 */
export function selectingKey(names: readonly string[], request: SelectingRequest): string {
  let key = '';
  for (const name of names) {
    const value = selectingValue(name, request);
    key += value === undefined ? `${name}\n` : `${name}:${value}\n`;
  }
  return key;
}

/** Fields in which the gateway tells the upstream who is calling; a client's own are not sent on. */
export function isIdentityField(name: string): boolean {
  return name.startsWith('x-tollgate-');
}

function selectingValue(name: string, request: SelectingRequest): string | undefined {
  if (isIdentityField(name)) return undefined;
  if (name === 'x-forwarded-proto') return request.forwardedProto;
  if (name === 'x-forwarded-host') return request.forwardedHost;
  if (name === 'x-forwarded-for') return request.forwardedFor;
  const value = joinedField(request.headers, name);
  if (value === undefined) return undefined;
  if (name === 'accept-encoding' || name === 'accept-language' || name === 'accept-charset') {
    return normalizePreferences(value, name === 'accept-encoding');
  }
  if (name === 'accept') return normalizePreferences(value, false);
  return secret.has(name) ? createHash('sha256').update(value).digest('base64url') : value;
}

/**
 * A list with quality values in one spelling: no white space, letters in lower case, `q=1` left out, ordered by
 * quality. Members of one quality keep their order unless it means nothing (`orderless`).
 */
export function normalizePreferences(value: string, orderless: boolean): string {
  const members = splitList(value);
  if (members === null) return value;
  const ranked: { text: string; quality: number }[] = [];
  for (const member of members) {
    if (member.includes('"')) return value;
    const parts = member.split(';').map((part) => part.trim().toLowerCase());
    let quality = 1;
    const kept: string[] = [];
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i]!;
      if (i > 0 && part.startsWith('q=')) {
        if (!/^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(part.slice(2))) return value;
        quality = Number(part.slice(2));
      } else kept.push(part);
    }
    ranked.push({ text: kept.join(';'), quality });
  }
  ranked.sort(
    (a, b) => b.quality - a.quality || (orderless ? (a.text < b.text ? -1 : a.text > b.text ? 1 : 0) : 0),
  );
  return ranked.map(({ text, quality }) => (quality === 1 ? text : `${text};q=${quality}`)).join(',');
}
