import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Duplex } from 'node:stream';
import { Exchange, type ExchangeHandler } from '../../gateway/exchange.ts';
import { refusal } from '../../gateway/refusal.ts';
import type { BodyReceiver, Downstream } from '../../gateway/wire/downstream.ts';
import type { RequestHead } from '../../gateway/wire/request-head.ts';

/** A server on node:http: the reference implementation of the wire. */
export function createNodeHttpServer(handler: ExchangeHandler): Server {
  const server = createServer({ insecureHTTPParser: false, noDelay: true, keepAliveTimeout: 65_000 });
  server.on('request', (request: IncomingMessage, response: ServerResponse) =>
    accept(handler, request, response, null),
  );
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) =>
    accept(handler, request, response, null),
  );
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
    accept(handler, request, null, { socket, head }),
  );
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const code = error.code === 'HPE_HEADER_OVERFLOW' ? 'header_too_large' : 'malformed_request';
    const refused = refusal(error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'request_timeout' : code);
    socket.end(renderResponse(refused.status, refused.headers, refused.body));
  });
  return server;
}

interface Upgrade {
  readonly socket: Duplex;
  readonly head: Buffer;
}

function accept(
  handler: ExchangeHandler,
  request: IncomingMessage,
  response: ServerResponse | null,
  upgrade: Upgrade | null,
): void {
  const head = readHead(request, upgrade !== null);
  const downstream = response ? new NodeDownstream(request, response) : new UpgradeDownstream(upgrade!);
  const exchange = new Exchange(downstream, handler, head);
  downstream.exchange = exchange;
  handler.handle(exchange);
}

function readHead(request: IncomingMessage, upgrade: boolean): RequestHead {
  const raw = request.rawHeaders;
  const headers: string[] = new Array(raw.length);
  let bodyLength = 0;
  let connectionFields: string[] | null = null;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    headers[i] = name;
    headers[i + 1] = raw[i + 1]!;
    if (name === 'content-length') bodyLength = Number(raw[i + 1]);
    else if (name === 'transfer-encoding') bodyLength = -1;
    else if (name === 'connection') {
      for (const option of raw[i + 1]!.toLowerCase().split(',')) {
        const field = option.trim();
        if (field === '' || field === 'close' || field === 'keep-alive' || field === 'upgrade') continue;
        connectionFields ??= [];
        connectionFields.push(field);
      }
    }
  }
  let target = request.url!;
  if (!target.startsWith('/') && target !== '*') {
    const slash = target.indexOf('/', target.indexOf('://') + 3);
    target = slash < 0 ? '/' : target.slice(slash);
  }
  return {
    method: request.method!,
    target,
    headers,
    host: (request.headers.host ?? '').toLowerCase(),
    secure: 'encrypted' in request.socket,
    remoteAddress: plainAddress(request.socket.remoteAddress ?? ''),
    httpVersion: request.httpVersion === '1.0' ? '1.0' : '1.1',
    bodyLength,
    upgrade: upgrade ? (request.headers.upgrade ?? '').split(',')[0]!.trim() || null : null,
    connectionFields,
  };
}

function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}

const nothing = Buffer.alloc(0);

