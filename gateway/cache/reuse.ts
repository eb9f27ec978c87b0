import type { Exchange } from '../exchange.ts';
import { acceptsStale, currentAge, satisfiesRequest } from './freshness.ts';
import { directivesOf, has } from './request.ts';
import type { StoredResponse } from './stored-response.ts';

/**
 * How a stored response may be used for a request without asking the upstream first (RFC 9111 section 4): as it is, as a
 * stale one that the client accepts, as a stale one to be validated meanwhile (RFC 5861), or not.
 */
export type Use = 'hit' | 'stale' | 'refresh' | 'no';

export function useOf(exchange: Exchange, stored: StoredResponse, flags: number, nowMs: number): Use {
  const { record, lifetimeMs } = stored;
  if (record.noCache) return 'no';
  const ageMs = currentAge(stored, nowMs);
  const staleForMs = ageMs - lifetimeMs;
  if ((flags & has.cacheControl) === 0) {
    if (staleForMs < 0) return 'hit';
    return staleForMs < record.staleWhileRevalidateMs ? 'refresh' : 'no';
  }
  const directives = directivesOf(exchange, flags);
  if (directives.noStore || directives.noCache) return 'no';
  if (staleForMs < 0) return satisfiesRequest(directives, ageMs, lifetimeMs) ? 'hit' : 'no';
  // Whoever limits the age or asks for freshness wants nothing stale, unless it says so (section 5.2.1).
  const { maxAge, minFresh } = directives;
  if (minFresh !== null || maxAge === 0 || (maxAge !== null && ageMs > maxAge * 1000)) return 'no';
  if (!record.mustRevalidate && acceptsStale(directives, staleForMs)) return 'stale';
  return maxAge === null && staleForMs < record.staleWhileRevalidateMs ? 'refresh' : 'no';
}
