import type { ResponseSource } from '../exchange.ts';
import type { CacheRequest } from './request.ts';

/** What a flight offers to those who sit in it. */
export interface Carrier {
  /** Sends a seat what it has not had yet. */
  feed(seat: Seat): void;
  leave(seat: Seat): void;
}

/** The place of one request in a flight: how far its client has been served, at its own pace. */
export class Seat implements ResponseSource {
  readonly request: CacheRequest;
  readonly #carrier: Carrier;
  /** The next piece to send, counted from the first of the body. */
  next = 0;
  /** Its head has been sent. */
  served = false;
  /** Its client asked to wait. */
  blocked = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(request: CacheRequest, carrier: Carrier) {
    this.request = request;
    this.#carrier = carrier;
  }

  /** Calls back if no head has been sent by then. */
  waitAtMost(timeoutMs: number, late: (seat: Seat) => void): void {
    this.#timer = setTimeout(() => late(this), timeoutMs);
  }

  stopWaiting(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  pause(): void {
    this.blocked = true;
  }

  resume(): void {
    this.blocked = false;
    this.#carrier.feed(this);
  }

  /** The client has left, or has been answered in another way. */
  abort(): void {
    this.stopWaiting();
    this.#carrier.leave(this);
  }
}
