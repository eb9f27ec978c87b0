import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Exchange } from '../../exchange.ts';
import { refusal } from '../../refusal.ts';
import type { BodyReceiver, Downstream } from '../downstream.ts';
import { cleanValue, isFraming } from '../http1/head-text.ts';
import type { Timed, Timer, TimerWheel } from '../timers/timer-wheel.ts';

const nothing = Buffer.alloc(0);

/** How long an unwanted body is read and thrown away. */
const discardMs = 1000;

export interface StreamTimeouts {
  readonly bodyIdleTimeoutMs: number;
  readonly writeIdleTimeoutMs: number;
}

/** One HTTP/2 stream as the client's side of an exchange. */
export class Http2Downstream implements Downstream, Timed {
  exchange!: Exchange;
  readonly #stream: ServerHttp2Stream;
  readonly #wheel: TimerWheel;
  readonly #timeouts: StreamTimeouts;
  readonly #timer: Timer;
  #totalTimer: Timer | null = null;
  #bodyOpen: boolean;
  #receiver: BodyReceiver | null = null;
  #awaitsContinue: boolean;
  #bodiless = false;
  #finished = false;
  #trailers: readonly string[] | null = null;

  constructor(
    stream: ServerHttp2Stream,
    endOfStream: boolean,
    expectsContinue: boolean,
    wheel: TimerWheel,
    timeouts: StreamTimeouts,
  ) {
    this.#stream = stream;
    this.#wheel = wheel;
    this.#timeouts = timeouts;
    this.#timer = wheel.timer(this);
    this.#bodyOpen = !endOfStream;
    this.#awaitsContinue = expectsContinue && !endOfStream;
    stream.on('drain', () => {
      this.#wheel.disarm(this.#timer);
      if (!this.#finished) this.exchange.onDownstreamDrain();
    });
    stream.on('wantTrailers', () => stream.sendTrailers(toRecord(this.#trailers ?? [])));
    stream.on('error', () => undefined);
    stream.on('aborted', () => this.onGone());
    stream.on('close', () => this.onGone());
  }

  /** Limits the whole exchange. */
  limitTotal(totalMs: number): void {
    if (this.#finished) return;
    this.#totalTimer = this.#wheel.timer(this);
    this.#wheel.arm(this.#totalTimer, totalMs);
  }

  /** The stream or its session has ended. */
  onGone(): void {
    this.#wheel.remove(this.#timer);
    if (this.#totalTimer !== null) this.#wheel.remove(this.#totalTimer);
    this.#failBody();
    if (!this.#finished) this.exchange.onDownstreamClose();
    this.#finished = true;
  }

  #failBody(): void {
    if (!this.#bodyOpen) return;
    this.#bodyOpen = false;
    this.#receiver?.onBodyError();
    this.#receiver = null;
  }

  onDeadline(timer: Timer): void {
    if (this.#finished) {
      if (!this.#stream.closed) this.#stream.close(constants.NGHTTP2_NO_ERROR);
      return;
    }
    const { exchange } = this;
    if (exchange.headSent) {
      exchange.abandon();
      return;
    }
    this.#failBody();
    if (!exchange.ended)
      exchange.refuse(refusal(timer === this.#totalTimer ? 'upstream_timeout' : 'request_timeout'));
  }

  takeBody(): Buffer | null {
    return this.#bodyOpen ? null : nothing;
  }

  readBody(receiver: BodyReceiver): void {
    const stream = this.#stream;
    if (!this.#bodyOpen) {
      receiver.onBodyEnd(null);
      return;
    }
    this.#receiver = receiver;
    if (this.#awaitsContinue) stream.additionalHeaders({ ':status': 100 });
    let trailers: string[] | null = null;
    stream.on('trailers', (_headers, _flags, raw?: string[]) => {
      trailers = raw && raw.length > 0 ? raw : null;
    });
    stream.on('data', (chunk: Buffer) => {
      if (this.#receiver === null) return;
      this.#wheel.arm(this.#timer, this.#timeouts.bodyIdleTimeoutMs);
      if (!this.#receiver.onBody(chunk)) this.pauseBody();
    });
    stream.on('end', () => {
      if (!this.#bodyOpen || stream.aborted) return;
      this.#bodyOpen = false;
      this.#wheel.disarm(this.#timer);
      const last = this.#receiver;
      this.#receiver = null;
      last?.onBodyEnd(trailers);
    });
    this.#wheel.arm(this.#timer, this.#timeouts.bodyIdleTimeoutMs);
  }

  pauseBody(): void {
    this.#wheel.disarm(this.#timer);
    this.#stream.pause();
  }

  resumeBody(): void {
    if (!this.#stream.isPaused()) return;
    if (this.#bodyOpen) this.#wheel.arm(this.#timer, this.#timeouts.bodyIdleTimeoutMs);
    this.#stream.resume();
  }

  writeInformation(status: number, headers: readonly string[]): void {
    if (this.#usable()) this.#stream.additionalHeaders({ ':status': status, ...toRecord(headers) });
  }

  respond(status: number, headers: readonly string[], body: Uint8Array | null): void {
    if (!this.#usable()) return;
    const length = body === null ? 0 : body.length;
    const bodiless = this.exchange.method === 'HEAD' || status === 204 || status === 304 || length === 0;
    const stated = status === 204 || (status === 304 && length === 0) ? -1 : length;
    this.#stream.respond(toList(status, headers, stated), { endStream: bodiless });
    if (!bodiless) this.#stream.end(body);
    this.#finish();
  }

  writeHead(status: number, headers: readonly string[], bodyLength: number): void {
    if (!this.#usable()) return;
    this.#bodiless = this.exchange.method === 'HEAD' || status === 204 || status === 304;
    const list = toList(status, headers, status === 204 ? -1 : bodyLength);
    if (this.#bodiless) this.#stream.respond(list, { endStream: true });
    else this.#stream.respond(list, { waitForTrailers: true });
  }

  write(chunk: Uint8Array): boolean {
    if (this.#bodiless || !this.#usable()) return true;
    const flowing = this.#stream.write(chunk);
    if (!flowing) this.#wheel.arm(this.#timer, this.#timeouts.writeIdleTimeoutMs);
    return flowing;
  }

  end(trailers: readonly string[] | null): void {
    if (!this.#usable()) return;
    this.#trailers = trailers;
    if (!this.#bodiless) this.#stream.end();
    this.#finish();
  }

  destroy(): void {
    this.#finished = true;
    if (!this.#stream.closed) this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  switchProtocols(): { socket: Duplex; head: Buffer } {
    throw new Error('HTTP/2 has no Upgrade (RFC 9113 section 8.6)');
  }

  #usable(): boolean {
    return !this.#finished && !this.#stream.destroyed && !this.#stream.closed;
  }

  #finish(): void {
    this.#finished = true;
    this.#wheel.disarm(this.#timer);
    if (this.#totalTimer !== null) this.#wheel.disarm(this.#totalTimer);
    this.exchange.onDownstreamEnd();
    if (!this.#bodyOpen) return;
    // Nobody wants the rest of the body. A client that is about to end gets the time to; another one is told
    // once it has the response (RFC 9113 section 8.1).
    this.#receiver = null;
    this.#stream.resume();
    this.#wheel.arm(this.#timer, discardMs);
  }
}

/** `:status` and header lines in lower case, framing left out. */
function toList(status: number, headers: readonly string[], contentLength: number): string[] {
  const list = [':status', String(status)];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    if (!isFraming(name)) list.push(name.toLowerCase(), cleanValue(headers[i + 1]!));
  }
  if (contentLength >= 0) list.push('content-length', String(contentLength));
  return list;
}

function toRecord(flat: readonly string[]): Record<string, string | string[]> {
  const record: Record<string, string | string[]> = {};
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]!.toLowerCase();
    const value = cleanValue(flat[i + 1]!);
    const before = record[name];
    if (before === undefined) record[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else record[name] = [before, value];
  }
  return record;
}
