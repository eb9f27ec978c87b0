import type { CachePolicy } from '#contract/cache.ts';
import type { CacheState } from '#contract/usage.ts';
import type { RouteContext } from '../compile.ts';
import type { Exchange } from '../exchange.ts';
import { answered, type PhaseResult } from '../pipeline.ts';
import { Refusal } from '../refusal.ts';
import type { CounterCell } from '../telemetry/metrics.ts';
import type { UpstreamCall, UpstreamHandler } from '../upstream/client.ts';
import { answerFrom } from './answer.ts';
import { emptyResponseDirectives } from './cache-control.ts';
import { cacheName, type ForwardReason } from './cache-status.ts';
import { firstField } from './fields.ts';
import { Flight } from './flight.ts';
import type { FlightControl } from './flight-control.ts';
import { acceptsStale, currentAge, satisfiesRequest } from './freshness.ts';
import { formatHttpDate } from './http-date.ts';
import { type QueryRule, resourceKey } from './key.ts';
import { CacheRequest, directivesOf, has, readFlags } from './request.ts';
import type { ResponseCache } from './response-cache.ts';
import { judge, type NotStorable } from './storability.ts';
import type { Lookup } from './store.ts';
import {
  freshenHeaders,
  type ResponseRecord,
  recordOf,
  type StoredResponse,
  storedHeaders,
} from './stored-response.ts';
import { selectingKey } from './vary.ts';

/** Sends a request upstream for a flight. */
export type Opener = (
  exchange: Exchange,
  handler: UpstreamHandler,
  fields: readonly string[],
) => UpstreamCall | Refusal;

/** Whatever is larger is not stored, unless the route says otherwise. */
export const defaultMaxObjectBytes = 8 * 1024 * 1024;

/** After so many releases a request goes on its own. */
const maxReleases = 2;

const notCached = new Refusal('not_cached', [
  'Cache-Status',
  `${cacheName}; fwd=request; detail=only-if-cached`,
]);

/** The cache as one route uses it: decides for each request whether to answer it, let it wait, or send it on. */
export class RouteCache implements FlightControl {
  readonly routeId: string;
  readonly policy: CachePolicy;
  readonly maxObjectBytes: number;
  readonly waitTimeoutMs: number;
  readonly now: () => number;
  readonly open: Opener;
  readonly #cache: ResponseCache;
  readonly #query: QueryRule;
  readonly #versionId: string;
  /** Partitions of the plain cases: live and test, over http and https. */
  readonly #partitions: readonly [string, string, string, string];
  readonly #perConsumer: boolean;
  readonly #counts: Record<CacheState, CounterCell>;

  constructor(
    cache: ResponseCache,
    context: RouteContext,
    policy: CachePolicy,
    now: () => number,
    open: Opener,
  ) {
    const { route, service } = context;
    this.routeId = route.id;
    this.policy = policy;
    this.maxObjectBytes = policy.maxObjectBytes ?? defaultMaxObjectBytes;
    this.waitTimeoutMs = service?.responseTimeoutMs ?? 30_000;
    this.now = now;
    this.open = open;
    this.#cache = cache;
    this.#query = policy.query ?? 'all';
    this.#versionId = route.version ?? '';
    this.#partitions = [
      `${this.#versionId} live http`,
      `${this.#versionId} live https`,
      `${this.#versionId} test http`,
      `${this.#versionId} test https`,
    ];
    this.#perConsumer = policy.perConsumer ?? false;
    this.#counts = cache.countersOf(route.id);
    cache.registerQueryRule(this.#query);
  }

