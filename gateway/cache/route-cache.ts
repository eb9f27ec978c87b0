import type { CachePolicy } from '#contract/cache.ts';
import type { CacheState } from '#contract/usage.ts';
import type { RouteContext } from '../compile.ts';
import type { Exchange } from '../exchange.ts';
import { answered, type PhaseResult } from '../pipeline.ts';
import { Refusal } from '../refusal.ts';
import type { CounterCell } from '../telemetry/metrics.ts';
import type { UpstreamCall, UpstreamHandler } from '../upstream/client.ts';
import { answerFrom } from './answer.ts';
import { cacheName, type ForwardReason } from './cache-status.ts';
import { Flight } from './flight.ts';
import type { FlightControl } from './flight-control.ts';
import { currentAge } from './freshness.ts';
import { renewByHead } from './renewal.ts';
import { CacheRequest, has, readFlags } from './request.ts';
import { RequestIdentity } from './request-identity.ts';
import type { ResponseCache } from './response-cache.ts';
import { useOf } from './reuse.ts';
import type { NotStorable } from './storability.ts';
import type { Lookup } from './store.ts';
import type { ResponseRecord, StoredResponse } from './stored-response.ts';

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
  readonly #identity: RequestIdentity;
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
    const query = policy.query ?? 'all';
    this.#identity = new RequestIdentity(query, route.version ?? '', policy.perConsumer ?? false);
    this.#counts = cache.countersOf(route.id);
    cache.registerQueryRule(query);
  }

  /** Answers, or takes the request into a flight; undefined lets it go upstream by itself. */
  handle(exchange: Exchange): PhaseResult {
    const isHead = exchange.method === 'HEAD';
    if (!isHead && exchange.method !== 'GET') return undefined;
    const flags = readFlags(exchange.headers);
    if (exchange.bodyLength !== 0 || exchange.upgrade !== null || (flags & has.originCondition) !== 0) {
      return this.#pass(exchange, 'bypass', 'bypass');
    }
    const lookup = this.#identity.of(exchange, flags);
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
    const stored = this.#find(this.#identity.of(exchange, flags), exchange, flags);
    return stored !== null && useOf(exchange, stored, flags, this.now()) !== 'no';
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

  #answer(exchange: Exchange, stored: StoredResponse, flags: number): boolean {
    const now = this.now();
    const use = useOf(exchange, stored, flags, now);
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
    const lookup = this.#identity.of(exchange, flags);
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
    if (exchange.status !== 200) return;
    const flags = readFlags(exchange.headers);
    const stored = this.#find(this.#identity.of(exchange, flags), exchange, flags);
    if (stored === null) return;
    const now = this.now();
    const outcome = renewByHead(stored, exchange, this.policy, now);
    if (outcome === 'stale') stored.expire(now);
    else if (outcome === 'gone') this.#cache.drop(stored);
    else this.#cache.put(outcome);
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
        return stored !== null && useOf(exchange, stored, flags, this.now()) === 'hit' ? stored : null;
      },
      adopt: (records) => {
        for (const record of records) this.#cache.adopt(record);
      },
    });
  }

  get allocate(): FlightControl['allocate'] {
    return this.#cache.allocate;
  }

  learn(flight: Flight, record: ResponseRecord): void {
    this.#cache.store.learn(record);
    this.#cache.unmarkUncacheable(flight.key);
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
