import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';

/** A request as it arrived at a test upstream, with nothing normalized. */
export interface UpstreamRequest {
  readonly method: string;
  readonly target: string;
  /** The head as received, with its final empty line. */
  readonly head: string;
  /** Flat, names as sent. */
  readonly headers: readonly string[];
  readonly body: Buffer;
  /** The first value of a field, any case. */
  header(name: string): string | undefined;
}

export type UpstreamHandler = (request: UpstreamRequest, socket: Socket) => void;

/** An upstream made of a bare TCP server, so that a test decides every byte and every silence. */
export interface TestUpstream {
  readonly url: string;
  readonly port: number;
  /** All whole requests, oldest first. */
  readonly requests: UpstreamRequest[];
  /** Connections open now. */
  readonly sockets: ReadonlySet<Socket>;
  /** Connections ever accepted. */
  connections(): number;
  /** Replaces the behaviour for requests that arrive from now on. */
  handle(handler: UpstreamHandler): void;
  stop(): Promise<void>;
}

/** Writes a whole response with Content-Length. */
export function reply(
  socket: Socket,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Uint8Array,
): void {
  const bytes = Buffer.from(body as string);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(
    Buffer.concat([
      Buffer.from(
        `HTTP/1.1 ${status} Test\r\n${lines.join('')}Content-Length: ${bytes.length}\r\n\r\n`,
        'latin1',
      ),
      bytes,
    ]),
  );
}

/** Answers 200 with what was received, as JSON: `{method, target, headers (lower-case names), body}`. */
export function echo(request: UpstreamRequest, socket: Socket): void {
  const headers: Record<string, string> = {};
  for (let i = 0; i < request.headers.length; i += 2) {
    const name = request.headers[i]!.toLowerCase();
    const before = headers[name];
    headers[name] = before === undefined ? request.headers[i + 1]! : `${before}, ${request.headers[i + 1]}`;
  }
  reply(
    socket,
    200,
    { 'Content-Type': 'application/json' },
    JSON.stringify({
      method: request.method,
      target: request.target,
      headers,
      body: request.body.toString('latin1'),
    }),
  );
}

/** Accepts the request and never says anything. */
export function staySilent(): void {}

/** Closes the connection instead of answering. */
export function hangUp(_request: UpstreamRequest, socket: Socket): void {
  socket.destroy();
}

/** Promises `promised` bytes, sends `sent` of them, and breaks the connection. */
export function dieMidBody(promised = 1000, sent = 100): UpstreamHandler {
  return (_request, socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${promised}\r\n\r\n${'x'.repeat(sent)}`, () =>
      socket.destroy(),
    );
  };
}

/** Breaks a chunked answer off between two chunks. */
export function dieMidChunks(_request: UpstreamRequest, socket: Socket): void {
  socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n', () => socket.destroy());
}

/** Answers with exactly these bytes. */
export function sendRaw(bytes: string): UpstreamHandler {
  return (_request, socket) => {
    socket.write(Buffer.from(bytes, 'latin1'));
  };
}

export async function startUpstream(
  handler: UpstreamHandler = echo,
  options: { readonly port?: number } = {},
): Promise<TestUpstream> {
  let current = handler;
  let accepted = 0;
  const requests: UpstreamRequest[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    accepted++;
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    readRequests(socket, (request) => {
      requests.push(request);
      current(request, socket);
    });
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    sockets,
    connections: () => accepted,
    handle(next) {
      current = next;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function readRequests(socket: Socket, onRequest: (request: UpstreamRequest) => void): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    for (;;) {
      const read = readRequest(pending);
      if (!read) return;
      pending = pending.subarray(read.length);
      onRequest(read.request);
    }
  });
}

function readRequest(bytes: Buffer): { request: UpstreamRequest; length: number } | null {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return null;
  const head = bytes.toString('latin1', 0, headEnd + 4);
  const [requestLine = '', ...lines] = head.slice(0, -4).split('\r\n');
  const [method = '', target = ''] = requestLine.split(' ');
  const headers: string[] = [];
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers.push(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const header = (name: string): string | undefined => {
    for (let i = 0; i < headers.length; i += 2) {
      if (headers[i]!.toLowerCase() === name.toLowerCase()) return headers[i + 1];
    }
    return undefined;
  };
  const start = headEnd + 4;
  if (header('transfer-encoding')?.toLowerCase() === 'chunked') {
    const read = readChunks(bytes, start);
    if (!read) return null;
    return { request: { method, target, head, headers, body: read.body, header }, length: read.end };
  }
  const length = Number(header('content-length') ?? 0);
  if (bytes.length < start + length) return null;
  const body = Buffer.from(bytes.subarray(start, start + length));
  return { request: { method, target, head, headers, body, header }, length: start + length };
}

/** Decodes a chunked body from `start`; null while it is not whole. Trailers are skipped. */
export function readChunks(bytes: Buffer, start: number): { body: Buffer; end: number } | null {
  const parts: Buffer[] = [];
  let at = start;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return null;
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    if (size === 0) {
      let trailerAt = lineEnd + 2;
      for (;;) {
        const next = bytes.indexOf('\r\n', trailerAt);
        if (next < 0) return null;
        if (next === trailerAt) return { body: Buffer.concat(parts), end: next + 2 };
        trailerAt = next + 2;
      }
    }
    const end = lineEnd + 2 + size;
    if (bytes.length < end + 2) return null;
    parts.push(bytes.subarray(lineEnd + 2, end));
    at = end + 2;
  }
}
