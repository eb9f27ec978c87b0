import type { Duplex } from 'node:stream';
import type { Consumer } from '#contract/access.ts';
import type { ProblemCode } from '#contract/problems.ts';
import type { Key } from '#contract/registry.ts';
import type { CacheState, LimitOutcome } from '#contract/usage.ts';
import type { CompiledRoute } from './compile.ts';
import type { KnownKey } from './credentials/key-lookup.ts';
import { type Refusal, refusal } from './refusal.ts';
import type { UpstreamCall, UpstreamFailure, UpstreamHandler } from './upstream/client.ts';
import { failureRefusal } from './upstream/failures.ts';
import { BodyCollector } from './wire/body-collector.ts';
import type { BodyReceiver, Downstream } from './wire/downstream.ts';
import type { RequestHead } from './wire/request-head.ts';
import { joinConnections } from './wire/tunnel.ts';

/** What the exchange reports to: the gateway that made it. */
export interface ExchangeObserver {
  /** Exactly once for every exchange, when its response has been handed over or its client has left. */
  observe(exchange: Exchange): void;
  onFault(exchange: Exchange, error: unknown): void;
}

/** Takes exchanges from the wires. */
export interface ExchangeHandler extends ExchangeObserver {
  handle(exchange: Exchange): void;
}

/** Something whose flow the client's speed governs: an upstream call, or a seat in a shared flight. */
export interface ResponseSource {
  pause(): void;
  resume(): void;
  abort(): void;
}

/**
 * One request and its response: all that a phase sees. It is also the handler of its own upstream call, so that the
 * straight path needs no closure.
 */
export class Exchange implements UpstreamHandler, BodyReceiver {
  readonly downstream: Downstream;
  readonly observer: ExchangeObserver;
  readonly method: string;
  readonly target: string;
  /** As sent, without query. */
  readonly path: string;
  /** Without "?"; empty when there is none. */
  readonly query: string;
  readonly headers: string[];
  readonly host: string;
  readonly secure: boolean;
  readonly remoteAddress: string;
  readonly httpVersion: '1.0' | '1.1' | '2';
  readonly bodyLength: number;
  readonly upgrade: string | null;
  readonly connectionFields: readonly string[] | null;
  /** `performance.now()` at which the head was complete. */
  readonly startedAt: number;

  requestId = '';
  clientIp: string;
  /** The trace id and this hop's span id, lower-case hex; set by identify. */
  traceId = '';
  spanId = '';
  parentSpanId = '';
  traceFlags = '01';
  /** The path that routes are matched on: unreserved characters decoded, dot segments removed. */
  routePath: string;
  /** The path to send on: as sent, except that dot segments are removed. */
  forwardPath: string;
  /** What X-Forwarded-* and Forwarded tell the upstream; the peer's own claims only when it is trusted. */
  forwardedFor = '';
  forwardedHost: string;
  forwardedProto: string;
  forwardedBefore: string | null = null;
  /** The Authorization field was a secret meant for the gateway and goes no further. */
  hideAuthorization = false;
  /** Bodies of unknown length are cut off here. */
  maxBodyBytes = Number.POSITIVE_INFINITY;
  route: CompiledRoute | null = null;
  /** A proxy asks whether it may forward the request itself. */
  decisionOnly = false;
  consumer: Consumer | null = null;
  key: Key | null = null;
  /** The key with its app and plan; null when the caller has none. */
  knownKey: KnownKey | null = null;
  /** The whole request body once something has asked for it. */
  body: Buffer | null = null;
  /** The body is still to be streamed to `call`. */
  bodyPending = false;
  limitOutcome: LimitOutcome | null = null;
  overage = false;
  /** Released when the exchange ends (concurrency limits). */
  release: (() => void) | null = null;
  /** Header lines that the limit phase has for the response, flat. */
  limitHeaders: readonly string[] | null = null;
  cacheState: CacheState | null = null;
  /** This cache's member of Cache-Status, for answers that do not come from what is stored. */
  cacheStatus: string | null = null;

  call: UpstreamCall | null = null;
  source: ResponseSource | null = null;
  upstreamOrigin: string | null = null;
  upstreamStartedAt = 0;
  upstreamLatencyMs = -1;

  status = 0;
  responseHeaders: string[] = [];
  refusalCode: ProblemCode | null = null;
  headSent = false;
  ended = false;
  /** The client left, or the response was broken off. */
  aborted = false;
  bytesIn = 0;
  bytesOut = 0;

  constructor(downstream: Downstream, observer: ExchangeObserver, head: RequestHead) {
    this.downstream = downstream;
    this.observer = observer;
    this.method = head.method;
    this.target = head.target;
    const mark = head.target.indexOf('?');
    this.path = mark < 0 ? head.target : head.target.slice(0, mark);
    this.query = mark < 0 ? '' : head.target.slice(mark + 1);
    this.headers = head.headers;
    this.host = head.host;
    this.secure = head.secure;
    this.remoteAddress = head.remoteAddress;
    this.httpVersion = head.httpVersion;
    this.bodyLength = head.bodyLength;
    this.upgrade = head.upgrade;
    this.connectionFields = head.connectionFields;
    this.clientIp = head.remoteAddress;
    this.routePath = this.path;
    this.forwardPath = this.path;
    this.forwardedHost = head.host;
    this.forwardedProto = head.secure ? 'https' : 'http';
    this.startedAt = performance.now();
  }

