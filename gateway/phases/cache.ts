import { firstField } from '../cache/fields.ts';
import { selectQuery } from '../cache/key.ts';
import { RouteCache } from '../cache/route-cache.ts';
import type { RouteContext } from '../compile.ts';
import type { Dependencies } from '../dependencies.ts';
import type { Exchange } from '../exchange.ts';
import type { Phase, ResponsePhase } from '../pipeline.ts';
import type { ForwardOptions } from '../upstream/forwarder.ts';
import { forwardOptions } from './forward.ts';

const routeCaches = new WeakMap<RouteContext, RouteCache>();

/** Answers from the response cache, or has the request wait for one that is already upstream. */
export function cache(context: RouteContext, dependencies: Dependencies): Phase | null {
  const routeCache = routeCacheOf(context, dependencies);
  return routeCache === null ? null : (exchange) => routeCache.handle(exchange);
}

/** The cache as the request and the response phase of a route share it; null where the route has none. */
export function routeCacheOf(
  context: RouteContext,
  { cache, forwarder, now }: Dependencies,
): RouteCache | null {
  const { route, service } = context;
  if (route.cache === undefined || service === null) return null;
  const known = routeCaches.get(context);
  if (known !== undefined) return known;
  const upstreams = forwarder.upstreamsOf(service);
  const { query = 'all' } = route.cache;
  const options: ForwardOptions = {
    ...forwardOptions(context),
    // What the key leaves out the upstream of a shared answer must not see either.
    rewriteQuery:
      query === 'all' || query === 'sorted'
        ? null
        : (text: string) => (query === 'none' ? '' : selectQuery(text, query)),
  };
  const routeCache = new RouteCache(cache, context, route.cache, now, (exchange, handler, fields) =>
    forwarder.open(exchange, upstreams, options, handler, fields),
  );
  routeCaches.set(context, routeCache);
  return routeCache;
}

/**
 * Learns from answers that pass by: an unsafe request that succeeded invalidates, a HEAD freshens (RFC 9111 sections
 * 4.3.5 and 4.4). Says in Cache-Status what the cache did. Comes before all that adds fields.
 */
export function observeCache(context: RouteContext, dependencies: Dependencies): ResponsePhase | null {
  const { route } = context;
  const { cache } = dependencies;
  const routeCache = routeCacheOf(context, dependencies);
  const unsafe = (route.methods ?? ['POST']).some((method) => !isSafe(method));
  if (routeCache === null && !unsafe) return null;
  return (exchange) => {
    const { method } = exchange;
    if (method !== 'GET') {
      if (!isSafe(method)) invalidate(exchange, cache);
      else if (method === 'HEAD' && exchange.cacheState === 'miss' && exchange.upstreamLatencyMs >= 0) {
        routeCache?.freshen(exchange);
      }
    }
    if (exchange.cacheStatus !== null) exchange.responseHeaders.push('Cache-Status', exchange.cacheStatus);
  };
}

function isSafe(method: string): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS' || method === 'TRACE';
}

/** Removes the target and, on the same origin, what Location and Content-Location name. */
function invalidate(exchange: Exchange, cache: Dependencies['cache']): void {
  const { status, host, target, responseHeaders } = exchange;
  if (status < 200 || status > 399 || exchange.upstreamLatencyMs < 0) return;
  cache.invalidate(host, target);
  for (const name of ['location', 'content-location']) {
    const value = firstField(responseHeaders, name);
    if (value === undefined) continue;
    const base = `${exchange.forwardedProto}://${host}${target}`;
    if (!URL.canParse(value, base)) continue;
    const url = new URL(value, base);
    if (url.host === new URL(base).host) cache.invalidate(host, url.pathname + url.search);
  }
}
