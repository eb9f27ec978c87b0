import { connect as connectTcp, isIP, type Socket, type TcpNetConnectOpts } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import type { ResponseFault } from '../../wire/http1/faults.ts';
import { lastChunk } from '../../wire/http1/head-text.ts';
import { ByteReader, type ByteSink } from '../../wire/sockets/byte-reader.ts';
import { copyPiece, recycle } from '../../wire/sockets/read-buffer.ts';
import { SocketWriter } from '../../wire/sockets/socket-writer.ts';
import { TunnelSocket } from '../../wire/sockets/tunnel-socket.ts';
import type { Timed, Timer } from '../../wire/timers/timer-wheel.ts';
import type { Http1Call } from './call.ts';
import type { TargetPool } from './pool.ts';
import { requestHead } from './request-head.ts';
import { ResponseReader, type ResponseSink } from './response-reader.ts';

/** From this many bytes of body on, reads get buffers of their own instead of being copied out of the shared one. */
const ownBufferBytes = 16_384;

/** One connection to a target; carries one request at a time. */
export class UpstreamConnection implements ResponseSink, ByteSink, Timed {
  readonly socket: Socket;
  readonly #writer: SocketWriter;
  readonly #pool: TargetPool;
  readonly #timer: Timer;
  readonly #reader = new ResponseReader();
  #call: Http1Call | null = null;
  #connected = false;
  #closed = false;
  #timedOut = false;
  #requests = 0;
  #chunkedBody = false;
  #owned = false;
  /** Nothing holds what has been read this time. */
  #released = false;
  #lastRead = 0;
  #tunnel: TunnelSocket | null = null;
  #switched: string[] | null = null;

