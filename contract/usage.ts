/**
 * A usage event: what one request was, for metering and analytics. One is made for every request that a route
 * matched, whatever its end.
 */
export interface UsageEvent {
  /** The request id (`X-Request-Id`); events with one id are one event. */
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
  readonly country: string | null;
  readonly clientIp: string | null;
}

export type CacheState = 'hit' | 'miss' | 'stale' | 'revalidated' | 'collapsed' | 'bypass';
export type LimitOutcome = 'admitted' | 'refused' | 'warned' | 'charged' | 'shadow' | 'unlimited';
