import type { ResponseSource } from '../exchange.ts';
import { refusal } from '../refusal.ts';
import type { CacheRequest } from './request.ts';

export type Proceed = (request: CacheRequest, done: () => void) => void;

/** Lets requests that a flight has let go proceed, a few at a time. */
export class Turnstile {
  readonly #limit: number;
  readonly #waitTimeoutMs: number;
  readonly #onIdle: () => void;
  readonly #queue = new Set<Waiting>();
  #active = 0;
  #pumping = false;

  constructor(limit: number, waitTimeoutMs: number, onIdle: () => void) {
    this.#limit = limit;
    this.#waitTimeoutMs = waitTimeoutMs;
    this.#onIdle = onIdle;
  }

  /** `proceed` is called in turn; it calls `done` once the request no longer occupies the upstream. */
  enter(request: CacheRequest, proceed: Proceed): void {
    const waiting = new Waiting(request, proceed, this.#waitTimeoutMs, (left) => this.#queue.delete(left));
    this.#queue.add(waiting);
    request.exchange.source = waiting;
    this.#pump();
  }

  /** A loop rather than recursion: a request that is answered at once makes room at once. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    for (const waiting of this.#queue) {
      if (this.#active >= this.#limit) break;
      this.#queue.delete(waiting);
      waiting.go();
      this.#active++;
      let over = false;
      waiting.proceed(waiting.request, () => {
        if (over) return;
        over = true;
        this.#active--;
        this.#pump();
      });
    }
    this.#pumping = false;
    if (this.#active === 0 && this.#queue.size === 0) this.#onIdle();
  }
}

class Waiting implements ResponseSource {
  readonly request: CacheRequest;
  readonly proceed: Proceed;
  readonly #leave: (waiting: Waiting) => void;
  readonly #timer: NodeJS.Timeout;

  constructor(request: CacheRequest, proceed: Proceed, timeoutMs: number, leave: (waiting: Waiting) => void) {
    this.request = request;
    this.proceed = proceed;
    this.#leave = leave;
    this.#timer = setTimeout(() => {
      leave(this);
      request.exchange.source = null;
      request.exchange.refuse(refusal('upstream_timeout'));
    }, timeoutMs);
  }

  go(): void {
    clearTimeout(this.#timer);
    this.request.exchange.source = null;
  }

  pause(): void {}

  resume(): void {}

  abort(): void {
    clearTimeout(this.#timer);
    this.#leave(this);
  }
}
