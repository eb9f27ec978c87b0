import type { Purge } from '#contract/purge.ts';
import type { CacheState } from '#contract/usage.ts';
import type { CounterCell, Metrics } from '../telemetry/metrics.ts';
import { Elsewhere } from './elsewhere.ts';
import type { Flight } from './flight.ts';
import type { FlightLocks } from './flight-locks.ts';
import { type QueryRule, resourceKey } from './key.ts';
import { type BroadPurge, splitAddress } from './removal.ts';
import type { SecondLevel } from './second-level.ts';
import { type RecordIdentity, ResponseStore } from './store.ts';
import { type ResponseRecord, StoredResponse } from './stored-response.ts';
import { Turnstile } from './turnstile.ts';

/** News about stored responses, for the other workers of this host. */
export type CacheNews =
  | { readonly type: 'put'; readonly record: ResponseRecord }
  | { readonly type: 'drop'; readonly identity: RecordIdentity }
  | { readonly type: 'invalidate'; readonly resource: string; readonly atMs: number; readonly soft: boolean }
  | { readonly type: 'purge'; readonly purge: BroadPurge; readonly atMs: number };

export interface ResponseCacheOptions {
  /** Of all stored responses together. */
  readonly maxBytes: number;
  readonly now: () => number;
  readonly metrics: Metrics | null;
  /** How many workers hold the same stored responses, so that metrics added up count each once. Default: 1. */
  readonly holders?: number;
  /** Tells the other workers; null when there are none. */
  readonly tell?: ((news: CacheNews) => void) | null;
  /** The locks that this host's workers share. */
  readonly locks?: FlightLocks | null;
  readonly secondLevel?: SecondLevel | null;
}

/** How long a key that gave nothing to share is not waited for, in milliseconds. */
const uncacheableMs = 10_000;
const maxMarks = 10_000;
/** How many released requests of one resource are upstream at a time. */
const releasedAtOnce = 16;

const states: readonly CacheState[] = ['hit', 'miss', 'stale', 'revalidated', 'collapsed', 'bypass'];

/** The response cache of one worker: what is stored, what is being fetched, and what all routes share of both. */
export class ResponseCache {
  readonly store: ResponseStore;
  readonly flights = new Map<string, Flight>();
  /** Null: there is nowhere else to look. */
  readonly elsewhere: Elsewhere | null;
  readonly allocate: (bytes: number) => Buffer;
  readonly #now: () => number;
  readonly #tell: ((news: CacheNews) => void) | null;
  readonly #secondLevel: SecondLevel | null;
  readonly #uncacheable = new Map<string, number>();
  readonly #turnstiles = new Map<string, Turnstile>();
  readonly #queryRules = new Map<string, QueryRule>([['all', 'all']]);
  readonly #counter: (...labels: string[]) => CounterCell;

  constructor(options: ResponseCacheOptions) {
    const { metrics, tell = null, locks = null, secondLevel = null } = options;
    this.store = new ResponseStore(options.maxBytes, (entry) => this.#tellDropped(entry));
    this.elsewhere = locks === null && secondLevel === null ? null : new Elsewhere(locks, secondLevel);
    this.#secondLevel = secondLevel;
    this.#now = options.now;
    this.#tell = tell;
    // Memory that workers share is not copied when they tell each other.
    this.allocate = allocatorFor(tell !== null);
    this.#counter =
      metrics?.counter('tollgate_cache_requests_total', 'Requests of cached routes by what the cache did.', [
        'route',
        'state',
      ]) ?? (() => ({ value: 0 }));
    if (metrics !== null) this.#exposeUsage(metrics, options.holders ?? 1);
  }

  #exposeUsage(metrics: Metrics, holders: number): void {
    const expose = (
      name: string,
      type: 'gauge' | 'counter',
      help: string,
      read: 'bytes' | 'entries' | 'evictions',
    ): void =>
      metrics.collected(name, type, help, ['route'], () =>
        [...this.store.usage()].map(([route, usage]) => ({
          labels: [route],
          values: [read === 'evictions' ? usage[read] : usage[read] / holders],
        })),
      );
    expose('tollgate_cache_bytes', 'gauge', 'Memory that stored responses take.', 'bytes');
    expose('tollgate_cache_entries', 'gauge', 'Stored responses.', 'entries');
    expose(
      'tollgate_cache_evictions_total',
      'counter',
      'Stored responses that made room for others.',
      'evictions',
    );
  }