class NodeDownstream implements Downstream {
  exchange!: Exchange;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request;
    this.#response = response;
    response.on('close', () => {
      if (response.writableFinished) this.exchange.onDownstreamEnd();
      else this.exchange.onDownstreamClose();
    });
    response.on('drain', () => this.exchange.onDownstreamDrain());
  }

  takeBody(): Buffer | null {
    return this.exchange.bodyLength === 0 ? nothing : null;
  }

  readBody(receiver: BodyReceiver): void {
    const request = this.#request;
    if (request.headers.expect) this.#response.writeContinue();
    request.on('data', (chunk: Buffer) => {
      if (!receiver.onBody(chunk)) request.pause();
    });
    request.on('end', () => receiver.onBodyEnd(request.rawTrailers.length > 0 ? request.rawTrailers : null));
    request.on('close', () => {
      if (!request.complete) receiver.onBodyError();
    });
    request.on('error', () => undefined);
  }

  pauseBody(): void {
    this.#request.pause();
  }

  resumeBody(): void {
    this.#request.resume();
  }

  writeInformation(status: number, headers: readonly string[]): void {
    if (status === 103) this.#response.writeEarlyHints(toRecord(headers));
    else if (status === 102) this.#response.writeProcessing();
  }

  respond(status: number, headers: readonly string[], body: Uint8Array | null): void {
    const length = body === null ? 0 : body.length;
    const fields =
      status === 204 || status === 304 ? headers : [...headers, 'Content-Length', String(length)];
    this.#leave();
    this.#response.writeHead(status, fields as string[]);
    if (body === null || this.#request.method === 'HEAD') this.#response.end();
    else this.#response.end(body);
  }

  writeHead(status: number, headers: readonly string[], bodyLength: number): void {
    const fields =
      bodyLength < 0 || status === 204 || status === 304
        ? headers
        : [...headers, 'Content-Length', String(bodyLength)];
    this.#response.writeHead(status, fields as string[]);
  }

  write(chunk: Uint8Array): boolean {
    return this.#response.write(chunk);
  }

  end(trailers: readonly string[] | null): void {
    if (trailers) this.#response.addTrailers(toRecord(trailers));
    this.#leave();
    this.#response.end();
  }

  /** A body nobody will read must not block the connection. */
  #leave(): void {
    if (!this.#request.complete) this.#request.resume();
  }

  destroy(): void {
    this.#request.socket.destroy();
  }

  switchProtocols(): { socket: Duplex; head: Buffer } {
    throw new Error('not an upgrade');
  }
}

/** Answers a request that asked for an upgrade: 101 and a tunnel, or an ordinary response and the end. */
class UpgradeDownstream implements Downstream {
  exchange!: Exchange;
  readonly #upgrade: Upgrade;
  #chunked = false;

  constructor(upgrade: Upgrade) {
    this.#upgrade = upgrade;
    upgrade.socket.on('error', () => undefined);
    upgrade.socket.on('close', () => this.exchange.onDownstreamClose());
  }

  takeBody(): Buffer {
    return nothing;
  }

  readBody(receiver: BodyReceiver): void {
    receiver.onBodyEnd(null);
  }

  pauseBody(): void {}

  resumeBody(): void {}

  writeInformation(): void {}

  respond(status: number, headers: readonly string[], body: Uint8Array | null): void {
    this.#upgrade.socket.end(renderResponse(status, headers, body ?? nothing));
    this.exchange.onDownstreamEnd();
  }

  writeHead(status: number, headers: readonly string[], bodyLength: number): void {
    this.#chunked = bodyLength < 0;
    const framing =
      bodyLength < 0 ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', String(bodyLength)];
    this.#upgrade.socket.write(renderHead(status, [...headers, ...framing, 'Connection', 'close']));
  }

  write(chunk: Uint8Array): boolean {
    const { socket } = this.#upgrade;
    if (!this.#chunked) return socket.write(chunk);
    socket.write(`${chunk.length.toString(16)}\r\n`);
    socket.write(chunk);
    return socket.write('\r\n');
  }

  end(): void {
    this.#upgrade.socket.end(this.#chunked ? '0\r\n\r\n' : undefined);
    this.exchange.onDownstreamEnd();
  }

  destroy(): void {
    this.#upgrade.socket.destroy();
  }

  switchProtocols(headers: readonly string[]): Upgrade {
    this.#upgrade.socket.write(renderHead(101, [...headers, 'Connection', 'Upgrade']));
    this.#upgrade.socket.removeAllListeners('close');
    return this.#upgrade;
  }
}

function renderHead(status: number, headers: readonly string[]): string {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `${head}\r\n`;
}

function renderResponse(status: number, headers: readonly string[], body: Uint8Array): Buffer {
  const head = renderHead(status, [...headers, 'Content-Length', String(body.length), 'Connection', 'close']);
  return Buffer.concat([Buffer.from(head, 'latin1'), body]);
}

function toRecord(flat: readonly string[]): Record<string, string> {
  const record: Record<string, string> = {};
  for (let i = 0; i < flat.length; i += 2) record[flat[i]!] = flat[i + 1]!;
  return record;
}
