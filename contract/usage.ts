/**
 * A usage event: what one request was, for metering and analytics. One is made for every request that a route
 * matched, whatever its end.
 */
export interface UsageEvent {
  /** The request id (`X-Request-Id`). Clients may choose it, so it identifies nothing in billing. */
  readonly id: string;
  /** Milliseconds since the epoch at which the request head was complete. */
  readonly occurredAt: number;
  readonly keyId: string | null;
  readonly appId: string | null;
  readonly accountId: string | null;
  readonly environment: 'test' | 'live' | null;
  readonly routeId: string | null;
  readonly serviceId: string | null;
  readonly version: string | null;
  readonly method: string;
  /** Path without query. */
  readonly path: string;
  readonly status: number;
  readonly latencyMs: number;
  readonly upstreamLatencyMs: number | null;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly cache: CacheState | null;
  readonly limit: LimitOutcome | null;
  readonly overage: boolean;
  /** ISO 3166-1 alpha-2. */
  readonly country: string | null;
  /** As the gateway's policy leaves it: whole, truncated to its network, hashed, or absent. */
  readonly clientIp: string | null;
}

export type CacheState = 'hit' | 'miss' | 'stale' | 'revalidated' | 'collapsed' | 'bypass';
export type LimitOutcome = 'admitted' | 'refused' | 'warned' | 'charged' | 'shadow' | 'unlimited';

/** In the order of their codes in a batch; append only. */
export const cacheStates: readonly CacheState[] = [
  'hit',
  'miss',
  'stale',
  'revalidated',
  'collapsed',
  'bypass',
];
/** In the order of their codes in a batch; append only. */
export const limitOutcomes: readonly LimitOutcome[] = [
  'admitted',
  'refused',
  'warned',
  'charged',
  'shadow',
  'unlimited',
];
