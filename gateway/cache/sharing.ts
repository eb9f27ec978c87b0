import { isNotModified } from './conditional.ts';
import { firstField } from './fields.ts';
import { dateOf, satisfiesRequest } from './freshness.ts';
import type { CacheRequest } from './request.ts';
import type { ResponseRecord } from './stored-response.ts';
import { selectingKey } from './vary.ts';

/** The age of a response that has just come, in milliseconds. */
export function ageOf(record: ResponseRecord, nowMs: number): number {
  return record.initialAgeMs + Math.max(0, nowMs - record.responseTimeMs);
}

/** Whether a response that was asked for by another request may answer this one (RFC 9111 section 4). */
export function mayShare(request: CacheRequest, record: ResponseRecord, nowMs: number): boolean {
  const ageMs = ageOf(record, nowMs);
  if (record.noCache || ageMs >= record.lifetimeMs) return false;
  if (!satisfiesRequest(request.directives, ageMs, record.lifetimeMs)) return false;
  if (request.resource !== record.resource || request.partition !== record.partition) return false;
  if (record.consumer !== null) {
    if (record.consumer !== request.consumer) return false;
  } else if (!record.shareable && (request.consumer !== null || request.authorization)) return false;
  return selectingKey(record.vary, request.exchange) === record.selecting;
}

/** Whether a request's own condition is answered with 304 by a response that has just come. */
export function isCurrent(request: CacheRequest, record: ResponseRecord, nowMs: number): boolean {
  const { headers, status, responseTimeMs } = record;
  const validators = {
    status,
    etag: firstField(headers, 'etag') ?? null,
    lastModified: firstField(headers, 'last-modified') ?? null,
    dateMs: dateOf(headers, responseTimeMs),
  };
  return isNotModified(request.exchange.headers, validators, nowMs);
}
