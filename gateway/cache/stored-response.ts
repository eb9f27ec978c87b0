import type { ResponseDirectives } from './cache-control.ts';
import { type CacheStatus, cacheName, serializeCacheStatus } from './cache-status.ts';
import type { Validated } from './conditional.ts';
import { firstField, joinedField, singleField, splitList } from './fields.ts';
import { currentAge, dateOf, type StoredTimes } from './freshness.ts';
import { formatHttpDate } from './http-date.ts';
import type { Judgement } from './storability.ts';

/** A stored response as plain data: what workers and gateways hand each other. */
export interface ResponseRecord {
  /** The resource (`resourceKey`). */
  readonly resource: string;
  /** Scheme, version, environment: what divides all resources alike. */
  readonly partition: string;
  /** Whose it is; null when it is for everyone. */
  readonly consumer: string | null;
  readonly vary: readonly string[];
  /** The selecting values (`selectingKey`). */
  readonly selecting: string;
  readonly routeId: string;
  readonly status: number;
  /** Flat, as it is sent again; Date is among them, Age is not. */
  readonly headers: readonly string[];
  readonly body: Uint8Array;
  readonly requestTimeMs: number;
  readonly responseTimeMs: number;
  readonly initialAgeMs: number;
  readonly lifetimeMs: number;
  readonly noCache: boolean;
  readonly mustRevalidate: boolean;
  /** Others may be given it although their requests carry Authorization. */
  readonly shareable: boolean;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  readonly tags: readonly string[];
}

/** What one entry costs beside its texts and its body: objects, maps and the place in the list. */
const overheadBytes = 1600;

/** One stored response, with what answering from it needs. */
export class StoredResponse implements StoredTimes, Validated {
  readonly record: ResponseRecord;
  readonly body: Buffer;
  readonly status: number;
  readonly responseTimeMs: number;
  readonly initialAgeMs: number;
  /** Shortened by a soft purge. */
  lifetimeMs: number;
  readonly etag: string | null;
  readonly lastModified: string | null;
  readonly dateMs: number;
  /** Bytes that it takes in memory: body, header texts, keys, overhead. */
  readonly size: number;
  readonly #template: string[];
  #second = Number.NaN;

  constructor(record: ResponseRecord) {
    this.record = record;
    const { body, headers } = record;
    this.body = Buffer.from(body.buffer as ArrayBuffer, body.byteOffset, body.byteLength);
    this.status = record.status;
    this.responseTimeMs = record.responseTimeMs;
    this.initialAgeMs = record.initialAgeMs;
    this.lifetimeMs = record.lifetimeMs;
    this.etag = singleField(headers, 'etag') ?? null;
    this.lastModified = singleField(headers, 'last-modified') ?? null;
    this.dateMs = dateOf(headers, record.responseTimeMs);
    this.size = sizeOf(record);
    this.#template = [...headers, 'Age', '', 'Cache-Status', ''];
  }

  /** A copy of the header fields for an answer at this time, with Age and `tollgate; hit; ttl=…`. */
  hitHeaders(nowMs: number): string[] {
    const template = this.#template;
    const ageMs = currentAge(this, nowMs);
    const second = Math.floor(ageMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      const end = template.length;
      template[end - 3] = String(second);
      template[end - 1] = `${cacheName}; hit; ttl=${this.ttl(ageMs)}`;
    }
    return template.slice();
  }

  /** The same with another Cache-Status. */
  headersWith(status: Omit<CacheStatus, 'cache'>, nowMs: number): string[] {
    const headers = this.hitHeaders(nowMs);
    headers[headers.length - 1] = serializeCacheStatus({ cache: cacheName, ...status });
    return headers;
  }

  /** Seconds of freshness left at this age. */
  ttl(ageMs: number): number {
    return Math.floor((this.lifetimeMs - ageMs) / 1000);
  }

  get hasValidator(): boolean {
    return this.etag !== null || this.lastModified !== null;
  }

  /** Makes it stale from now on, still good for validation (a soft purge). */
  expire(nowMs: number): void {
    this.lifetimeMs = Math.min(this.lifetimeMs, currentAge(this, nowMs));
    this.#second = Number.NaN;
  }
}

