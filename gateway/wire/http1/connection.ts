import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Exchange } from '../../exchange.ts';
import { type Refusal, refusal } from '../../refusal.ts';
import type { BodyReceiver, Downstream } from '../downstream.ts';
import { type ByteSink, readBytes } from '../sockets/byte-reader.ts';
import { SocketWriter } from '../sockets/socket-writer.ts';
import { TunnelSocket } from '../sockets/tunnel-socket.ts';
import type { Timed, Timer } from '../timers/timer-wheel.ts';
import type { ConnectionHost } from './connection-host.ts';
import { type RequestFault, requestFaults } from './faults.ts';
import { lastChunk } from './head-text.ts';
import { RequestBody } from './request-body.ts';
import { RequestParser } from './request-parser.ts';
import { interimHead, responseHead, switchHead } from './response-head.ts';

/** Bytes of later requests that are held while one is answered; beyond, the socket is not read. */
const maxHeldBytes = 65_536;
/** An unread body up to this size is read and thrown away to keep the connection; beyond, it is closed. */
const maxDiscardedBytes = 65_536;
/** What is read and thrown away after the last response, so that the client gets to see it (RFC 9112 section 9.6). */
const maxLingerBytes = 1_048_576;

/** From this many bytes of body on, reads get buffers of their own instead of being copied out of the shared one. */
const ownBufferBytes = 16_384;

const nothing = Buffer.alloc(0);

/** How the response under way is framed. `unframed`: no body, or one that the end of the connection ends. */
type Framing = 'length' | 'chunked' | 'unframed' | 'bodiless';

/**
 * One HTTP/1 connection from a client. Requests are taken one after the other, so that answers keep their order and
 * pipelined requests wait as bytes. It is itself the downstream of the exchange under way.
 */
export class Http1Connection implements Downstream, ByteSink, Timed {
  readonly socket: Socket;
  readonly #writer: SocketWriter;
  readonly #host: ConnectionHost;
  readonly #parser: RequestParser;
  readonly #body = new RequestBody();
  readonly #timer: Timer;
  #totalTimer: Timer | null = null;
  #exchange: Exchange | null = null;
  /** Bytes that have arrived and not been read, from `#at` on. */
  #input: Buffer | null = null;
  #at = 0;
  #end = 0;
  /** `#input` may be kept and cut into pieces that are handed on. */
  #owned = false;
  #lastRead = 0;
  #pumping = false;
  #reading = true;
  /** The client has sent its last byte. */
  #halfClosed = false;
  /** The last response has been sent; what still comes is thrown away. */
  #lingering = false;
  #lingered = 0;
  #detached = false;
  #tunnel: TunnelSocket | null = null;
  #answered = 0;

  #persistent = true;
  #awaitsContinue = false;
  #head: string | null = null;
  #framing: Framing = 'bodiless';
  #remaining = 0;