  countersOf(routeId: string): Record<CacheState, CounterCell> {
    return Object.fromEntries(states.map((state) => [state, this.#counter(routeId, state)])) as Record<
      CacheState,
      CounterCell
    >;
  }

  /** Query rules in use, so that an unsafe request finds what its resource is stored as. */
  registerQueryRule(rule: QueryRule): void {
    this.#queryRules.set(JSON.stringify(rule), rule);
  }

  put(record: ResponseRecord): void {
    if (this.store.put(record) === null) return;
    this.#tell?.({ type: 'put', record });
    this.#secondLevel?.put(record);
  }

  renew(record: ResponseRecord, stored: boolean): StoredResponse {
    const entry = stored ? this.store.put(record) : null;
    if (entry === null) return new StoredResponse(record);
    this.#tell?.({ type: 'put', record });
    this.#secondLevel?.put(record);
    return entry;
  }

  drop(stored: StoredResponse): void {
    this.store.drop(stored);
    this.#tellDropped(stored);
  }

  /** What one worker evicts all do, so that what they share stays within its bound. */
  #tellDropped({ record }: StoredResponse): void {
    const { resource, partition, consumer, vary, selecting, responseTimeMs } = record;
    this.#tell?.({
      type: 'drop',
      identity: { resource, partition, consumer, vary, selecting, responseTimeMs },
    });
  }

  /**
   * Removes what is stored of a target, for example after an unsafe method succeeded on it (RFC 9111 section 4.4).
   * Returns how many entries it was here.
   */
  invalidate(host: string, target: string, soft = false, spread = true): number {
    const mark = target.indexOf('?');
    const path = mark < 0 ? target : target.slice(0, mark);
    const query = mark < 0 ? '' : target.slice(mark + 1);
    const atMs = this.#now();
    let removed = 0;
    for (const rule of this.#queryRules.values()) {
      const resource = resourceKey(host, path, query, target, rule);
      removed += this.store.invalidate(resource, atMs, soft);
      if (spread) this.#tell?.({ type: 'invalidate', resource, atMs, soft });
      this.#secondLevel?.invalidate(resource);
    }
    return removed;
  }

  /**
   * Removes what an operator names, also at the other workers unless all are told anyway. Returns how many entries it
   * was here.
   */
  purge(purge: Purge, spread = true): number {
    if (purge.kind === 'url') {
      const { host, target } = splitAddress(purge.value);
      return this.invalidate(host, target, purge.soft, spread);
    }
    const broad = purge as BroadPurge;
    const atMs = this.#now();
    if (spread) this.#tell?.({ type: 'purge', purge: broad, atMs });
    this.#secondLevel?.purge(broad);
    return this.store.purge(broad, atMs);
  }

  /** Takes over what another gateway has stored. */
  adopt(record: ResponseRecord): void {
    if (this.store.put(record) !== null) this.#tell?.({ type: 'put', record });
  }

  /** What another worker told. */
  hear(news: CacheNews): void {
    if (news.type === 'put') this.store.put(news.record);
    else if (news.type === 'drop') this.store.dropIdentical(news.identity);
    else if (news.type === 'invalidate') this.store.invalidate(news.resource, news.atMs, news.soft);
    else this.store.purge(news.purge, news.atMs);
  }

  markUncacheable(key: string, nowMs: number): void {
    this.#uncacheable.delete(key);
    this.#uncacheable.set(key, nowMs + uncacheableMs);
    if (this.#uncacheable.size > maxMarks) this.#uncacheable.delete(this.#uncacheable.keys().next().value!);
  }

  unmarkUncacheable(key: string): void {
    this.#uncacheable.delete(key);
  }

  isUncacheable(key: string, nowMs: number): boolean {
    if (this.#uncacheable.size === 0) return false;
    const untilMs = this.#uncacheable.get(key);
    if (untilMs === undefined) return false;
    if (untilMs > nowMs) return true;
    this.#uncacheable.delete(key);
    return false;
  }

  /** Where requests for a resource wait for their turn. */
  turnstile(resource: string, waitTimeoutMs: number): Turnstile {
    let turnstile = this.#turnstiles.get(resource);
    if (turnstile === undefined) {
      turnstile = new Turnstile(releasedAtOnce, waitTimeoutMs, () => this.#turnstiles.delete(resource));
      this.#turnstiles.set(resource, turnstile);
    }
    return turnstile;
  }
}

/** Memory for bodies; that which workers share costs a little more to get. */
export function allocatorFor(shared: boolean): (bytes: number) => Buffer {
  return shared ? sharedMemory : ownMemory;
}

function ownMemory(bytes: number): Buffer {
  return Buffer.allocUnsafeSlow(bytes);
}

function sharedMemory(bytes: number): Buffer {
  return Buffer.from(new SharedArrayBuffer(bytes));
}
