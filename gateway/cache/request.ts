import type { Exchange } from '../exchange.ts';
import { parseRequestDirectives, type RequestDirectives } from './cache-control.ts';
import type { ForwardReason } from './cache-status.ts';
import { poisonousFields } from './key.ts';
import type { JudgedRequest } from './storability.ts';
import type { Lookup } from './store.ts';
import type { StoredResponse } from './stored-response.ts';

/** What a request's fields mean to the cache, as bits. */
export const has = {
  cacheControl: 1,
  /** If-None-Match or If-Modified-Since. */
  condition: 2,
  /** If-Match or If-Unmodified-Since: for the origin alone (RFC 9111 section 4.3.2). */
  originCondition: 4,
  range: 8,
  authorization: 16,
  poison: 32,
  apiVersion: 64,
} as const;

const meaning = new Map<string, number>([
  ['cache-control', has.cacheControl],
  ['pragma', has.cacheControl],
  ['if-none-match', has.condition],
  ['if-modified-since', has.condition],
  ['if-match', has.originCondition],
  ['if-unmodified-since', has.originCondition],
  ['range', has.range],
  ['authorization', has.authorization],
  ['api-version', has.apiVersion],
]);
for (const name of poisonousFields) meaning.set(name, has.poison);

/** All bits of a header section in one pass. */
export function readFlags(headers: readonly string[]): number {
  let flags = 0;
  for (let i = 0; i < headers.length; i += 2) {
    const bit = meaning.get(headers[i]!);
    if (bit !== undefined) flags |= bit;
  }
  return flags;
}

const noDirectives: RequestDirectives = parseRequestDirectives([]);

/** One request as the cache sees it, from the look-up on. Made only where a look-up alone did not answer. */
export class CacheRequest implements Lookup {
  readonly exchange: Exchange;
  readonly resource: string;
  readonly partition: string;
  readonly consumer: string | null;
  readonly flags: number;
  readonly directives: RequestDirectives;
  /** The stored response that it selects but that may not be used as it is. */
  stale: StoredResponse | null = null;
  reason: ForwardReason = 'uri-miss';
  /** How often it has been let go by a flight. */
  releases = 0;

  constructor(
    exchange: Exchange,
    resource: string,
    partition: string,
    consumer: string | null,
    flags: number,
  ) {
    this.exchange = exchange;
    this.resource = resource;
    this.partition = partition;
    this.consumer = consumer;
    this.flags = flags;
    this.directives = directivesOf(exchange, flags);
  }

  get authorization(): boolean {
    return (this.flags & has.authorization) !== 0;
  }

  /** What storing an answer to it depends on. */
  get judged(): JudgedRequest {
    return {
      method: 'GET',
      noStore: this.directives.noStore,
      authorization: this.authorization,
      consumer: this.consumer !== null,
    };
  }

  get condition(): boolean {
    return (this.flags & has.condition) !== 0;
  }

  /** It asks for an answer that was made for it: nothing that is already on its way will do. */
  get insists(): boolean {
    return this.directives.noCache || this.directives.maxAge === 0;
  }
}

export function directivesOf(exchange: Exchange, flags: number): RequestDirectives {
  return (flags & has.cacheControl) === 0 ? noDirectives : parseRequestDirectives(exchange.headers);
}
