import { Refusal, refusal } from '../refusal.ts';
import type { UpstreamCall, UpstreamFailure, UpstreamHandler } from '../upstream/client.ts';
import { failureRefusal } from '../upstream/failures.ts';
import { BodyRelay } from './body-relay.ts';
import { type CacheStatus, cacheName, serializeCacheStatus } from './cache-status.ts';
import { identifies, notModifiedHeaders } from './conditional.ts';
import type { Found } from './elsewhere.ts';
import type { FlightControl } from './flight-control.ts';
import type { Release } from './flight-locks.ts';
import { forwardedStatus, judgeAnswer } from './fresh-answer.ts';
import { renew } from './renewal.ts';
import type { CacheRequest } from './request.ts';
import { Roster } from './roster.ts';
import type { Carrier, Seat } from './seat.ts';
import { ageOf, isCurrent, mayShare } from './sharing.ts';
import { isServerError } from './status-codes.ts';
import type { Judgement } from './storability.ts';
import type { ResponseRecord, StoredResponse } from './stored-response.ts';

/**
 * One upstream request shared by all who want the same. It belongs to no client: whoever leaves, it goes on for the
 * others, and whoever comes while the body is kept gets it from the start. What the answer turns out not to permit to
 * share goes to the request it was made for alone; the others are let go.
 */
export class Flight implements UpstreamHandler, Carrier {
  readonly key: string;
  /** The request that is sent upstream. */
  readonly leader: CacheRequest;
  readonly #control: FlightControl;
  readonly #roster: Roster;
  #requestTimeMs: number;
  /** The stored response under validation. */
  #validated: StoredResponse | null;
  #unconditional: boolean;
  #call: UpstreamCall | null = null;
  #relay: BodyRelay | null = null;
  #record: ResponseRecord | null = null;
  #headSeen = false;
  #over = false;
  #paused = false;
  #bodyLength = -1;
  #release: Release | null = null;
  /** Called once when it no longer occupies the upstream. */
  onOver: (() => void) | null = null;

  /**
   * With `unconditional` the leader's own conditions are taken off the upstream request, so that the answer is whole
   * and can be stored; otherwise they are sent as they are.
   */
  constructor(key: string, leader: CacheRequest, control: FlightControl, unconditional: boolean) {
    this.key = key;
    this.leader = leader;
    this.#control = control;
    this.#roster = new Roster(leader, control);
    this.#validated = leader.stale?.hasValidator ? leader.stale : null;
    this.#unconditional = unconditional;
    this.#requestTimeMs = control.now();
  }

  get requestTimeMs(): number {
    return this.#requestTimeMs;
  }

  /** How many requests it is to answer. */
  get seats(): number {
    return this.#roster.seats.size;
  }

  /** It no longer occupies the upstream. */
  get over(): boolean {
    return this.#over;
  }

  /** Whether a request that comes now would get the whole body. */
  get open(): boolean {
    return !this.#over && (!this.#headSeen || (this.#record !== null && this.#relay?.kept === true));
  }

  /** Takes a seat. The leader's own is the first; a flight without it is a background validation. */
  join(request: CacheRequest): void {
    const seat = this.#roster.add(request, this);
    if (request === this.leader) return;
    seat.waitAtMost(this.#control.waitTimeoutMs, () => {
      if (request.exchange.headSent) return;
      this.#roster.dismiss(seat);
      request.exchange.refuse(refusal('upstream_timeout'));
    });
    if (this.#headSeen) this.#board(seat);
  }

  /** Looks elsewhere, then sends the upstream request. The outcome, a refusal too, reaches the seats. */
  start(): void {
    const found = this.#control.look(this);
    if (found === null) this.#send();
    else if (found instanceof Promise) {
      found.then(
        (later) => this.#proceed(later),
        () => this.#proceed({ release: null }),
      );
    } else this.#proceed(found);
  }

  #proceed(found: Found): void {
    if ('stored' in found) {
      if (!this.#over) this.#settle(found.stored, { hit: true, detail: 'shared' }, 'hit');
      return;
    }
    this.#release = found.release;
    if (this.#over) this.#unlock();
    else this.#send();
  }

  /** Lets other workers and gateways ask the upstream. */
  #unlock(): void {
    const release = this.#release;
    this.#release = null;
    release?.();
  }