  /** The first value of a field (`name` in lower case), or undefined. */
  header(name: string): string | undefined {
    const headers = this.headers;
    for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1];
    return undefined;
  }

  /** How many lines of a field were sent. */
  headerCount(name: string): number {
    let count = 0;
    for (let i = 0; i < this.headers.length; i += 2) if (this.headers[i] === name) count++;
    return count;
  }

  /** The whole body, up to `maxBytes`; null when it is larger. Rejects when the client leaves. */
  collectBody(maxBytes: number): Buffer | null | Promise<Buffer | null> {
    if (this.body) return this.body.length > maxBytes ? null : this.body;
    if (this.bodyLength > maxBytes) return null;
    const taken = this.downstream.takeBody();
    if (!taken) return new BodyCollector(this, maxBytes).result;
    this.bytesIn = taken.length;
    this.body = taken;
    return taken.length > maxBytes ? null : taken;
  }

  /** Sends a complete response. */
  answer(status: number, headers: string[], body: Uint8Array | null): void {
    if (!this.#prepare(status, headers)) return;
    this.bytesOut = body === null ? 0 : body.length;
    this.downstream.respond(this.status, this.responseHeaders, body);
  }

  refuse(refused: Refusal): void {
    this.refusalCode = refused.code;
    this.answer(refused.status, refused.headers.slice(), refused.body);
  }

  /** Starts a streamed response; `sendData` and `sendEnd` follow. */
  sendHead(status: number, headers: string[], bodyLength: number): void {
    if (!this.#prepare(status, headers)) return;
    this.downstream.writeHead(this.status, this.responseHeaders, bodyLength);
  }

  sendData(chunk: Uint8Array): boolean {
    if (this.ended) return true;
    this.bytesOut += chunk.length;
    return this.downstream.write(chunk);
  }

  sendEnd(trailers: readonly string[] | null): void {
    if (!this.ended) this.downstream.end(trailers);
  }

  /** Breaks off: the client must not take what it has for a whole response. */
  abandon(): void {
    if (this.ended) return;
    this.aborted = true;
    this.downstream.destroy();
    this.#finish();
  }

  #prepare(status: number, headers: string[]): boolean {
    if (this.headSent || this.ended) return false;
    this.status = status;
    this.responseHeaders = headers;
    const route = this.route;
    if (route !== null) {
      const phases = route.responsePhases;
      try {
        for (let i = 0; i < phases.length; i++) phases[i]!(this);
      } catch (error) {
        this.observer.onFault(this, error);
        this.abandon();
        return false;
      }
    }
    this.headSent = true;
    return true;
  }

  #finish(): void {
    if (this.ended) return;
    this.ended = true;
    const { call, source, release } = this;
    this.call = null;
    this.source = null;
    this.release = null;
    // An upstream that ended has cleared these before; what is left is not needed any more.
    if (source !== null) source.abort();
    if (call !== null && call !== source) call.abort();
    if (release !== null) release();
    this.observer.observe(this);
  }

  // Called by the wire.

  /** The response has been handed to the socket whole. */
  onDownstreamEnd(): void {
    this.#finish();
  }

  /** The client left before the response was whole. */
  onDownstreamClose(): void {
    if (this.ended) return;
    this.aborted = true;
    this.#finish();
  }

  onDownstreamDrain(): void {
    const source = this.source ?? this.call;
    if (source !== null) source.resume();
  }

  onBody(chunk: Buffer): boolean {
    this.bytesIn += chunk.length;
    if (this.bytesIn > this.maxBodyBytes) {
      this.#cutOff();
      return true;
    }
    return this.call === null ? true : this.call.write(chunk);
  }

  #cutOff(): void {
    this.call?.abort();
    this.call = null;
    if (this.headSent) this.abandon();
    else this.refuse(refusal('body_too_large'));
  }

  onBodyEnd(trailers: readonly string[] | null): void {
    this.call?.end(trailers);
  }

  onBodyError(): void {
    this.call?.abort();
    this.call = null;
  }

  // Called by the upstream client when this exchange handles its own call.

  onInformation(status: number, headers: string[]): void {
    if (!this.headSent && !this.ended) this.downstream.writeInformation(status, headers);
  }

  onHead(status: number, headers: string[], bodyLength: number): void {
    this.sendHead(status, headers, bodyLength);
  }

  onData(chunk: Buffer): boolean {
    return this.sendData(chunk);
  }

  released(): boolean {
    return this.downstream.flushed === true;
  }

  onEnd(trailers: string[] | null): void {
    this.call = null;
    this.sendEnd(trailers);
  }

  onError(failure: UpstreamFailure): void {
    this.call = null;
    if (this.headSent) this.abandon();
    else this.refuse(failureRefusal(failure));
  }

  onDrain(): void {
    if (!this.ended) this.downstream.resumeBody();
  }

  onUpgrade(headers: string[], upstream: Duplex, head: Buffer): void {
    if (!this.#prepare(101, headers)) {
      upstream.destroy();
      return;
    }
    const client = this.downstream.switchProtocols(this.responseHeaders);
    joinConnections(client, { socket: upstream, head }, () => this.#finish());
  }
}
