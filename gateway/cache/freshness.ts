import type { RequestDirectives, ResponseDirectives } from './cache-control.ts';
import { parseAge } from './delta-seconds.ts';
import { firstField, singleField } from './fields.ts';
import { parseHttpDate } from './http-date.ts';
import { isHeuristicallyCacheable } from './status-codes.ts';

/** Where a freshness lifetime came from. */
export type LifetimeSource = 's-maxage' | 'max-age' | 'expires' | 'configured' | 'heuristic' | 'none';

/** No heuristic lifetime is longer. */
const maxHeuristicMs = 86_400_000;

/** The Date field in milliseconds; the time of receipt when it is absent or invalid (RFC 9110 section 6.6.1). */
export function dateOf(headers: readonly string[], responseTimeMs: number): number {
  const line = singleField(headers, 'date');
  return (typeof line === 'string' ? parseHttpDate(line, responseTimeMs) : null) ?? responseTimeMs;
}

/**
 * The freshness lifetime of a response in milliseconds (RFC 9111 section 4.2.1). `targeted` says that the directives
 * are those of a targeted field, so that Expires does not count.
 */
export function freshnessLifetime(
  status: number,
  headers: readonly string[],
  directives: ResponseDirectives,
  targeted: boolean,
  responseTimeMs: number,
  defaultTtlMs: number | null,
): { readonly lifetimeMs: number; readonly source: LifetimeSource } {
  if (directives.sMaxage !== null) return { lifetimeMs: directives.sMaxage * 1000, source: 's-maxage' };
  if (directives.maxAge !== null) return { lifetimeMs: directives.maxAge * 1000, source: 'max-age' };
  const dateMs = dateOf(headers, responseTimeMs);
  if (!targeted) {
    const expires = singleField(headers, 'expires');
    if (expires !== undefined) {
      const expiresMs = expires === null ? null : parseHttpDate(expires, responseTimeMs);
      return { lifetimeMs: expiresMs === null ? 0 : Math.max(0, expiresMs - dateMs), source: 'expires' };
    }
  }
  if (isHeuristicallyCacheable(status) || directives.isPublic) {
    if (defaultTtlMs !== null) return { lifetimeMs: defaultTtlMs, source: 'configured' };
    const line = singleField(headers, 'last-modified');
    const modifiedMs = typeof line === 'string' ? parseHttpDate(line, responseTimeMs) : null;
    if (modifiedMs !== null && modifiedMs < dateMs) {
      return { lifetimeMs: Math.min(maxHeuristicMs, (dateMs - modifiedMs) / 10), source: 'heuristic' };
    }
  }
  return { lifetimeMs: 0, source: 'none' };
}

/** How old a response was when it arrived, in milliseconds: corrected_initial_age of RFC 9111 section 4.2.3. */
export function initialAge(
  headers: readonly string[],
  requestTimeMs: number,
  responseTimeMs: number,
): number {
  const apparentAgeMs = Math.max(0, responseTimeMs - dateOf(headers, responseTimeMs));
  const responseDelayMs = Math.max(0, responseTimeMs - requestTimeMs);
  const correctedAgeMs = parseAge(firstField(headers, 'age')) * 1000 + responseDelayMs;
  return Math.max(apparentAgeMs, correctedAgeMs);
}

/** The times of a stored response that reuse depends on. */
export interface StoredTimes {
  readonly responseTimeMs: number;
  readonly initialAgeMs: number;
  readonly lifetimeMs: number;
}

/** current_age of RFC 9111 section 4.2.3 in milliseconds. A clock set back does not make a response younger. */
export function currentAge(stored: StoredTimes, nowMs: number): number {
  const residentMs = nowMs - stored.responseTimeMs;
  return stored.initialAgeMs + Math.max(residentMs, 0);
}

/** How a request's own directives limit what it may be answered with (RFC 9111 section 5.2.1). */
export function satisfiesRequest(directives: RequestDirectives, ageMs: number, lifetimeMs: number): boolean {
  if (directives.noCache) return false;
  // Whoever writes zero means to have it validated, also within its first moment.
  if (directives.maxAge === 0) return false;
  if (directives.maxAge !== null && ageMs > directives.maxAge * 1000) return false;
  if (directives.minFresh !== null && lifetimeMs - ageMs < directives.minFresh * 1000) return false;
  return true;
}

/** Whether the request takes a response that has been stale for this long. */
export function acceptsStale(directives: RequestDirectives, staleForMs: number): boolean {
  return directives.maxStale !== null && staleForMs <= directives.maxStale * 1000;
}