function sizeOf(record: ResponseRecord): number {
  let characters =
    record.resource.length +
    record.partition.length +
    record.selecting.length +
    (record.consumer?.length ?? 0);
  for (const text of record.headers) characters += text.length + 24;
  for (const tag of record.tags) characters += tag.length + 48;
  return overheadBytes + characters + record.body.byteLength;
}

/**
 * Fields that are about one connection, one request or this cache's own computing, and are not stored (RFC 9111
 * section 3.1). The answers of limits belong to the caller that got them.
 */
const unstored = new Set([
  'age',
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'authentication-info',
  'x-request-id',
  'traceparent',
  'traceresponse',
]);

function isStored(name: string, { privateFields, noCacheFields }: ResponseDirectives): boolean {
  if (unstored.has(name) || name.startsWith('ratelimit') || name.startsWith('x-ratelimit')) return false;
  return !privateFields.includes(name) && !noCacheFields.includes(name);
}

/** The fields of a response that are stored, with a Date (RFC 9110 section 6.6.1). */
export function storedHeaders(
  headers: readonly string[],
  directives: ResponseDirectives,
  responseTimeMs: number,
): string[] {
  const kept: string[] = [];
  let dated = false;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    if (!isStored(name, directives)) continue;
    if (name === 'date') dated = true;
    kept.push(name, headers[i + 1]!);
  }
  if (!dated) kept.push('date', formatHttpDate(responseTimeMs));
  return kept;
}

/** Not taken over from a 304: they describe the body that is stored (RFC 9111 section 3.2). */
const bound = new Set(['content-length', 'content-encoding', 'content-range', 'content-type']);

/** The stored fields freshened by those of a 304 (RFC 9111 section 3.2). */
export function freshenHeaders(
  stored: readonly string[],
  notModified: readonly string[],
  directives: ResponseDirectives,
): string[] {
  const replaced = new Set<string>();
  const added: string[] = [];
  for (let i = 0; i < notModified.length; i += 2) {
    const name = notModified[i]!;
    if (bound.has(name) || !isStored(name, directives)) continue;
    replaced.add(name);
    added.push(name, notModified[i + 1]!);
  }
  const result: string[] = [];
  for (let i = 0; i < stored.length; i += 2) {
    if (!replaced.has(stored[i]!) && isStored(stored[i]!, directives))
      result.push(stored[i]!, stored[i + 1]!);
  }
  for (const text of added) result.push(text);
  return result;
}

/** The surrogate keys of a response: Surrogate-Key (separated by spaces) and Cache-Tag (by commas). */
export function surrogateKeys(headers: readonly string[]): string[] {
  const tags = new Set<string>();
  for (const tag of (joinedField(headers, 'surrogate-key') ?? '').split(/[\s,]+/))
    if (tag !== '') tags.add(tag);
  for (const tag of splitList(joinedField(headers, 'cache-tag') ?? '') ?? []) tags.add(tag);
  return [...tags];
}

/** What a judged response is stored as; the body follows once it is whole. */
export function recordOf(
  identity: Pick<ResponseRecord, 'resource' | 'partition' | 'routeId' | 'selecting'> & {
    readonly consumer: string | null;
  },
  status: number,
  headers: readonly string[],
  judged: Judgement,
  requestTimeMs: number,
  responseTimeMs: number,
  body: Uint8Array,
): ResponseRecord {
  const { directives } = judged;
  return {
    ...identity,
    consumer: judged.perConsumer ? identity.consumer : null,
    vary: judged.vary,
    status,
    headers,
    body,
    requestTimeMs,
    responseTimeMs,
    initialAgeMs: judged.initialAgeMs,
    lifetimeMs: judged.lifetimeMs,
    noCache: directives.noCache,
    mustRevalidate: judged.mustRevalidate,
    shareable: directives.isPublic || directives.sMaxage !== null || directives.mustRevalidate,
    staleWhileRevalidateMs: judged.staleWhileRevalidateMs,
    staleIfErrorMs: judged.staleIfErrorMs,
    tags: surrogateKeys(headers),
  };
}

/** The first Content-Type, for parts of a multipart answer. */
export function contentTypeOf(headers: readonly string[]): string | undefined {
  return firstField(headers, 'content-type');
}
