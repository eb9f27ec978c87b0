import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import type { ExchangeHandler } from '../../exchange.ts';
import { refusal } from '../../refusal.ts';
import { TimerWheel } from '../timers/timer-wheel.ts';
import { Http1Connection } from './connection.ts';
import type { ConnectionHost } from './connection-host.ts';
import { DateLine } from './date-line.ts';
import type { RequestFault } from './faults.ts';
import { defaultHeadLimits, type HeadLimits } from './request-parser.ts';
import { responseHead } from './response-head.ts';

/** Speaks HTTP/2 on connections that the server has found to want it. */
export interface Http2Acceptor {
  /** `received` has been read from the socket and comes before what follows. */
  accept(socket: Socket, received: Buffer | null, remoteAddress: string): void;
  /** Lets streams under way end and refuses new ones. */
  drain(): void;
}

export interface WireServerOptions {
  readonly limits?: HeadLimits;
  readonly headTimeoutMs?: number;
  readonly bodyIdleTimeoutMs?: number;
  readonly writeIdleTimeoutMs?: number;
  readonly keepAliveTimeoutMs?: number;
  readonly halfCloseMs?: number;
  readonly lingerMs?: number;
  readonly maxConnections?: number;
  readonly maxConnectionsPerAddress?: number;
  /** Terminates TLS; HTTP/2 is offered through ALPN when there is an acceptor. */
  readonly tls?: TlsOptions;
  readonly http2?: Http2Acceptor;
  /** Shared by all wires of a worker. Default: one of its own. */
  readonly wheel?: TimerWheel;
  readonly onFault?: (fault: RequestFault) => void;
}

/** An HTTP/1 server on plain or TLS sockets: the wire in front of the gateway. */
export class WireServer implements ConnectionHost {
  readonly handler: ExchangeHandler;
  readonly wheel: TimerWheel;
  readonly date: DateLine;
  readonly limits: HeadLimits;
  readonly headTimeoutMs: number;
  readonly bodyIdleTimeoutMs: number;
  readonly writeIdleTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly halfCloseMs: number;
  readonly lingerMs: number;
  readonly onFault: ((fault: RequestFault) => void) | null;
  draining = false;
  /** For `error`, `listening` and the address. */
  readonly listener: Server;
  readonly #http2: Http2Acceptor | null;
  readonly #ownWheel: boolean;
  readonly #maxConnections: number;
  readonly #maxPerAddress: number;
  readonly #connections = new Set<Http1Connection>();
  readonly #sockets = new Set<Socket>();
  readonly #perAddress = new Map<string, number>();
  #unflushed: Http1Connection[] = [];
  readonly #flushAll: () => void;