  constructor(socket: Socket, host: ConnectionHost, secure: boolean, remoteAddress: string) {
    this.#host = host;
    this.#parser = new RequestParser(host.limits, secure, remoteAddress);
    this.#parser.begin();
    this.#timer = host.wheel.timer(this);
    host.wheel.arm(this.#timer, host.headTimeoutMs);
    this.socket = readBytes(socket, this);
    this.#writer = new SocketWriter(this.socket);
    this.socket.on('end', this.#onEnd);
    this.socket.on('drain', this.#onDrain);
    this.socket.on('error', ignore);
    this.socket.on('close', this.#onClose);
  }

  get remoteAddress(): string {
    return this.#parser.remoteAddress;
  }

  /** No request is under way and none has begun to arrive. */
  get idle(): boolean {
    return this.#exchange === null && this.#input === null && !this.#parser.started && !this.#detached;
  }

  /** Ends the connection after the response under way, or now. */
  drain(): void {
    if (this.idle) this.#shut();
  }

  // From the socket.

  onBytes(chunk: Buffer, size: number, owned: boolean): boolean {
    if (this.#tunnel !== null) return this.#tunnel.feed(chunk, size, owned);
    if (this.#lingering) {
      this.#linger(size);
      return true;
    }
    this.#lastRead = size;
    const held = this.#input;
    if (held === null) {
      this.#input = chunk;
      this.#at = 0;
      this.#end = size;
      this.#owned = owned;
    } else {
      this.#input = Buffer.concat([held.subarray(this.#at, this.#end), chunk.subarray(0, size)]);
      this.#at = 0;
      this.#end = this.#input.length;
      this.#owned = true;
    }
    this.#pump();
    if (this.#input !== null && !this.#owned) {
      this.#input = Buffer.from(this.#input.subarray(this.#at, this.#end));
      this.#at = 0;
      this.#end = this.#input.length;
      this.#owned = true;
    }
    return true;
  }

  get wantsOwnBuffer(): boolean {
    return this.#body.exceeds(ownBufferBytes, this.#lastRead) && this.#input === null;
  }

  readonly #onEnd = (): void => {
    this.#halfClosed = true;
    if (this.#lingering) this.socket.destroySoon();
    else if (this.#input === null) this.#runDry();
  };

  /** All that a client which has closed its side sent is read. */
  #runDry(): void {
    const exchange = this.#exchange;
    if (this.#body.open) {
      this.#body.fail();
      this.#exchange = null;
      exchange?.onDownstreamClose();
      this.socket.destroy();
    } else if (exchange === null) this.#shut();
    // It may be waiting for its answer; one that has left looks the same until something is sent to it.
    else if (!exchange.headSent) this.#host.wheel.arm(this.#timer, this.#host.halfCloseMs);
  }

  readonly #onDrain = (): void => {
    const exchange = this.#exchange;
    if (exchange !== null) {
      if (this.#receiving) this.#host.wheel.arm(this.#timer, this.#host.bodyIdleTimeoutMs);
      else this.#host.wheel.disarm(this.#timer);
      exchange.onDownstreamDrain();
    } else if (!this.#lingering) this.#pump();
  };

  /** Body bytes are wanted from the client. */
  get #receiving(): boolean {
    return this.#body.open && !this.#body.paused && this.#body.receiver !== null;
  }

  readonly #onClose = (): void => {
    this.#host.wheel.remove(this.#timer);
    if (this.#totalTimer !== null) this.#host.wheel.remove(this.#totalTimer);
    this.#host.onConnectionClosed(this);
    if (this.#detached) return;
    this.#input = null;
    this.#body.fail();
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.onDownstreamClose();
  };

  onDeadline(timer: Timer): void {
    const exchange = this.#exchange;
    if (timer === this.#totalTimer) {
      if (exchange !== null) this.#giveUp(exchange, refusal('upstream_timeout'));
    } else if (this.#lingering) this.socket.destroy();
    else if (exchange === null) {
      if (this.#parser.started) this.#refuseConnection(refusal('request_timeout'));
      else this.#shut();
    } else if (this.#receiving) this.#giveUp(exchange, refusal('request_timeout'));
    else if (this.socket.writableNeedDrain || (this.#halfClosed && !exchange.headSent)) {
      // It takes nothing of its response, or has half-closed and probably left.
      this.#exchange = null;
      exchange.onDownstreamClose();
      this.socket.destroy();
    }
  }

  /** Answers in the service's place if there is no answer yet, else breaks off. */
  #giveUp(exchange: Exchange, refused: Refusal): void {
    this.#persistent = false;
    if (exchange.headSent) {
      exchange.abandon();
      return;
    }
    this.#body.fail();
    if (!exchange.ended) exchange.refuse(refused);
  }

  // Reading.

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    if (this.#at >= this.#end) this.#input = null;
    while (this.#input !== null && !this.#lingering && !this.#detached && this.#step()) {
      if (this.#at >= this.#end) this.#input = null;
    }
    this.#pumping = false;
    if (this.#input !== null) {
      if (this.#reading && (this.#body.open || this.#end - this.#at > maxHeldBytes)) {
        this.#reading = false;
        this.socket.pause();
      }
    } else if (!this.#reading && !this.#detached) {
      this.#reading = true;
      this.socket.resume();
    }
    if (this.#halfClosed && this.#input === null && !this.#lingering && !this.#detached) this.#runDry();
  }

  /** Reads one part of the input; false when it has to wait. */
  #step(): boolean {
    if (this.#body.open) return this.#stepBody();
    if (this.#exchange !== null || this.socket.writableNeedDrain) return false;
    return this.#stepHead();
  }

  #stepBody(): boolean {
    const step = this.#body.step(this.#input!, this.#at, this.#end, this.#owned);
    if (step === 'waiting') return false;
    const exchange = this.#exchange;
    if (step === 'more' || step === 'whole') {
      this.#at = this.#body.offset;
      if (exchange !== null) {
        if (step === 'whole') this.#host.wheel.disarm(this.#timer);
        else this.#host.wheel.arm(this.#timer, this.#host.bodyIdleTimeoutMs);
      }
      return true;
    }
    this.#at = this.#end;
    this.#host.onFault?.(step);
    const refused = refusal(requestFaults[step].code);
    if (exchange !== null) this.#giveUp(exchange, refused);
    else this.#shut();
    return true;
  }

  #stepHead(): boolean {
    const parser = this.#parser;
    const input = this.#input!;
    const started = parser.started;
    if (this.#answered === 0 && !started && input[this.#at] === 0x50) {
      const preface = readPreface(input, this.#at, this.#end);
      if (preface === 'partial') return false;
      if (
        preface === 'complete' &&
        this.#host.takeHttp2(this, Buffer.from(input.subarray(this.#at, this.#end)))
      )
        return true;
    }
    const reading = parser.read(input, this.#at, this.#end);
    if (reading === 'partial') {
      this.#at = this.#end;
      if (!started) this.#host.wheel.arm(this.#timer, this.#host.headTimeoutMs);
      return true;
    }
    if (reading !== 'complete') {
      this.#refuseFault(reading);
      return true;
    }
    this.#at = parser.consumed;
    this.#host.wheel.disarm(this.#timer);
    this.#begin(parser);
    return true;
  }

  #begin(parser: RequestParser): void {
    this.#persistent =
      !parser.closeNamed && (parser.httpVersion === '1.1' || parser.keepAliveNamed) && !this.#host.draining;
    this.#body.begin(parser.bodyLength);
    this.#awaitsContinue = parser.expectsContinue && this.#body.open;
    this.#head = null;
    if (parser.target === '*') {
      this.#answerServer();
      return;
    }
    const exchange = new Exchange(this, this.#host.handler, parser);
    this.#exchange = exchange;
    this.#host.handler.handle(exchange);
    if (this.#exchange !== exchange) return;
    const totalMs = exchange.route?.config.totalTimeoutMs;
    if (totalMs !== undefined) {
      this.#totalTimer ??= this.#host.wheel.timer(this);
      this.#host.wheel.arm(this.#totalTimer, totalMs);
    }
  }

  /** OPTIONS * asks about the server itself (RFC 9110 section 9.3.7). */
  #answerServer(): void {
    const connection = this.#closing() ? 'close' : null;
    this.socket.write(responseHead(204, [], this.#host.date.get(), connection, -1, false), 'latin1');
    this.#settle();
  }

  #refuseFault(fault: RequestFault): void {
    this.#host.onFault?.(fault);
    this.#refuseConnection(refusal(requestFaults[fault].code));
  }

  /** Answers what never became a request, and closes. */
  #refuseConnection(refused: Refusal): void {
    const head = responseHead(
      refused.status,
      refused.headers,
      this.#host.date.get(),
      'close',
      refused.body.length,
      false,
    );
    this.#writer.writeWithHead(head, refused.body);
    this.#shut();
  }

  // Downstream: the request body.

  takeBody(): Buffer | null {
    const taken = this.#body.take(this.#input, this.#at, this.#end, this.#owned);
    if (taken !== null && taken.length > 0) {
      this.#at = this.#body.offset;
      if (!this.#pumping) this.#pump();
    }
    return taken;
  }

  readBody(receiver: BodyReceiver): void {
    if (!this.#body.open) {
      receiver.onBodyEnd(null);
      return;
    }
    this.#body.receiver = receiver;
    if (this.#awaitsContinue) {
      this.#awaitsContinue = false;
      if (this.#input === null || this.#at >= this.#end)
        this.socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
    }
    this.#host.wheel.arm(this.#timer, this.#host.bodyIdleTimeoutMs);
    this.#pump();
  }

  pauseBody(): void {
    if (!this.#body.open || this.#body.paused) return;
    this.#body.paused = true;
    this.#host.wheel.disarm(this.#timer);
  }

  resumeBody(): void {
    if (!this.#body.paused) return;
    this.#body.paused = false;
    if (this.#body.open) this.#host.wheel.arm(this.#timer, this.#host.bodyIdleTimeoutMs);
    this.#pump();
  }

  // Downstream: the response.

  writeInformation(status: number, headers: readonly string[]): void {
    if (this.#exchange === null || this.#parser.httpVersion === '1.0') return;
    this.socket.write(interimHead(status, headers), 'latin1');
  }

  respond(status: number, headers: readonly string[], body: Uint8Array | null): void {
    if (this.#exchange === null) return;
    const length = body === null ? 0 : body.length;
    const bodiless = this.#parser.method === 'HEAD' || status === 204 || status === 304;
    const stated = status === 204 || (status === 304 && length === 0) ? -1 : length;
    const head = responseHead(status, headers, this.#host.date.get(), this.#connectionField(), stated, false);
    if (bodiless || length === 0) this.#writer.writeHead(head);
    else this.#writer.writeWithHead(head, body!);
    this.#finish();
  }

  writeHead(status: number, headers: readonly string[], bodyLength: number): void {
    if (this.#exchange === null) return;
    const bodiless = this.#parser.method === 'HEAD' || status === 204 || status === 304;
    const chunked = bodyLength < 0 && !bodiless && this.#parser.httpVersion === '1.1';
    this.#framing = bodiless ? 'bodiless' : chunked ? 'chunked' : bodyLength < 0 ? 'unframed' : 'length';
    if (this.#framing === 'unframed') this.#persistent = false;
    this.#remaining = bodyLength;
    const stated = status === 204 ? -1 : bodyLength;
    this.#head = responseHead(
      status,
      headers,
      this.#host.date.get(),
      this.#connectionField(),
      stated,
      chunked,
    );
    this.#host.flushSoon(this);
  }

  /** Sends what has been held back in the hope of more to send with it. */
  flush(): void {
    const head = this.#head;
    this.#head = null;
    if (head !== null && this.#exchange !== null) this.socket.write(head, 'latin1');
    if (this.socket.writableCorked > 0) this.socket.uncork();
  }

  write(chunk: Uint8Array): boolean {
    const length = chunk.length;
    if (this.#exchange === null || this.#framing === 'bodiless' || length === 0) return true;
    let flowing: boolean;
    if (this.#framing === 'chunked') flowing = this.#writeChunk(chunk);
    else {
      if (this.#framing === 'length') {
        this.#remaining -= length;
        if (this.#remaining < 0) {
          this.#exchange.abandon();
          return true;
        }
      }
      const head = this.#head;
      this.#head = null;
      flowing = head === null ? this.socket.write(chunk) : this.#writer.writeWithHead(head, chunk);
    }
    if (!flowing) this.#host.wheel.arm(this.#timer, this.#host.writeIdleTimeoutMs);
    return flowing;
  }

  #writeChunk(chunk: Uint8Array): boolean {
    const { socket } = this;
    const head = this.#head ?? '';
    this.#head = null;
    if (!socket.writableCorked) {
      socket.cork();
      this.#host.flushSoon(this);
    }
    socket.write(`${head}${chunk.length.toString(16)}\r\n`, 'latin1');
    socket.write(chunk);
    return socket.write('\r\n', 'latin1');
  }

  get flushed(): boolean {
    return this.#head === null && this.#writer.flushed;
  }

  end(trailers: readonly string[] | null): void {
    if (this.#exchange === null) return;
    if (this.#framing === 'length' && this.#remaining > 0) {
      this.#exchange.abandon();
      return;
    }
    const head = this.#head ?? '';
    this.#head = null;
    const last = this.#framing === 'chunked' ? lastChunk(trailers) : '';
    if (head !== '' || last !== '') this.socket.write(head + last, 'latin1');
    this.#finish();
  }

  destroy(): void {
    this.#exchange = null;
    // Where nothing but the end of the connection ends the body, an orderly end would make it look whole.
    if (this.#framing === 'unframed' && !this.#parser.secure) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  switchProtocols(headers: readonly string[]): { socket: Duplex; head: Buffer } {
    this.socket.write(switchHead(headers), 'latin1');
    const head = this.#input === null ? nothing : Buffer.from(this.#input.subarray(this.#at, this.#end));
    this.detach();
    const tunnel = new TunnelSocket(this.socket);
    this.#tunnel = tunnel;
    return { socket: tunnel, head };
  }

  /** Gives the socket away: to a tunnel, or to another protocol. */
  detach(): void {
    this.#detached = true;
    this.#exchange = null;
    this.#input = null;
    this.#host.wheel.remove(this.#timer);
    if (this.#totalTimer !== null) this.#host.wheel.remove(this.#totalTimer);
    this.socket.off('end', this.#onEnd).off('drain', this.#onDrain);
    if (!this.#reading) this.socket.resume();
  }

  // The end of a response.

  /** Whether the connection ends with this response. */
  #closing(): boolean {
    if (!this.#persistent || this.#host.draining) return true;
    if (this.#halfClosed && (this.#input === null || this.#at >= this.#end)) return true;
    if (!this.#body.open) return false;
    const { remaining } = this.#body;
    return this.#awaitsContinue || remaining < 0 || remaining > maxDiscardedBytes;
  }

  #connectionField(): 'close' | 'keep-alive' | null {
    if (this.#closing()) {
      this.#persistent = false;
      return 'close';
    }
    return this.#parser.httpVersion === '1.0' ? 'keep-alive' : null;
  }

  #finish(): void {
    const exchange = this.#exchange!;
    if (this.socket.writableCorked > 0) this.socket.uncork();
    this.#exchange = null;
    exchange.onDownstreamEnd();
    if (this.#totalTimer !== null) this.#host.wheel.disarm(this.#totalTimer);
    this.#settle();
  }

  /** After a response: the next request, or the end. */
  #settle(): void {
    this.#answered++;
    const body = this.#body;
    if (this.#closing()) {
      this.#shut();
      return;
    }
    if (body.open) {
      body.receiver = null;
      body.discarding = true;
    }
    this.#parser.begin();
    this.#host.wheel.arm(this.#timer, this.#host.keepAliveTimeoutMs);
    if (this.#input !== null) this.#pump();
  }

  /** Sends the end, and reads on for a while so that the client is not cut off by a reset. */
  #shut(): void {
    if (this.#lingering || this.#detached) return;
    this.#lingering = true;
    this.#input = null;
    this.#body.discarding = true;
    const { socket } = this;
    const { wheel, writeIdleTimeoutMs, lingerMs } = this.#host;
    wheel.arm(this.#timer, writeIdleTimeoutMs);
    if (this.#halfClosed) {
      socket.destroySoon();
      return;
    }
    socket.end(() => wheel.arm(this.#timer, lingerMs));
    if (!this.#reading) socket.resume();
  }

  #linger(bytes: number): void {
    this.#lingered += bytes;
    if (this.#lingered > maxLingerBytes) this.socket.destroy();
  }
}

function ignore(): void {}

/** The HTTP/2 connection preface (RFC 9113 section 3.4). */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

function readPreface(input: Buffer, at: number, end: number): 'complete' | 'partial' | 'other' {
  const size = Math.min(end - at, preface.length);
  if (input.compare(preface, 0, size, at, at + size) !== 0) return 'other';
  return size === preface.length ? 'complete' : 'partial';
}
