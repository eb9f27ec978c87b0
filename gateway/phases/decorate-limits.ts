import type { CacheState } from '#contract/usage.ts';
import type { RouteContext } from '../compile.ts';
import type { Dependencies } from '../dependencies.ts';
import { EffectiveLimits } from '../limits/effective-limits.ts';
import { readSubjects } from '../limits/subjects.ts';
import type { ResponsePhase } from '../pipeline.ts';
import { canBeLimited, fieldsOf } from './limit.ts';

const maxCost = 1_000_000;

/**
 * Puts the limit fields on the response, in the place of the upstream's own, and settles the cost that the upstream
 * states in `X-RateLimit-Cost`: it replaces the cost of the route.
 */
export function decorateLimits(
  context: RouteContext,
  { limiter, keys, now }: Dependencies,
): ResponsePhase | null {
  if (!canBeLimited(context)) return null;
  const { route } = context;
  const effective = new EffectiveLimits(route, keys);
  const cost = route.cost ?? 1;
  const subjects = ['', '', '', '', '', '', ''];
  return (exchange) => {
    if (exchange.limitHeaders === null) return;
    const headers = exchange.responseHeaders;
    const stated = dropLimitFields(headers);
    if (stated !== null && exchange.limitOutcome !== 'refused' && cameFromUpstream(exchange.cacheState)) {
      const actual = parseCost(stated);
      if (actual !== null && actual !== cost) {
        const set = effective.of(exchange);
        readSubjects(exchange, set, route.id, subjects);
        const decision = limiter.adjust(set, subjects, actual - cost, now());
        if (decision !== null) exchange.limitHeaders = fieldsOf(set).write(decision, 0);
      }
    }
    const lines = exchange.limitHeaders;
    for (let i = 0; i < lines.length; i++) headers.push(lines[i]!);
    if (exchange.limitOutcome === 'warned') headers.push('X-RateLimit-Overage', 'warn');
    else if (exchange.limitOutcome === 'charged') headers.push('X-RateLimit-Overage', 'charge');
  };
}

/** A stored or shared answer cost its upstream nothing this time. */
function cameFromUpstream(state: CacheState | null): boolean {
  return state === null || state === 'miss' || state === 'bypass';
}

/** Removes the fields that are ours to send; returns what `X-RateLimit-Cost` said, or null. */
function dropLimitFields(headers: string[]): string | null {
  let cost: string | null = null;
  for (let i = headers.length - 2; i >= 0; i -= 2) {
    const name = headers[i]!;
    const first = name.charCodeAt(0);
    // x or r
    if (first !== 120 && first !== 114) continue;
    if (name.startsWith('x-ratelimit-')) {
      if (name === 'x-ratelimit-cost') cost = headers[i + 1]!;
      headers.splice(i, 2);
    } else if (name === 'ratelimit' || name === 'ratelimit-policy') headers.splice(i, 2);
  }
  return cost;
}

function parseCost(text: string): number | null {
  if (!/^\d{1,7}$/.test(text)) return null;
  const cost = Number(text);
  return cost <= maxCost ? cost : null;
}