  /** Answers, or takes the request into a flight; undefined lets it go upstream by itself. */
  handle(exchange: Exchange): PhaseResult {
    const isHead = exchange.method === 'HEAD';
    if (!isHead && exchange.method !== 'GET') return undefined;
    const flags = readFlags(exchange.headers);
    if (exchange.bodyLength !== 0 || exchange.upgrade !== null || (flags & has.originCondition) !== 0) {
      return this.#pass(exchange, 'bypass', 'bypass');
    }
    const lookup = this.#lookup(exchange, flags);
    const stored = this.#find(lookup, exchange, flags);
    if (stored !== null && this.#answer(exchange, stored, flags)) return answered;
    const request = new CacheRequest(exchange, lookup.resource, lookup.partition, lookup.consumer, flags);
    return this.#forward(request, stored, isHead);
  }

  /** Whether a look-up would answer this request without the upstream. */
  wouldHit(exchange: Exchange): boolean {
    if (exchange.method !== 'GET' && exchange.method !== 'HEAD') return false;
    const flags = readFlags(exchange.headers);
    if (exchange.bodyLength !== 0 || exchange.upgrade !== null || (flags & has.originCondition) !== 0)
      return false;
    const stored = this.#find(this.#lookup(exchange, flags), exchange, flags);
    return stored !== null && this.#usable(exchange, stored, flags, this.now()) !== 'no';
  }

  #lookup(exchange: Exchange, flags: number): Lookup {
    const { host, path, query, target, forwardedProto, forwardedHost, consumer } = exchange;
    const test = consumer !== null && consumer.environment === 'test';
    let partition: string;
    if (forwardedProto === 'http') partition = this.#partitions[test ? 2 : 0];
    else if (forwardedProto === 'https') partition = this.#partitions[test ? 3 : 1];
    else partition = `${this.#versionId} ${test ? 'test' : 'live'} ${forwardedProto}`;
    if (forwardedHost !== host) partition += ` host=${forwardedHost}`;
    if ((flags & has.apiVersion) !== 0) partition += ` version=${exchange.header('api-version')}`;
    return {
      resource: resourceKey(host, path, query, target, this.#query),
      partition,
      consumer: consumer === null ? null : this.#nameOf(consumer),
    };
  }

  /** Explicit `perConsumer` is by app; otherwise nothing is shared between two callers that can be told apart. */
  #nameOf(consumer: NonNullable<Exchange['consumer']>): string {
    const { appId, keyId, subject } = consumer;
    if (this.#perConsumer && appId !== null)
      return subject === null ? `app ${appId}` : `app ${appId} ${subject}`;
    return `key ${keyId ?? ''} ${subject ?? ''}`;
  }

  /** What is stored for the request. An answer that was not marked for everyone is not for those who identify themselves. */
  #find(lookup: Lookup, exchange: Exchange, flags: number): StoredResponse | null {
    const stored = this.#cache.store.find(lookup, exchange);
    if (stored === null || stored.record.shareable || stored.record.consumer !== null) return stored;
    return (flags & has.authorization) !== 0 || lookup.consumer !== null ? null : stored;
  }