  constructor(pool: TargetPool) {
    this.#pool = pool;
    this.#timer = pool.wheel.timer(this);
    const { upstream } = pool;
    const host = upstream.hostname.startsWith('[') ? upstream.hostname.slice(1, -1) : upstream.hostname;
    const onread = new ByteReader(this);
    const target: TcpNetConnectOpts = { host, port: upstream.port, noDelay: true, onread };
    this.socket = upstream.secure ? connectTls(this.#tlsOptions(target, host)) : connectTcp(target);
    this.#writer = new SocketWriter(this.socket);
    const { socket } = this;
    pool.wheel.arm(this.#timer, upstream.connectTimeoutMs);
    socket.once(upstream.secure ? 'secureConnect' : 'connect', () => {
      this.#connected = true;
      pool.wheel.disarm(this.#timer);
      pool.onConnected(this);
    });
    if (upstream.secure) socket.on('session', (session: Buffer) => pool.keepSession(session));
    socket.on('end', this.#onEnd);
    socket.on('drain', this.#onDrain);
    socket.on('error', ignore);
    socket.on('close', this.#onClose);
  }

  #tlsOptions(target: TcpNetConnectOpts, host: string): ConnectionOptions {
    const { tls, session } = this.#pool;
    const resumed = session === null ? {} : { session };
    const named = isIP(host) === 0 ? { servername: host } : {};
    return { ALPNProtocols: ['http/1.1'], ...named, ...resumed, ...tls, ...target };
  }

  /** Whether a request on it may fail only because the target closed it while it was idle. */
  get reused(): boolean {
    return this.#requests > 1;
  }

  get usable(): boolean {
    return !this.#closed && this.socket.writable;
  }

  // Sending.

  dispatch(call: Http1Call): void {
    const { request } = call;
    const head = requestHead(request);
    this.#call = call;
    this.#requests++;
    if (head === null) {
      this.#call = null;
      this.#pool.release(this);
      process.nextTick(failInvalid, call);
      return;
    }
    call.connection = this;
    this.#reader.begin(request.method, request.upgrade !== null);
    this.#chunkedBody = request.bodyLength < 0 && request.body === null;
    this.#pool.wheel.arm(this.#timer, this.#pool.upstream.responseTimeoutMs);
    if (request.body !== null) this.#writer.writeWithHead(head, request.body);
    else this.#writer.writeHead(head);
    call.onSent(this);
  }

  writeBody(chunk: Buffer): boolean {
    const { socket } = this;
    // The target has as long for its answer as if the request had only now been sent.
    this.#pool.wheel.arm(this.#timer, this.#pool.upstream.responseTimeoutMs);
    if (!this.#chunkedBody) return socket.write(chunk);
    if (chunk.length === 0) return true;
    socket.cork();
    socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1');
    socket.write(chunk);
    const flowing = socket.write('\r\n', 'latin1');
    socket.uncork();
    return flowing;
  }

  endBody(trailers: readonly string[] | null): void {
    if (this.#chunkedBody) this.socket.write(lastChunk(trailers), 'latin1');
  }

  pause(): void {
    if (this.#call === null) return;
    this.socket.pause();
    this.#pool.wheel.disarm(this.#timer);
  }

  resume(): void {
    if (this.#call === null || !this.socket.isPaused()) return;
    this.#pool.wheel.arm(this.#timer, this.#pool.upstream.idleTimeoutMs);
    this.socket.resume();
  }

  /** Closes it, whatever it carries; nobody is told. */
  destroy(): void {
    this.#call = null;
    this.#closed = true;
    this.socket.destroy();
  }

  /** It waits for a request, for as long as the target and the pool keep idle connections. */
  rest(): void {
    const seconds = this.#reader.parser.keepAliveSeconds;
    const idleMs = this.#pool.idleTimeoutMs;
    const promisedMs = seconds >= 0 ? seconds * 1000 - 1000 : idleMs;
    this.#pool.wheel.arm(this.#timer, Math.min(promisedMs, idleMs));
  }

  // Receiving.

  get wantsOwnBuffer(): boolean {
    return this.#call !== null && this.#reader.streams(ownBufferBytes, this.#lastRead);
  }

  onBytes(buffer: Buffer, size: number, owned: boolean): boolean {
    if (this.#tunnel !== null) return this.#tunnel.feed(buffer, size, owned);
    if (this.#call === null) {
      // Nothing was asked: whatever this is, it must not become the answer to the next request.
      this.destroy();
      return false;
    }
    this.#lastRead = size;
    this.#owned = owned;
    this.#released = owned;
    let at = 0;
    while (at < size && this.#call !== null) {
      at = this.#reader.read(buffer, at, size, this);
      if (this.#switched !== null) {
        this.#switch(this.#switched, Buffer.from(buffer.subarray(at, size)));
        break;
      }
    }
    if (this.#released) recycle(buffer);
    return true;
  }

  readonly #onEnd = (): void => {
    if (this.#call !== null) this.#reader.readEnd(this);
    this.destroy();
  };

  readonly #onDrain = (): void => {
    this.#call?.handler.onDrain();
  };

  readonly #onClose = (): void => {
    this.#closed = true;
    this.#pool.wheel.remove(this.#timer);
    if (this.#call !== null) this.onFault('reset');
    this.#pool.onClosed(this, this.#connected, this.#timedOut);
  };

  onDeadline(): void {
    const call = this.#call;
    this.#timedOut = !this.#connected;
    this.destroy();
    call?.fail('timeout');
  }

  // From the reader.

  onInformation(status: number, headers: string[]): void {
    if (status !== 100) this.#call?.handler.onInformation(status, headers);
  }

  onHead(status: number, headers: string[], bodyLength: number): void {
    if (this.#reader.parser.framing !== 'none')
      this.#pool.wheel.arm(this.#timer, this.#pool.upstream.idleTimeoutMs);
    this.#call!.handler.onHead(status, headers, bodyLength);
  }

  onBody(chunk: Buffer, start: number, end: number): void {
    const call = this.#call;
    if (call === null) return;
    const piece = this.#owned ? chunk.subarray(start, end) : copyPiece(chunk, start, end);
    const flowing = call.handler.onData(piece);
    if (this.#released && !call.handler.released?.()) this.#released = false;
    if (!flowing && this.#call === call && this.#reader.remaining !== 0) this.pause();
    else if (!this.socket.isPaused()) this.#pool.wheel.arm(this.#timer, this.#pool.upstream.idleTimeoutMs);
  }

  onComplete(trailers: string[] | null, clean: boolean): void {
    const call = this.#call;
    if (call === null) return;
    this.#call = null;
    call.over = true;
    call.connection = null;
    if (clean && this.#reader.parser.persistent && call.bodyEnded && this.usable) {
      if (this.socket.isPaused()) this.socket.resume();
      this.#pool.release(this);
    } else this.destroy();
    call.handler.onEnd(trailers);
  }

  onSwitch(headers: string[]): void {
    this.#switched = headers;
  }

  #switch(headers: string[], head: Buffer): void {
    const call = this.#call!;
    const { socket } = this;
    this.#call = null;
    call.over = true;
    call.connection = null;
    this.#pool.wheel.remove(this.#timer);
    socket.off('end', this.#onEnd).off('drain', this.#onDrain);
    this.#tunnel = new TunnelSocket(socket);
    call.handler.onUpgrade(headers, this.#tunnel, head);
  }

  onFault(fault: ResponseFault | 'reset'): void {
    const call = this.#call;
    if (call === null) return;
    this.destroy();
    call.connection = null;
    if (fault === 'reset' && this.reused && !this.#reader.touched && call.repeatable) {
      call.repeated = true;
      this.#pool.send(call);
    } else call.fail(fault === 'reset' ? 'reset' : 'invalid');
  }
}

function ignore(): void {}

function failInvalid(call: Http1Call): void {
  call.fail('invalid');
}