  #send(): void {
    this.#requestTimeMs = this.#control.now();
    const conditions: string[] = [];
    if (this.#validated !== null) {
      conditions.push('if-none-match', this.#validated.etag ?? '');
      conditions.push('if-modified-since', this.#validated.lastModified ?? '');
    } else if (this.#unconditional) conditions.push('if-none-match', '', 'if-modified-since', '');
    conditions.push('range', '', 'if-range', '');
    const call = this.#control.open(this.leader.exchange, this, conditions);
    if (call instanceof Refusal) this.#fail(call);
    else this.#call = call;
  }

  // The upstream's side.

  onInformation(status: number, headers: string[]): void {
    const exchange = this.#roster.leaderSeat?.request.exchange;
    if (exchange !== undefined) exchange.onInformation(status, headers);
  }

  onHead(status: number, headers: string[], bodyLength: number): void {
    if (this.#over) return;
    const validated = this.#validated;
    if (status === 304 && validated !== null) {
      this.#onNotModified(validated, headers);
      return;
    }
    if (isServerError(status) && this.#roster.serveStale(null, status)) {
      this.#end();
      // A short body is let run out, so that the connection stays of use.
      if (bodyLength < 0 || bodyLength > drainedBytes) this.#stop();
      return;
    }
    this.#headSeen = true;
    const now = this.#control.now();
    const moment = { requestTimeMs: this.#requestTimeMs, responseTimeMs: now };
    const { judged, record } = judgeAnswer(this.leader, this.#control, status, headers, moment);
    this.#record = record;
    this.#bodyLength = bodyLength;
    const { stale } = this.leader;
    // The origin has said something newer of the resource that may not be kept. Refusals are about the request.
    if (record === null && stale !== null && (status < 400 || status === 404 || status === 410)) {
      this.#control.drop(stale);
    }
    const tooLarge = bodyLength > this.#control.maxObjectBytes;
    this.#relay = new BodyRelay(record !== null && !tooLarge);
    if (record === null) this.#control.onUncacheable(this, judged.refused!);
    else this.#control.learn(this, record);
    if (!this.open) this.#close();
    const leader = this.#roster.leaderSeat;
    for (const seat of [...this.#roster.seats]) if (seat !== leader) this.#board(seat);
    if (leader !== null) this.#serveLeader(leader, status, headers, judged, now);
    if (this.#roster.seats.size === 0 && !this.#relay.kept) this.#stop();
  }

  #serveLeader(seat: Seat, status: number, headers: string[], judged: Judgement, now: number): void {
    const { exchange } = seat.request;
    const fwdStatus = this.#validated === null ? null : status;
    exchange.cacheState = 'miss';
    exchange.cacheStatus = forwardedStatus(seat.request, judged, this.#relay!.kept, fwdStatus);
    this.#control.count('miss');
    this.#sendHead(seat, status, headers, now);
  }

  /** Gives a seat that is not the leader's the answer, or lets it go where it may not have it. */
  #board(seat: Seat): void {
    const record = this.#record;
    const now = this.#control.now();
    if (record === null || !mayShare(seat.request, record, now)) {
      this.#roster.letGo(seat);
      return;
    }
    const { exchange } = seat.request;
    const ageMs = ageOf(record, now);
    const headers = [...record.headers, 'Age', String(Math.floor(ageMs / 1000))];
    exchange.cacheState = 'collapsed';
    exchange.cacheStatus = serializeCacheStatus({
      cache: cacheName,
      fwd: seat.request.reason,
      ttl: Math.floor((record.lifetimeMs - ageMs) / 1000),
      collapsed: true,
    });
    this.#control.count('collapsed');
    this.#sendHead(seat, record.status, headers, now);
  }

  #sendHead(seat: Seat, status: number, headers: string[], now: number): void {
    const { request } = seat;
    seat.stopWaiting();
    if (request.condition && this.#record !== null && isCurrent(request, this.#record, now)) {
      this.#roster.dismiss(seat);
      request.exchange.answer(304, notModifiedHeaders(headers), null);
      return;
    }
    seat.served = true;
    request.exchange.sendHead(status, headers, this.#bodyLength);
    // Whoever joined after the head has something to catch up with.
    if (this.#relay!.feed(seat)) this.#roster.seats.delete(seat);
  }

  onData(chunk: Buffer): boolean {
    const relay = this.#relay;
    if (relay === null || this.#over) return true;
    if (relay.kept && relay.totalBytes + chunk.length > this.#control.maxObjectBytes) {
      relay.stopKeeping(this.#roster.seats);
      this.#close();
    }
    const flowing = relay.push(chunk, this.#roster.seats);
    this.#paused = !flowing;
    return flowing;
  }

  onEnd(trailers: string[] | null): void {
    this.#call = null;
    const relay = this.#relay;
    if (relay === null || this.#over) return;
    relay.finish(trailers);
    if (relay.kept && this.#record !== null) {
      this.#control.store({ ...this.#record, body: relay.collect(this.#control.allocate) });
    }
    this.#end();
    for (const seat of [...this.#roster.seats]) if (relay.feed(seat)) this.#roster.seats.delete(seat);
  }

  onError(failure: UpstreamFailure): void {
    this.#call = null;
    if (this.#over) return;
    if (this.#headSeen) {
      this.#end();
      this.#roster.abandon();
      return;
    }
    this.#fail(failureRefusal(failure));
  }

  onDrain(): void {}

  onUpgrade(_headers: string[], socket: { destroy(): void }): void {
    socket.destroy();
    this.onError('invalid');
  }

  // Outcomes without a streamed body.

  #onNotModified(validated: StoredResponse, notModified: string[]): void {
    const now = this.#control.now();
    if (!identifies(notModified, validated, now)) {
      // It is about something else: ask again without conditions (RFC 9111 section 4.3.4).
      this.#call?.abort();
      this.#call = null;
      this.#control.drop(validated);
      this.#validated = null;
      this.#unconditional = true;
      this.#send();
      return;
    }
    const moment = { requestTimeMs: this.#requestTimeMs, responseTimeMs: now };
    const { leader } = this;
    const { record, judged } = renew(
      validated,
      notModified,
      leader.judged,
      leader,
      this.#control.policy,
      moment,
    );
    this.#headSeen = true;
    if (judged.refused !== null) this.#control.drop(validated);
    this.#settle(
      this.#control.renew(record, judged.refused === null),
      { fwd: this.leader.reason, fwdStatus: 304, stored: judged.refused === null },
      'revalidated',
    );
  }

  #settle(stored: StoredResponse, status: Omit<CacheStatus, 'cache'>, state: 'hit' | 'revalidated'): void {
    this.#end();
    this.#roster.settle(stored, status, state);
  }

  #fail(refused: Refusal): void {
    const dealtWith = this.#roster.serveStale(refused.code, undefined);
    this.#end();
    if (dealtWith) return;
    // What has to be validated and cannot be is a gateway time-out (RFC 9111 section 5.2.2.2).
    const forbidden = this.leader.stale?.record.mustRevalidate === true;
    this.#roster.refuse(forbidden ? refusal('revalidation_failed') : refused, refused.code);
  }

  // The seats' side.

  feed(seat: Seat): void {
    const relay = this.#relay;
    if (relay === null || !this.#roster.seats.has(seat)) return;
    if (relay.feed(seat)) this.#roster.seats.delete(seat);
    this.#relieve();
  }

  leave(seat: Seat): void {
    if (!this.#roster.remove(seat) || this.#over) return;
    // What is being stored is worth finishing; what nobody waits for any more is not.
    if (this.#roster.seats.size === 0 && this.#relay?.kept !== true) this.#stop();
    else this.#relieve();
  }

  #relieve(): void {
    if (!this.#paused || this.#over || this.#relay?.relieve(this.#roster.seats) !== true) return;
    this.#paused = false;
    this.#call?.resume();
  }

  /** Gives the upstream request up. */
  #stop(): void {
    const call = this.#call;
    this.#call = null;
    this.#end();
    call?.abort();
  }

  /** Nobody can join any more. */
  #close(): void {
    this.#control.onClosed(this);
    this.#unlock();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#close();
    const done = this.onOver;
    this.onOver = null;
    done?.();
  }
}

/** Longer bodies of errors that nobody is given are broken off. */
const drainedBytes = 64 * 1024;
