import { matchesStrongly, parseEntityTag } from './entity-tag.ts';
import { singleField, splitList } from './fields.ts';
import { parseHttpDate } from './http-date.ts';

/** Positions of a part of a body, both inclusive. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/** More parts than this are answered with the whole. */
const maxRanges = 16;

/**
 * The ranges that a request asks of a body of `length` bytes (RFC 9110 section 14.2): null when the field is absent,
 * not valid or not worth heeding, so that the whole is sent; an empty list when none can be satisfied (416).
 */
export function requestedRanges(
  requestHeaders: readonly string[],
  length: number,
): readonly ByteRange[] | null {
  const value = singleField(requestHeaders, 'range');
  if (typeof value !== 'string') return null;
  const equals = value.indexOf('=');
  if (equals < 0 || value.slice(0, equals).toLowerCase() !== 'bytes') return null;
  const specs = splitList(value.slice(equals + 1));
  if (specs === null || specs.length === 0) return null;
  const ranges: ByteRange[] = [];
  for (const spec of specs) {
    const match = /^(\d*)-(\d*)$/.exec(spec);
    if (!match) return null;
    const [, from = '', to = ''] = match;
    if (from === '' && to === '') return null;
    if (from === '') {
      const suffix = Number(to);
      if (suffix > 0 && length > 0) ranges.push({ first: Math.max(0, length - suffix), last: length - 1 });
      continue;
    }
    const first = Number(from);
    const last = to === '' ? length - 1 : Number(to);
    if (to !== '' && last < first) return null;
    if (first < length) ranges.push({ first, last: Math.min(last, length - 1) });
  }
  if (ranges.length > maxRanges) return null;
  for (let i = 1; i < ranges.length; i++) if (ranges[i]!.first <= ranges[i - 1]!.last) return null;
  return ranges;
}

/** Whether Range counts: If-Range is absent, or its validator matches strongly (RFC 9110 section 13.1.5). */
export function rangeApplies(
  requestHeaders: readonly string[],
  stored: { readonly etag: string | null; readonly lastModified: string | null; readonly dateMs: number },
  nowMs: number,
): boolean {
  const value = singleField(requestHeaders, 'if-range');
  if (value === undefined) return true;
  if (value === null) return false;
  const tag = parseEntityTag(value);
  if (tag !== null) {
    const own = stored.etag === null ? null : parseEntityTag(stored.etag);
    return own !== null && matchesStrongly(tag, own);
  }
  const wanted = parseHttpDate(value, nowMs);
  const modified = stored.lastModified === null ? null : parseHttpDate(stored.lastModified, nowMs);
  // A date is a strong validator only where the response was made at least a second later (section 8.8.2.2).
  return wanted !== null && wanted === modified && stored.dateMs - modified >= 1000;
}

/** A body of several parts (RFC 9110 section 14.6), with the Content-Type that goes with it. */
export function multipartRanges(
  body: Buffer,
  ranges: readonly ByteRange[],
  contentType: string | undefined,
  boundary: string,
): { readonly body: Buffer; readonly contentType: string } {
  const type = contentType === undefined ? '' : `Content-Type: ${contentType}\r\n`;
  const parts: Buffer[] = [];
  for (const { first, last } of ranges) {
    parts.push(
      Buffer.from(
        `--${boundary}\r\n${type}Content-Range: bytes ${first}-${last}/${body.length}\r\n\r\n`,
        'latin1',
      ),
      body.subarray(first, last + 1),
      Buffer.from('\r\n'),
    );
  }
  parts.push(Buffer.from(`--${boundary}--\r\n`));
  return { body: Buffer.concat(parts), contentType: `multipart/byteranges; boundary=${boundary}` };
}
