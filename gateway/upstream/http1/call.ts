import type { Timed, Timer } from '../../wire/timers/timer-wheel.ts';
import type { UpstreamCall, UpstreamFailure, UpstreamHandler, UpstreamRequest } from '../client.ts';
import type { UpstreamConnection } from './connection.ts';
import type { TargetPool } from './pool.ts';

const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

/** One request to a target: waiting for a connection, on one, or over. */
export class Http1Call implements UpstreamCall, Timed {
  readonly request: UpstreamRequest;
  readonly handler: UpstreamHandler;
  readonly #pool: TargetPool;
  connection: UpstreamConnection | null = null;
  /** While it waits for a connection. */
  timer: Timer | null = null;
  over = false;
  /** It has been sent a second time. */
  repeated = false;
  /** All of the body has been handed over. */
  bodyEnded: boolean;
  #waiting: Buffer[] | null = null;
  #trailers: readonly string[] | null = null;
  #owesDrain = false;

  constructor(request: UpstreamRequest, handler: UpstreamHandler, pool: TargetPool) {
    this.request = request;
    this.handler = handler;
    this.#pool = pool;
    this.bodyEnded = request.body !== null || request.bodyLength === 0;
  }

  /** Whether it can be sent again without harm after a connection failed that had been idle (RFC 9110 section 9.2.2). */
  get repeatable(): boolean {
    const { method, body, bodyLength, upgrade } = this.request;
    return (
      !this.repeated && upgrade === null && idempotent.has(method) && (bodyLength === 0 || body !== null)
    );
  }

  write(chunk: Buffer): boolean {
    if (this.over || this.bodyEnded) return true;
    if (this.connection !== null) return this.connection.writeBody(chunk);
    this.#waiting ??= [];
    this.#waiting.push(chunk);
    this.#owesDrain = true;
    return false;
  }

  end(trailers: readonly string[] | null): void {
    if (this.over || this.bodyEnded) return;
    this.bodyEnded = true;
    this.#trailers = trailers;
    if (this.connection !== null) this.connection.endBody(trailers);
  }

  pause(): void {
    this.connection?.pause();
  }

  resume(): void {
    this.connection?.resume();
  }

  abort(): void {
    if (this.over) return;
    this.over = true;
    if (this.connection !== null) this.connection.destroy();
    else this.#pool.forget(this);
  }

  fail(failure: UpstreamFailure): void {
    if (this.over) return;
    this.over = true;
    this.handler.onError(failure);
  }

  /** The connection has taken the head: what of the body came before follows. */
  onSent(connection: UpstreamConnection): void {
    const waiting = this.#waiting;
    if (waiting === null && !this.bodyEnded) return;
    this.#waiting = null;
    for (const chunk of waiting ?? []) connection.writeBody(chunk);
    if (this.bodyEnded && this.request.body === null && this.request.bodyLength !== 0)
      connection.endBody(this.#trailers);
    else if (this.#owesDrain) this.handler.onDrain();
  }

  /** No connection in time. */
  onDeadline(): void {
    this.#pool.forget(this);
    this.fail('unreachable');
  }
}
