import type { Refusal } from '../refusal.ts';
import { answerFrom } from './answer.ts';
import { type CacheStatus, cacheName, serializeCacheStatus } from './cache-status.ts';
import type { FlightControl } from './flight-control.ts';
import { currentAge } from './freshness.ts';
import type { CacheRequest } from './request.ts';
import { type Carrier, Seat } from './seat.ts';
import { mayShare } from './sharing.ts';
import type { StoredResponse } from './stored-response.ts';

/** Who sits in a flight, and the answers to all of them that need no streamed body. */
export class Roster {
  readonly seats = new Set<Seat>();
  readonly #control: FlightControl;
  /** The request that is sent upstream. */
  readonly #leader: CacheRequest;
  /** Null in the background, and when its client has left. */
  leaderSeat: Seat | null = null;

  constructor(leader: CacheRequest, control: FlightControl) {
    this.#leader = leader;
    this.#control = control;
  }

  add(request: CacheRequest, carrier: Carrier): Seat {
    const seat = new Seat(request, carrier);
    this.seats.add(seat);
    request.exchange.source = seat;
    if (request === this.#leader) this.leaderSeat = seat;
    return seat;
  }

  /** The client of a seat has left; false when the seat was empty already. */
  remove(seat: Seat): boolean {
    if (!this.seats.delete(seat)) return false;
    if (seat === this.leaderSeat) this.leaderSeat = null;
    return true;
  }

  /** Empties a seat whose request is answered in another way. */
  dismiss(seat: Seat): void {
    this.seats.delete(seat);
    seat.stopWaiting();
    seat.request.exchange.source = null;
  }

  /** Sends a request that may not have the answer its own way. */
  letGo(seat: Seat): void {
    this.dismiss(seat);
    this.#control.release(seat.request);
  }

  /** Answers everyone who may have it from a stored response; the others are let go. */
  settle(stored: StoredResponse, status: Omit<CacheStatus, 'cache'>, state: 'hit' | 'revalidated'): void {
    const now = this.#control.now();
    const ttl = stored.ttl(currentAge(stored, now));
    for (const seat of [...this.seats]) {
      const { request } = seat;
      const isLeader = seat === this.leaderSeat;
      if (!isLeader && !mayShare(request, stored.record, now)) {
        this.letGo(seat);
        continue;
      }
      this.dismiss(seat);
      request.exchange.cacheState = isLeader ? state : 'collapsed';
      this.#control.count(request.exchange.cacheState);
      const headers = stored.headersWith({ ...status, ttl, collapsed: !isLeader }, now);
      answerFrom(request.exchange, stored, headers, request.flags, now);
    }
  }

  /** Refuses everyone; `detail` is said in Cache-Status. */
  refuse(refused: Refusal, detail: string): void {
    for (const seat of [...this.seats]) {
      const isLeader = seat === this.leaderSeat;
      this.dismiss(seat);
      const { exchange, reason } = seat.request;
      exchange.cacheState = isLeader ? 'miss' : 'collapsed';
      const status = { cache: cacheName, fwd: reason, collapsed: !isLeader, detail };
      exchange.cacheStatus = serializeCacheStatus(status);
      this.#control.count(exchange.cacheState);
      exchange.refuse(refused);
    }
  }

  /** Breaks off the responses of all who have been sent a part. */
  abandon(): void {
    for (const seat of [...this.seats]) {
      this.dismiss(seat);
      seat.request.exchange.abandon();
    }
  }

  /**
   * stale-if-error (RFC 5861 section 4): serves the stale response to everyone who may have it. True when nobody is left
   * to be told of the failure.
   */
  serveStale(detail: string | null, fwdStatus: number | undefined): boolean {
    const { stale } = this.#leader;
    if (stale === null || stale.record.mustRevalidate) return false;
    const { staleIfErrorMs } = stale.record;
    const now = this.#control.now();
    const ageMs = currentAge(stale, now);
    if (staleIfErrorMs === 0 || ageMs - stale.lifetimeMs > staleIfErrorMs) return false;
    for (const seat of [...this.seats]) {
      const { exchange, flags, insists } = seat.request;
      if (insists) continue;
      const status = {
        fwd: 'stale',
        ...(fwdStatus === undefined ? {} : { fwdStatus }),
        ttl: stale.ttl(ageMs),
        collapsed: seat !== this.leaderSeat,
        ...(detail === null ? {} : { detail }),
      };
      this.dismiss(seat);
      exchange.cacheState = 'stale';
      this.#control.count('stale');
      answerFrom(exchange, stale, stale.headersWith(status, now), flags, now);
    }
    return this.seats.size === 0;
  }
}
