import type { Exchange } from '../exchange.ts';
import { isNotModified, notModifiedHeaders } from './conditional.ts';
import { multipartRanges, rangeApplies, requestedRanges } from './range.ts';
import { has } from './request.ts';
import { contentTypeOf, type StoredResponse } from './stored-response.ts';

/**
 * Answers a GET or HEAD from a stored response: whole, 304 where the request's own conditions say so, or the ranges
 * that it asks for. `headers` are the fields to send; the array is given away.
 */
export function answerFrom(
  exchange: Exchange,
  stored: StoredResponse,
  headers: string[],
  flags: number,
  nowMs: number,
): void {
  if ((flags & (has.condition | has.range)) !== 0) {
    if ((flags & has.condition) !== 0 && isNotModified(exchange.headers, stored, nowMs)) {
      exchange.answer(304, notModifiedHeaders(headers), null);
      return;
    }
    if (
      (flags & has.range) !== 0 &&
      exchange.method === 'GET' &&
      stored.status === 200 &&
      rangeApplies(exchange.headers, stored, nowMs)
    ) {
      const ranges = requestedRanges(exchange.headers, stored.body.length);
      if (ranges !== null) {
        answerRanges(exchange, stored.body, headers, ranges);
        return;
      }
    }
  }
  exchange.answer(stored.status, headers, stored.body);
}

function answerRanges(
  exchange: Exchange,
  body: Buffer,
  headers: string[],
  ranges: readonly { readonly first: number; readonly last: number }[],
): void {
  if (ranges.length === 0) {
    const kept = notModifiedHeaders(headers);
    kept.push('Content-Range', `bytes */${body.length}`);
    exchange.answer(416, kept, null);
    return;
  }
  if (ranges.length === 1) {
    const { first, last } = ranges[0]!;
    headers.push('Content-Range', `bytes ${first}-${last}/${body.length}`);
    exchange.answer(206, headers, body.subarray(first, last + 1));
    return;
  }
  const parts = multipartRanges(body, ranges, contentTypeOf(headers), `tollgate-${exchange.requestId}`);
  const replaced: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'content-type') replaced.push(headers[i]!, headers[i + 1]!);
  }
  replaced.push('Content-Type', parts.contentType);
  exchange.answer(206, replaced, parts.body);
}
