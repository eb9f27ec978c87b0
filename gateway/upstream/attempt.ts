import type { Duplex } from 'node:stream';
import type { Exchange } from '../exchange.ts';
import type { Target } from './balancer.ts';
import type { UpstreamCall, UpstreamFailure, UpstreamHandler, UpstreamRequest } from './client.ts';
import type { ServiceUpstreams } from './forwarder.ts';

/** A streamed body up to this size can be sent again. */
const maxReplayBytes = 65_536;
const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

/**
 * One request on its way to a service: the call to the chosen target, repeated at another one when that is safe, and
 * what is learnt of the target's health. Stands between the upstream client and the real handler.
 */
export class Attempt implements UpstreamCall, UpstreamHandler {
  readonly #exchange: Exchange;
  readonly #service: ServiceUpstreams;
  readonly #request: UpstreamRequest;
  readonly #handler: UpstreamHandler;
  #target: Target;
  #call: UpstreamCall | null = null;
  #retriesLeft: number;
  /** What was streamed so far, to be sent again after a failed connection; null once it is too much. */
  #streamed: Buffer[] | null = [];
  #streamedBytes = 0;
  #streamEnded = false;
  #started = false;

  constructor(
    exchange: Exchange,
    service: ServiceUpstreams,
    target: Target,
    request: UpstreamRequest,
    handler: UpstreamHandler,
  ) {
    this.#exchange = exchange;
    this.#service = service;
    this.#target = target;
    this.#request = request;
    this.#handler = handler;
    this.#retriesLeft = service.retries;
    this.#send(target);
  }

  #send(target: Target): UpstreamCall {
    target.pending++;
    this.#exchange.upstreamOrigin = target.upstream.origin;
    this.#exchange.upstreamStartedAt = performance.now();
    const call = this.#service.clientFor(target.upstream).send(target.upstream, this.#request, this);
    this.#call = call;
    return call;
  }

  write(chunk: Buffer): boolean {
    if (this.#streamed !== null) {
      this.#streamedBytes += chunk.length;
      if (this.#streamedBytes > maxReplayBytes || this.#started) this.#streamed = null;
      else this.#streamed.push(chunk);
    }
    return this.#call === null ? true : this.#call.write(chunk);
  }

  end(trailers: readonly string[] | null): void {
    this.#streamEnded = true;
    if (trailers !== null) this.#streamed = null;
    this.#call?.end(trailers);
  }

  pause(): void {
    this.#call?.pause();
  }

  resume(): void {
    this.#call?.resume();
  }

  abort(): void {
    const call = this.#call;
    if (call === null) return;
    this.#call = null;
    this.#target.pending--;
    call.abort();
  }

  onInformation(status: number, headers: string[]): void {
    this.#handler.onInformation(status, headers);
  }

  onHead(status: number, headers: string[], bodyLength: number): void {
    this.#started = true;
    const now = performance.now();
    this.#exchange.upstreamLatencyMs = now - this.#exchange.upstreamStartedAt;
    if (status === 502 || status === 503 || status === 504)
      this.#target.fail(now, this.#service.failureThreshold);
    else if (this.#target.failures > 0) this.#target.succeed();
    this.#handler.onHead(status, headers, bodyLength);
  }

  onData(chunk: Buffer): boolean {
    return this.#handler.onData(chunk);
  }

  released(): boolean {
    return this.#handler.released?.() ?? false;
  }

  onEnd(trailers: string[] | null): void {
    this.#call = null;
    this.#target.pending--;
    this.#handler.onEnd(trailers);
  }

  onError(failure: UpstreamFailure): void {
    this.#call = null;
    this.#target.pending--;
    const now = performance.now();
    this.#target.fail(now, this.#service.failureThreshold);
    this.#service.countFailure(failure);
    if (!this.#started && this.#mayRepeat(failure)) {
      const next = this.#service.choose(this.#exchange, now, this.#target);
      if (next) {
        this.#retriesLeft--;
        this.#target = next;
        const call = this.#send(next);
        for (const chunk of this.#streamed ?? []) call.write(chunk);
        if (this.#streamEnded) call.end(null);
        return;
      }
    }
    this.#handler.onError(failure);
  }

  /** Only what cannot have had an effect twice: nothing was sent, or the method allows it and the body is at hand. */
  #mayRepeat(failure: UpstreamFailure): boolean {
    if (this.#retriesLeft <= 0 || this.#exchange.ended) return false;
    const { bodyLength, body, method } = this.#request;
    if (bodyLength !== 0 && body === null && this.#streamed === null) return false;
    return failure === 'unreachable' || (failure === 'reset' && idempotent.has(method));
  }

  onDrain(): void {
    this.#handler.onDrain();
  }

  onUpgrade(headers: string[], socket: Duplex, head: Buffer): void {
    this.#started = true;
    this.#call = null;
    this.#target.pending--;
    this.#handler.onUpgrade(headers, socket, head);
  }
}
