import { matchesWeakly, parseEntityTag, parseEntityTags } from './entity-tag.ts';
import { joinedField, singleField } from './fields.ts';
import { parseHttpDate } from './http-date.ts';

/** What a stored response offers to preconditions. */
export interface Validated {
  readonly status: number;
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** The Date field, or the time of receipt. */
  readonly dateMs: number;
}

/**
 * Whether a request's If-None-Match or If-Modified-Since is answered with 304 from a stored response (RFC 9111
 * section 4.3.2). If-None-Match wins; a value that is not valid does not match. Preconditions count only where the
 * answer would be 2xx (RFC 9110 section 13.2.1).
 */
export function isNotModified(requestHeaders: readonly string[], stored: Validated, nowMs: number): boolean {
  if (stored.status < 200 || stored.status > 299) return false;
  const noneMatch = joinedField(requestHeaders, 'if-none-match');
  if (noneMatch !== undefined) {
    const tags = parseEntityTags(noneMatch);
    if (tags === null) return false;
    if (tags === '*') return true;
    const own = stored.etag === null ? null : parseEntityTag(stored.etag);
    return own !== null && tags.some((tag) => matchesWeakly(tag, own));
  }
  const since = singleField(requestHeaders, 'if-modified-since');
  if (typeof since !== 'string') return false;
  const sinceMs = parseHttpDate(since, nowMs);
  if (sinceMs === null) return false;
  const modifiedMs = stored.lastModified === null ? null : parseHttpDate(stored.lastModified, nowMs);
  return (modifiedMs ?? stored.dateMs) <= sinceMs;
}

/** Fields that describe the body, which a 304 does not carry (RFC 9110 section 15.4.5). */
const representation = new Set([
  'content-type',
  'content-encoding',
  'content-language',
  'content-range',
  'content-digest',
  'content-md5',
  'accept-ranges',
]);

/** The fields of a 304 made from those of a stored response. */
export function notModifiedHeaders(headers: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (!representation.has(headers[i]!)) kept.push(headers[i]!, headers[i + 1]!);
  }
  return kept;
}

/** Whether a 304 that answered our validation is about this stored response (RFC 9111 section 4.3.4). */
export function identifies(notModified: readonly string[], stored: Validated, nowMs: number): boolean {
  const etag = singleField(notModified, 'etag');
  if (etag === null) return false;
  if (etag !== undefined) {
    const fresh = parseEntityTag(etag);
    const own = stored.etag === null ? null : parseEntityTag(stored.etag);
    if (fresh === null || own === null) return etag === stored.etag;
    return fresh.opaque === own.opaque && (fresh.weak || !own.weak);
  }
  const modified = singleField(notModified, 'last-modified');
  if (typeof modified !== 'string' || stored.lastModified === null) return modified !== null;
  return parseHttpDate(modified, nowMs) === parseHttpDate(stored.lastModified, nowMs);
}
