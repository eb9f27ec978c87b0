import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import { Exchange, type ExchangeHandler } from '../../exchange.ts';
import { refusal } from '../../refusal.ts';
import { type RequestFault, requestFaults } from '../http1/faults.ts';
import type { Http2Acceptor } from '../http1/server.ts';
import { TimerWheel } from '../timers/timer-wheel.ts';
import { Http2Downstream, type StreamTimeouts } from './downstream.ts';
import { readHttp2Head } from './request-head.ts';

export interface Http2Options extends Partial<StreamTimeouts> {
  readonly maxConcurrentStreams?: number;
  readonly maxHeadBytes?: number;
  /** Without any stream for so long, a session is closed. */
  readonly keepAliveTimeoutMs?: number;
  readonly wheel?: TimerWheel;
  readonly onFault?: (fault: RequestFault) => void;
}

/** HTTP/2 on node:http2, for connections that a wire server hands over (ALPN or prior knowledge). */
export class NodeHttp2Acceptor implements Http2Acceptor {
  readonly #handler: ExchangeHandler;
  readonly #wheel: TimerWheel;
  readonly #timeouts: StreamTimeouts;
  readonly #keepAliveTimeoutMs: number;
  readonly #maxConcurrentStreams: number;
  readonly #maxHeadBytes: number;
  readonly #onFault: ((fault: RequestFault) => void) | null;
  readonly #sessions = new Set<ServerHttp2Session>();
  #draining = false;

  constructor(handler: ExchangeHandler, options: Http2Options = {}) {
    this.#handler = handler;
    this.#wheel = options.wheel ?? new TimerWheel();
    this.#wheel.start();
    this.#timeouts = {
      bodyIdleTimeoutMs: options.bodyIdleTimeoutMs ?? 30_000,
      writeIdleTimeoutMs: options.writeIdleTimeoutMs ?? 60_000,
    };
    this.#keepAliveTimeoutMs = options.keepAliveTimeoutMs ?? 75_000;
    this.#maxConcurrentStreams = options.maxConcurrentStreams ?? 128;
    this.#maxHeadBytes = options.maxHeadBytes ?? 32_768;
    this.#onFault = options.onFault ?? null;
  }

  accept(socket: Socket, received: Buffer | null, remoteAddress: string): void {
    if (received !== null) socket.unshift(received);
    const session = performServerHandshake(socket, {
      maxHeaderListPairs: 128 + 4,
      maxSessionMemory: 16,
      // Upstreams that repeat such a field get their answer through all the same.
      strictSingleValueFields: false,
      settings: {
        maxConcurrentStreams: this.#maxConcurrentStreams,
        maxHeaderListSize: this.#maxHeadBytes,
        enablePush: false,
      },
    } as Parameters<typeof performServerHandshake>[1]);
    const secure = 'encrypted' in socket;
    const streams = new Set<Http2Downstream>();
    this.#sessions.add(session);
    session.on(
      'stream',
      (stream: ServerHttp2Stream, _headers: IncomingHttpHeaders, flags: number, raw: string[]) => {
        const downstream = this.#begin(stream, flags, raw, secure, remoteAddress);
        if (downstream === null) return;
        streams.add(downstream);
        stream.once('close', () => streams.delete(downstream));
      },
    );
    session.setTimeout(this.#keepAliveTimeoutMs, () => {
      if (streams.size === 0) session.close();
    });
    session.on('error', () => undefined);
    // HTTP/2 knows no half-closed connection.
    socket.on('end', () => session.destroy());
    session.on('close', () => {
      this.#sessions.delete(session);
      for (const stream of streams) stream.onGone();
    });
    if (this.#draining) session.close();
  }

  drain(): void {
    this.#draining = true;
    for (const session of this.#sessions) session.close();
  }

  #begin(
    stream: ServerHttp2Stream,
    flags: number,
    raw: string[],
    secure: boolean,
    remoteAddress: string,
  ): Http2Downstream | null {
    const endOfStream = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    const head = readHttp2Head(raw, endOfStream, secure, remoteAddress);
    if (typeof head === 'string') {
      this.#refuse(stream, head);
      return null;
    }
    if (head.target === '*') {
      stream.on('error', () => undefined);
      stream.respond({ ':status': 204 }, { endStream: true });
      return null;
    }
    const downstream = new Http2Downstream(
      stream,
      endOfStream,
      head.expectsContinue,
      this.#wheel,
      this.#timeouts,
    );
    const exchange = new Exchange(downstream, this.#handler, head);
    downstream.exchange = exchange;
    this.#handler.handle(exchange);
    const totalMs = exchange.route?.config.totalTimeoutMs;
    if (totalMs !== undefined) downstream.limitTotal(totalMs);
    return downstream;
  }

  #refuse(stream: ServerHttp2Stream, fault: RequestFault): void {
    this.#onFault?.(fault);
    const { status, headers, body } = refusal(requestFaults[fault].code);
    stream.on('error', () => undefined);
    const fields: Record<string, string> = {};
    for (let i = 0; i < headers.length; i += 2) fields[headers[i]!.toLowerCase()] = headers[i + 1]!;
    stream.respond({ ':status': status, ...fields, 'content-length': body.length });
    stream.end(body, () => stream.close(constants.NGHTTP2_NO_ERROR));
  }
}
