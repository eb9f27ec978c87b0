import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';

/** A response as it came over the wire. */
export interface WireResponse {
  readonly status: number;
  readonly reason: string;
  readonly httpVersion: string;
  /** Flat, names as sent. */
  readonly headers: readonly string[];
  readonly body: Buffer;
  /** Flat. */
  readonly trailers: readonly string[];
  /** The head as received. */
  readonly head: string;
  /** The first value of a field, any case. */
  header(name: string): string | undefined;
  json(): unknown;
}

/** A client that sends the bytes it is told to and reports what comes back, byte by byte if need be. */
export interface WireClient {
  readonly socket: Socket;
  send(bytes: string | Uint8Array): void;
  /**
   * Reads the next final response (interim ones are kept in `interim`). Rejects when the connection ends before the
   * response is whole, unless its end is what delimits the body.
   */
  readResponse(options?: { readonly method?: string }): Promise<WireResponse>;
  /** Interim (1xx) responses seen so far. */
  readonly interim: WireResponse[];
  /** Everything not yet consumed, once the other side has closed. */
  readToEnd(): Promise<Buffer>;
  /** Resolves when the connection has closed. */
  readonly closed: Promise<void>;
  destroy(): void;
}

export class ConnectionEnded extends Error {
  /** What had arrived of the response. */
  readonly received: Buffer;
  constructor(received: Buffer) {
    super(`the connection ended before the response was whole, after ${received.length} bytes`);
    this.received = received;
  }
}

export interface WireTarget {
  readonly port: number;
  readonly host?: string;
  readonly tls?: ConnectionOptions;
}

export async function connectWire(target: number | string | WireTarget): Promise<WireClient> {
  const { port, host = '127.0.0.1', tls } = parseTarget(target);
  const socket = tls ? connectTls({ port, host, ...tls }) : connectTcp({ port, host, noDelay: true });
  await once(socket, tls ? 'secureConnect' : 'connect');
  return wrap(socket);
}

function parseTarget(target: number | string | WireTarget): WireTarget {
  if (typeof target === 'number') return { port: target };
  if (typeof target !== 'string') return target;
  const url = new URL(target);
  return { port: Number(url.port), host: url.hostname };
}

function wrap(socket: Socket): WireClient {
  let pending: Buffer = Buffer.alloc(0);
  let over = false;
  let wake = (): void => {};
  const interim: WireResponse[] = [];
  const finish = (): void => {
    over = true;
    wake();
  };
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('data', (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    wake();
  });
  socket.on('end', finish).on('close', finish).on('error', finish);
  const more = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
    });
  return {
    socket,
    interim,
    closed,
    send(bytes) {
      socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    },
    async readResponse({ method = 'GET' } = {}) {
      for (;;) {
        const read = parseResponse(pending, method, over);
        if (read) {
          pending = pending.subarray(read.length);
          if (read.response.status >= 200 || read.response.status === 101) return read.response;
          interim.push(read.response);
        } else if (over) throw new ConnectionEnded(pending);
        else await more();
      }
    },
    async readToEnd() {
      while (!over) await more();
      return pending;
    },
    destroy() {
      socket.destroy();
    },
  };
}

function parseFields(lines: readonly string[]): string[] {
  const headers: string[] = [];
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers.push(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return headers;
}

function firstValue(headers: readonly string[], name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.toLowerCase() === name.toLowerCase()) return headers[i + 1];
  }
  return undefined;
}

function parseResponse(
  bytes: Buffer,
  method: string,
  over: boolean,
): { response: WireResponse; length: number } | null {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return null;
  const head = bytes.toString('latin1', 0, headEnd + 4);
  const [statusLine = '', ...lines] = head.slice(0, -4).split('\r\n');
  const match = /^(HTTP\/\d\.\d) (\d{3}) ?(.*)$/.exec(statusLine);
  if (!match) throw new Error(`not an HTTP response: ${JSON.stringify(statusLine)}`);
  const headers = parseFields(lines);
  const status = Number(match[2]);
  const framed = frame(bytes, headEnd + 4, headers, status, method, over);
  if (!framed) return null;
  const { body } = framed;
  return {
    length: framed.end,
    response: {
      status,
      reason: match[3]!,
      httpVersion: match[1]!,
      headers,
      body,
      trailers: framed.trailers,
      head,
      header: (name) => firstValue(headers, name),
      json: () => JSON.parse(body.toString('utf8')),
    },
  };
}

interface Framed {
  readonly body: Buffer;
  readonly trailers: readonly string[];
  readonly end: number;
}

function frame(
  bytes: Buffer,
  start: number,
  headers: readonly string[],
  status: number,
  method: string,
  over: boolean,
): Framed | null {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) {
    return { body: Buffer.alloc(0), trailers: [], end: start };
  }
  if (/(?:^|,)\s*chunked\s*$/i.test(firstValue(headers, 'transfer-encoding') ?? '')) {
    return readChunked(bytes, start);
  }
  const length = firstValue(headers, 'content-length');
  if (length !== undefined) {
    const end = start + Number(length);
    return bytes.length < end ? null : { body: bytes.subarray(start, end), trailers: [], end };
  }
  return over ? { body: bytes.subarray(start), trailers: [], end: bytes.length } : null;
}

function readChunked(bytes: Buffer, start: number): Framed | null {
  const parts: Buffer[] = [];
  let at = start;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return null;
    const sizeText = bytes.toString('latin1', at, lineEnd).split(';')[0]!.trim();
    if (!/^[0-9a-fA-F]+$/.test(sizeText)) throw new Error(`bad chunk size ${JSON.stringify(sizeText)}`);
    const size = Number.parseInt(sizeText, 16);
    at = lineEnd + 2;
    if (size === 0) break;
    if (bytes.length < at + size + 2) return null;
    parts.push(bytes.subarray(at, at + size));
    if (bytes.toString('latin1', at + size, at + size + 2) !== '\r\n')
      throw new Error('chunk not terminated');
    at += size + 2;
  }
  const lines: string[] = [];
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return null;
    const line = bytes.toString('latin1', at, lineEnd);
    at = lineEnd + 2;
    if (line === '') return { body: Buffer.concat(parts), trailers: parseFields(lines), end: at };
    lines.push(line);
  }
}
