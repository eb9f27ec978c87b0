import type { RouteContext } from '../compile.ts';
import { secondsUntilNextWindow } from '../credentials/failure-throttle.ts';
import type { Dependencies } from '../dependencies.ts';
import { addressGroup } from '../limits/subjects.ts';
import type { Phase, ResponsePhase } from '../pipeline.ts';
import { Refusal } from '../refusal.ts';

/**
 * Refuses an address that has failed to authenticate too often within the minute, before its next attempt is looked
 * at: guessing is answered no more, not even when a guess is right.
 */
export function throttle({ route }: RouteContext, { failures, now }: Dependencies): Phase | null {
  const most = mostFailures({ route });
  if (most === null) return null;
  return (exchange) => {
    const nowMs = now();
    if (failures.count(addressGroup(exchange.clientIp), nowMs) < most) return undefined;
    return new Refusal(
      'rate_limited',
      ['Retry-After', String(secondsUntilNextWindow(nowMs))],
      'Too many failed attempts to authenticate from this address.',
    );
  };
}

/** Counts the failures, whatever phase has refused the credentials. */
export function countFailures(
  { route }: RouteContext,
  { failures, now }: Dependencies,
): ResponsePhase | null {
  if (mostFailures({ route }) === null) return null;
  return (exchange) => {
    if (exchange.status === 401 && exchange.refusalCode !== null) {
      failures.add(addressGroup(exchange.clientIp), now());
    }
  };
}

function mostFailures({ route }: Pick<RouteContext, 'route'>): number | null {
  if (route.authentication === undefined || route.authentication === 'none') return null;
  return route.authentication.maxFailuresPerMinute ?? null;
}