  constructor(handler: ExchangeHandler, options: WireServerOptions = {}) {
    this.handler = handler;
    this.#ownWheel = options.wheel === undefined;
    this.wheel = options.wheel ?? new TimerWheel();
    this.wheel.start();
    this.date = new DateLine(this.wheel);
    this.limits = options.limits ?? defaultHeadLimits;
    this.headTimeoutMs = options.headTimeoutMs ?? 10_000;
    this.bodyIdleTimeoutMs = options.bodyIdleTimeoutMs ?? 30_000;
    this.writeIdleTimeoutMs = options.writeIdleTimeoutMs ?? 60_000;
    this.keepAliveTimeoutMs = options.keepAliveTimeoutMs ?? 75_000;
    this.halfCloseMs = options.halfCloseMs ?? 2000;
    this.lingerMs = options.lingerMs ?? 2000;
    this.onFault = options.onFault ?? null;
    this.#http2 = options.http2 ?? null;
    this.#maxConnections = options.maxConnections ?? 65_536;
    this.#maxPerAddress = options.maxConnectionsPerAddress ?? 65_536;
    this.#flushAll = () => {
      const connections = this.#unflushed;
      this.#unflushed = [];
      for (let i = 0; i < connections.length; i++) connections[i]!.flush();
    };
    this.listener = options.tls ? this.#createTls(options.tls) : this.#createPlain();
  }

  #createPlain(): Server {
    const settings = { allowHalfOpen: true, noDelay: true, pauseOnConnect: true };
    return createServer(settings, (socket) => this.#accept(socket, false));
  }

  #createTls(tls: TlsOptions): Server {
    const ALPNProtocols = this.#http2 ? ['h2', 'http/1.1'] : ['http/1.1'];
    const settings = {
      minVersion: 'TLSv1.2',
      ALPNProtocols,
      noDelay: true,
      allowHalfOpen: true,
      ...tls,
    } as const;
    const server = createTlsServer(settings, (socket) => this.#accept(socket, true));
    // Sockets count from the first byte on, so that unfinished handshakes count too.
    server.on('connection', (socket: Socket) => {
      const address = socket.remoteAddress ?? '';
      if (this.#hasRoom(address)) this.#track(socket, address);
      else socket.destroy();
    });
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    return server;
  }

  /** Resolves with the port. */
  listen(options: ListenOptions): Promise<number> {
    return new Promise((resolve, reject) => {
      this.listener.once('error', reject);
      this.listener.listen({ backlog: 4096, ...options }, () => {
        this.listener.off('error', reject);
        resolve(this.port);
      });
    });
  }

  get port(): number {
    const address = this.listener.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  }

  /** Open connections, HTTP/2 included. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Accepts no more, lets requests under way end for up to `timeoutMs`, then cuts off what is left. */
  async close(timeoutMs = 0): Promise<void> {
    this.draining = true;
    const closed = new Promise<void>((resolve) => this.listener.close(() => resolve()));
    for (const connection of this.#connections) connection.drain();
    this.#http2?.drain();
    if (timeoutMs > 0 && this.#sockets.size > 0) {
      const timer = setTimeout(() => this.#destroyAll(), timeoutMs);
      await closed;
      clearTimeout(timer);
    } else {
      this.#destroyAll();
      await closed;
    }
    if (this.#ownWheel) this.wheel.stop();
  }

  #destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: Socket, secure: boolean): void {
    const address = socket.remoteAddress ?? '';
    if (!secure && !this.#hasRoom(address)) {
      this.#turnAway(socket);
      return;
    }
    const remoteAddress = plainAddress(address);
    if (secure && (socket as TLSSocket).alpnProtocol === 'h2' && this.#http2) {
      this.#http2.accept(socket, null, remoteAddress);
      return;
    }
    const connection = new Http1Connection(socket, this, secure, remoteAddress);
    this.#connections.add(connection);
    if (!secure) this.#track(connection.socket, address);
  }

  #hasRoom(address: string): boolean {
    return (
      this.#sockets.size < this.#maxConnections && (this.#perAddress.get(address) ?? 0) < this.#maxPerAddress
    );
  }

  #track(socket: Socket, address: string): void {
    this.#sockets.add(socket);
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      const left = this.#perAddress.get(address)! - 1;
      if (left === 0) this.#perAddress.delete(address);
      else this.#perAddress.set(address, left);
    });
  }

  #turnAway(socket: Socket): void {
    socket.on('error', () => undefined);
    const { status, headers, body } = refusal('overloaded');
    const head = responseHead(status, headers, this.date.get(), 'close', body.length, false);
    socket.write(head, 'latin1');
    socket.end(body);
    socket.destroySoon();
  }

  onConnectionClosed(connection: Http1Connection): void {
    this.#connections.delete(connection);
  }

  flushSoon(connection: Http1Connection): void {
    if (this.#unflushed.push(connection) === 1) setImmediate(this.#flushAll);
  }

  takeHttp2(connection: Http1Connection, received: Buffer): boolean {
    if (this.#http2 === null) return false;
    this.#connections.delete(connection);
    connection.detach();
    this.#http2.accept(connection.socket, received, connection.remoteAddress);
    return true;
  }
}

/** IPv4 addresses of dual-stack sockets as IPv4. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}