  /** Requests that may want one answer meet under one key. */
  #meetingKey(lookup: Lookup, exchange: Exchange, flags: number): string {
    const key = this.#cache.store.meetingKey(lookup, exchange);
    return (flags & has.authorization) === 0 ? key : `${key} authorization`;
  }

  #usable(
    exchange: Exchange,
    stored: StoredResponse,
    flags: number,
    now: number,
  ): 'hit' | 'stale' | 'refresh' | 'no' {
    const { record } = stored;
    if (record.noCache) return 'no';
    const ageMs = currentAge(stored, now);
    const staleForMs = ageMs - stored.lifetimeMs;
    if ((flags & has.cacheControl) === 0) {
      if (staleForMs < 0) return 'hit';
      return staleForMs < record.staleWhileRevalidateMs ? 'refresh' : 'no';
    }
    const directives = directivesOf(exchange, flags);
    if (directives.noStore || directives.noCache) return 'no';
    if (staleForMs < 0) return satisfiesRequest(directives, ageMs, stored.lifetimeMs) ? 'hit' : 'no';
    // Whoever limits the age or asks for freshness wants nothing stale, unless it says so (section 5.2.1).
    if (directives.maxAge === 0 || (directives.maxAge !== null && ageMs > directives.maxAge * 1000))
      return 'no';
    if (directives.minFresh !== null) return 'no';
    if (!record.mustRevalidate && acceptsStale(directives, staleForMs)) return 'stale';
    return directives.maxAge === null && staleForMs < record.staleWhileRevalidateMs ? 'refresh' : 'no';
  }

  #answer(exchange: Exchange, stored: StoredResponse, flags: number): boolean {
    const now = this.now();
    const use = this.#usable(exchange, stored, flags, now);
    if (use === 'no') return false;
    if (use === 'refresh' && exchange.method === 'GET') this.#refresh(exchange, stored, flags);
    const state = use === 'hit' ? 'hit' : 'stale';
    exchange.cacheState = state;
    this.#counts[state].value++;
    answerFrom(exchange, stored, stored.hitHeaders(now), flags, now);
    return true;
  }

  /** stale-while-revalidate (RFC 5861 section 3): one validation in the background. */
  #refresh(exchange: Exchange, stored: StoredResponse, flags: number): void {
    const lookup = this.#lookup(exchange, flags);
    if ((flags & has.poison) !== 0) return;
    const key = this.#meetingKey(lookup, exchange, flags);
    if (this.#cache.flights.has(key)) return;
    const request = new CacheRequest(exchange, lookup.resource, lookup.partition, lookup.consumer, flags);
    request.stale = stored;
    request.reason = 'stale';
    this.#launch(key, request, true);
  }

  #forward(request: CacheRequest, stored: StoredResponse | null, isHead: boolean): PhaseResult {
    const { exchange, flags, directives } = request;
    if (directives.onlyIfCached) {
      exchange.cacheState = 'bypass';
      this.#counts.bypass.value++;
      return notCached;
    }
    const reason = this.#reasonFor(request, stored);
    if (directives.noStore) return this.#pass(exchange, 'request', 'bypass');
    if ((flags & has.poison) !== 0) return this.#pass(exchange, 'bypass', 'bypass');
    if (isHead) return this.#pass(exchange, reason, 'miss');
    // A part is never stored; only the validation of a whole can serve it.
    if ((flags & has.range) !== 0 && (stored === null || !stored.hasValidator)) {
      return this.#pass(exchange, reason, 'miss');
    }
    request.stale = stored;
    request.reason = reason;
    this.#enter(request);
    return answered;
  }

  /** Updates what is stored of the target with the answer to a HEAD, or marks it stale (RFC 9111 section 4.3.5). */
  freshen(exchange: Exchange): void {
    const { status, responseHeaders } = exchange;
    if (status !== 200) return;
    const stored = this.#cache.store.find(this.#lookup(exchange, readFlags(exchange.headers)), exchange);
    if (stored === null) return;
    const now = this.now();
    const etag = firstField(responseHeaders, 'etag');
    const modified = firstField(responseHeaders, 'last-modified');
    const matches =
      (etag === undefined || etag === stored.etag) &&
      (modified === undefined || modified === stored.lastModified) &&
      stored.status === 200;
    if (!matches) {
      stored.expire(now);
      return;
    }
    const { record } = stored;
    const dated = firstField(responseHeaders, 'date') === undefined;
    const fields = dated ? [...responseHeaders, 'date', formatHttpDate(now)] : responseHeaders;
    const merged = freshenHeaders(record.headers, fields, emptyResponseDirectives());
    const judged = judge(
      {
        method: 'GET',
        noStore: false,
        authorization: exchange.header('authorization') !== undefined,
        consumer: exchange.consumer !== null,
      },
      { status: 200, headers: merged, requestTimeMs: now, responseTimeMs: now },
      this.policy,
    );
    if (judged.refused !== null) {
      this.#cache.drop(stored);
      return;
    }
    const { resource, partition, routeId, consumer } = record;
    const identity = {
      resource,
      partition,
      routeId,
      consumer,
      selecting: selectingKey(judged.vary, exchange),
    };
    const headers = storedHeaders(merged, judged.directives, now);
    this.#cache.put({ ...recordOf(identity, 200, headers, judged, now, now, stored.body), consumer });
  }

  #reasonFor(request: CacheRequest, stored: StoredResponse | null): ForwardReason {
    if (stored === null) return this.#cache.store.has(request.resource) ? 'vary-miss' : 'uri-miss';
    const ageMs = currentAge(stored, this.now());
    const asked = ageMs < stored.lifetimeMs && !stored.record.noCache;
    return asked ? 'request' : 'stale';
  }

  #pass(exchange: Exchange, reason: ForwardReason, state: CacheState): undefined {
    exchange.cacheState = state;
    exchange.cacheStatus = `${cacheName}; fwd=${reason}`;
    this.#counts[state].value++;
    return undefined;
  }

  /** Joins the flight for what the request wants, or becomes the leader of a new one. Returns the new one. */
  #enter(request: CacheRequest): Flight | null {
    const { store, flights } = this.#cache;
    const key = this.#meetingKey(request, request.exchange, request.flags);
    const alone =
      request.releases > maxReleases || request.insists || this.#cache.isUncacheable(key, this.now());
    if (!alone) {
      const flight = flights.get(key);
      if (flight?.open && !store.isRemoved(request.resource, [], flight.requestTimeMs)) {
        flight.join(request);
        return null;
      }
    }
    return this.#launch(key, request, false, alone);
  }

  #launch(key: string, leader: CacheRequest, background: boolean, alone = false): Flight {
    const keepConditions = alone && this.#cache.isUncacheable(key, this.now());
    const flight = new Flight(key, leader, this, !keepConditions);
    if (!alone) this.#cache.flights.set(key, flight);
    if (!background) flight.join(leader);
    flight.start();
    return flight;
  }

  // What flights ask for.

  look(flight: Flight): ReturnType<FlightControl['look']> {
    const { elsewhere } = this.#cache;
    if (elsewhere === null || this.#cache.flights.get(flight.key) !== flight) return null;
    const { leader } = flight;
    const { exchange, flags } = leader;
    return elsewhere.look({
      key: flight.key,
      resource: leader.resource,
      waitTimeoutMs: this.waitTimeoutMs,
      find: () => {
        const stored = this.#find(leader, exchange, flags);
        return stored !== null && this.#usable(exchange, stored, flags, this.now()) === 'hit' ? stored : null;
      },
      adopt: (records) => {
        for (const record of records) this.#cache.adopt(record);
      },
    });
  }

  get allocate(): FlightControl['allocate'] {
    return this.#cache.allocate;
  }

  learn(record: ResponseRecord): void {
    this.#cache.store.learn(record);
  }

  store(record: ResponseRecord): void {
    this.#cache.put(record);
  }

  renew(record: ResponseRecord, stored: boolean): StoredResponse {
    return this.#cache.renew(record, stored);
  }

  drop(stored: StoredResponse): void {
    this.#cache.drop(stored);
  }

  onClosed(flight: Flight): void {
    const { flights } = this.#cache;
    if (flights.get(flight.key) === flight) flights.delete(flight.key);
  }

  onUncacheable(flight: Flight, why: NotStorable): void {
    if (why !== 'request-no-store') this.#cache.markUncacheable(flight.key, this.now());
  }

  release(request: CacheRequest): void {
    request.releases++;
    this.#cache.turnstile(request.resource, this.waitTimeoutMs).enter(request, this.#proceed);
  }

  /** A released request's turn: perhaps it can be answered by now. */
  readonly #proceed = (request: CacheRequest, done: () => void): void => {
    const { exchange, flags } = request;
    const stored = this.#find(request, exchange, flags);
    if (stored !== null && this.#answer(exchange, stored, flags)) {
      done();
      return;
    }
    request.stale = stored;
    request.reason = this.#reasonFor(request, stored);
    const flight = this.#enter(request);
    if (flight === null || flight.over) done();
    else flight.onOver = done;
  };

  count(state: CacheState): void {
    this.#counts[state].value++;
  }
}
