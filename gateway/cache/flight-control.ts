import type { CachePolicy } from '#contract/cache.ts';
import type { CacheState } from '#contract/usage.ts';
import type { Exchange } from '../exchange.ts';
import type { Refusal } from '../refusal.ts';
import type { UpstreamCall, UpstreamHandler } from '../upstream/client.ts';
import type { Found } from './elsewhere.ts';
import type { Flight } from './flight.ts';
import type { CacheRequest } from './request.ts';
import type { NotStorable } from './storability.ts';
import type { ResponseRecord, StoredResponse } from './stored-response.ts';

/** What a flight needs of its route and of the cache. */
export interface FlightControl {
  readonly routeId: string;
  readonly policy: CachePolicy;
  readonly maxObjectBytes: number;
  /** How long a request waits in someone else's flight. */
  readonly waitTimeoutMs: number;
  readonly now: () => number;
  /** Memory for a body that is stored. */
  readonly allocate: (bytes: number) => Buffer;
  /** Sends the request upstream; an empty value takes a field off it. */
  open(exchange: Exchange, handler: UpstreamHandler, fields: readonly string[]): UpstreamCall | Refusal;
  /** Looks elsewhere (other workers, second level) before the upstream is asked; null: nowhere to look. */
  look(flight: Flight): Found | Promise<Found> | null;
  /** The answer has come and will be stored once it is whole. */
  learn(flight: Flight, record: ResponseRecord): void;
  store(record: ResponseRecord): void;
  /** A response that has been validated: to answer from, and to store unless it may not be. */
  renew(record: ResponseRecord, stored: boolean): StoredResponse;
  drop(stored: StoredResponse): void;
  /** Nobody can join any more. */
  onClosed(flight: Flight): void;
  onUncacheable(flight: Flight, why: NotStorable): void;
  /** A request that the flight could not answer goes its own way. */
  release(request: CacheRequest): void;
  count(state: CacheState): void;
}
