import type { CachePolicy } from '#contract/cache.ts';
import type { Exchange } from '../exchange.ts';
import { emptyResponseDirectives } from './cache-control.ts';
import { firstField } from './fields.ts';
import { formatHttpDate } from './http-date.ts';
import { type JudgedRequest, type Judgement, judge } from './storability.ts';
import {
  freshenHeaders,
  type ResponseRecord,
  recordOf,
  type StoredResponse,
  storedHeaders,
} from './stored-response.ts';
import { selectingKey } from './vary.ts';

/** When a request was sent and its answer came. */
export interface Moment {
  readonly requestTimeMs: number;
  readonly responseTimeMs: number;
}

/**
 * A stored response with its fields updated by those of an answer about it, a 304 or the answer to a HEAD (RFC 9111
 * section 3.2), and under which terms that is stored, if at all.
 */
export function renew(
  stored: StoredResponse,
  news: readonly string[],
  request: JudgedRequest,
  { exchange, consumer }: { readonly exchange: Exchange; readonly consumer: string | null },
  policy: CachePolicy,
  { requestTimeMs, responseTimeMs }: Moment,
): { readonly record: ResponseRecord; readonly judged: Judgement } {
  const { record, status, body } = stored;
  // The stored Date would make it as old as before.
  const dated =
    firstField(news, 'date') === undefined ? [...news, 'date', formatHttpDate(responseTimeMs)] : news;
  const merged = freshenHeaders(record.headers, dated, emptyResponseDirectives());
  const age = firstField(news, 'age');
  const headers = age === undefined ? merged : [...merged, 'age', age];
  const judged = judge(request, { status, headers, requestTimeMs, responseTimeMs }, policy);
  const { resource, partition, routeId } = record;
  const selecting = selectingKey(judged.vary, exchange);
  const kept = storedHeaders(merged, judged.directives, responseTimeMs);
  const identity = { resource, partition, routeId, consumer, selecting };
  return { record: recordOf(identity, status, kept, judged, requestTimeMs, responseTimeMs, body), judged };
}

/**
 * What the answer 200 to a HEAD makes of a stored response (RFC 9111 section 4.3.5): its renewal, or that it is stale or
 * not to be kept. An answer for one consumer does not touch what is for everyone.
 */
export function renewByHead(
  stored: StoredResponse,
  exchange: Exchange,
  policy: CachePolicy,
  nowMs: number,
): ResponseRecord | 'stale' | 'gone' {
  const { responseHeaders } = exchange;
  const etag = firstField(responseHeaders, 'etag');
  const modified = firstField(responseHeaders, 'last-modified');
  const matches =
    (etag === undefined || etag === stored.etag) &&
    (modified === undefined || modified === stored.lastModified) &&
    stored.status === 200;
  if (!matches) return 'stale';
  const request = {
    method: 'GET',
    noStore: false,
    authorization: exchange.header('authorization') !== undefined,
    consumer: exchange.consumer !== null,
  };
  const moment = { requestTimeMs: nowMs, responseTimeMs: nowMs };
  const { consumer } = stored.record;
  const { record, judged } = renew(stored, responseHeaders, request, { exchange, consumer }, policy, moment);
  if (judged.refused !== null) return 'gone';
  return judged.perConsumer === (consumer !== null) ? record : 'stale';
}
