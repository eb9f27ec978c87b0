import { cacheName, serializeCacheStatus } from './cache-status.ts';
import type { FlightControl } from './flight-control.ts';
import type { Moment } from './renewal.ts';
import type { CacheRequest } from './request.ts';
import { type Judgement, judge } from './storability.ts';
import { type ResponseRecord, recordOf, storedHeaders } from './stored-response.ts';
import { selectingKey } from './vary.ts';

/** A response head that has just come from the upstream, judged. */
export interface FreshAnswer {
  readonly judged: Judgement;
  /** What it is stored as, its body still missing; null when it may not be stored. */
  readonly record: ResponseRecord | null;
}

const nothing = Buffer.alloc(0);

/** Judges the answer to a request. `headers` are not changed. */
export function judgeAnswer(
  leader: CacheRequest,
  { policy, routeId }: FlightControl,
  status: number,
  headers: readonly string[],
  { requestTimeMs, responseTimeMs }: Moment,
): FreshAnswer {
  const response = { status, headers, requestTimeMs, responseTimeMs };
  const judged = judge(leader.judged, response, policy);
  if (judged.refused !== null) return { judged, record: null };
  const { resource, partition, consumer } = leader;
  const selecting = selectingKey(judged.vary, leader.exchange);
  const identity = { resource, partition, routeId, consumer, selecting };
  const kept = storedHeaders(headers, judged.directives, responseTimeMs);
  return { judged, record: recordOf(identity, status, kept, judged, requestTimeMs, responseTimeMs, nothing) };
}

/** Cache-Status of the request that was sent upstream. `fwdStatus` null where it is the status of the answer anyway. */
export function forwardedStatus(
  leader: CacheRequest,
  judged: Judgement,
  stored: boolean,
  fwdStatus: number | null,
): string {
  return serializeCacheStatus({
    cache: cacheName,
    fwd: leader.reason,
    ...(fwdStatus === null ? {} : { fwdStatus }),
    ...(stored ? { ttl: Math.floor((judged.lifetimeMs - judged.initialAgeMs) / 1000) } : {}),
    stored,
    ...(judged.refused === null ? {} : { detail: judged.refused }),
  });
}
