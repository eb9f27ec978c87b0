import type { CachePolicy } from '#contract/cache.ts';
import type { ResponseDirectives } from './cache-control.ts';
import { firstField } from './fields.ts';
import { freshnessLifetime, initialAge, type LifetimeSource } from './freshness.ts';
import { isHeuristicallyCacheable, isUnderstood } from './status-codes.ts';
import { governingDirectives } from './targeted.ts';
import { isIdentityField, parseVary } from './vary.ts';

/** What is known of the request that a response answers. */
export interface JudgedRequest {
  readonly method: string;
  /** Cache-Control: no-store. */
  readonly noStore: boolean;
  /** It carried an Authorization field. */
  readonly authorization: boolean;
  /** The gateway has authenticated a consumer and told the upstream who it is. */
  readonly consumer: boolean;
}

export interface JudgedResponse {
  readonly status: number;
  readonly headers: readonly string[];
  readonly requestTimeMs: number;
  readonly responseTimeMs: number;
}

export type NotStorable =
  | 'method'
  | 'status'
  | 'not-understood'
  | 'request-no-store'
  | 'no-store'
  | 'private'
  | 'authorization'
  | 'set-cookie'
  | 'vary'
  | 'no-freshness'
  | 'useless';

export interface Judgement {
  /** Null: to be stored. */
  readonly refused: NotStorable | null;
  readonly directives: ResponseDirectives;
  readonly lifetimeMs: number;
  readonly lifetimeSource: LifetimeSource;
  readonly initialAgeMs: number;
  /** Selecting request fields, lower case and sorted. */
  readonly vary: readonly string[];
  /** Only for the consumer whose request it answered. */
  readonly perConsumer: boolean;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** Never to be used stale, whatever anyone permits (RFC 9111 section 4.2.4). */
  readonly mustRevalidate: boolean;
}

/** Decides whether a shared cache may store a response (RFC 9111 section 3) and under which terms it is reused. */
export function judge(request: JudgedRequest, response: JudgedResponse, policy: CachePolicy): Judgement {
  const { status, headers, requestTimeMs, responseTimeMs } = response;
  const { directives, targeted } = governingDirectives(headers);
  const vary = parseVary(headers);
  const { lifetimeMs, source } = freshnessLifetime(
    status,
    headers,
    directives,
    targeted,
    responseTimeMs,
    policy.defaultTtlMs ?? null,
  );
  const initialAgeMs = initialAge(headers, requestTimeMs, responseTimeMs);
  const shareable = directives.isPublic || directives.sMaxage !== null || directives.mustRevalidate;
  // s-maxage implies proxy-revalidate (section 5.2.2.10); no-cache forbids stale use as well (section 4.2.4).
  const mustRevalidate =
    directives.mustRevalidate ||
    directives.proxyRevalidate ||
    directives.sMaxage !== null ||
    directives.noCache;
  const staleWhileRevalidateMs = mustRevalidate
    ? 0
    : directives.staleWhileRevalidate !== null
      ? directives.staleWhileRevalidate * 1000
      : (policy.staleWhileRevalidateMs ?? 0);
  const staleIfErrorMs = mustRevalidate
    ? 0
    : directives.staleIfError !== null
      ? directives.staleIfError * 1000
      : (policy.staleIfErrorMs ?? 0);
  const judged = {
    directives,
    lifetimeMs,
    lifetimeSource: source,
    initialAgeMs,
    vary: vary === '*' ? [] : vary,
    perConsumer:
      request.consumer &&
      (policy.perConsumer === true || !shareable || (vary !== '*' && vary.some(isIdentityField))),
    staleWhileRevalidateMs,
    staleIfErrorMs,
    mustRevalidate,
  };
  const refuse = (refused: NotStorable | null): Judgement => ({ refused, ...judged });

  if (request.method !== 'GET') return refuse('method');
  if (status < 200 || status > 599 || status === 206 || status === 304) return refuse('status');
  if (directives.mustUnderstand) {
    if (!isUnderstood(status)) return refuse('not-understood');
  } else if (directives.noStore) return refuse('no-store');
  if (request.noStore) return refuse('request-no-store');
  if (directives.isPrivate) return refuse('private');
  if (vary === '*') return refuse('vary');
  if (request.authorization && !shareable && !(policy.perConsumer === true && request.consumer)) {
    return refuse('authorization');
  }
  // Cookies are meant for one client; only an origin that says outright "for everyone" has them stored.
  if (
    firstField(headers, 'set-cookie') !== undefined &&
    !(directives.isPublic || directives.sMaxage !== null || targeted || coversCookies(directives))
  ) {
    return refuse('set-cookie');
  }
  const explicit = source === 's-maxage' || source === 'max-age' || source === 'expires';
  if (!explicit && !directives.isPublic && !isHeuristicallyCacheable(status)) return refuse('no-freshness');
  const validated =
    firstField(headers, 'etag') !== undefined || firstField(headers, 'last-modified') !== undefined;
  const fresh = lifetimeMs > initialAgeMs && !directives.noCache;
  if (!fresh && !validated && staleWhileRevalidateMs === 0 && staleIfErrorMs === 0) return refuse('useless');
  return refuse(null);
}

function coversCookies({ privateFields, noCacheFields }: ResponseDirectives): boolean {
  return privateFields.includes('set-cookie') || noCacheFields.includes('set-cookie');
}
