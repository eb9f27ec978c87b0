import { type Duplex, Readable } from 'node:stream';
import { type Dispatcher, Pool } from 'undici';
import type {
  Upstream,
  UpstreamCall,
  UpstreamClient,
  UpstreamFailure,
  UpstreamHandler,
  UpstreamRequest,
} from './client.ts';

/** An upstream client on undici's dispatch interface; the way to HTTP/2 upstreams. */
export class UndiciClient implements UpstreamClient {
  readonly #pools = new Map<Upstream, Pool>();
  readonly #connections: number;

  constructor(options: { readonly connectionsPerUpstream?: number } = {}) {
    this.#connections = options.connectionsPerUpstream ?? 256;
  }

  send(upstream: Upstream, request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall {
    const call = new UndiciCall(request, handler);
    call.dispatch(this.#pool(upstream), upstream);
    return call;
  }

  #pool(upstream: Upstream): Pool {
    let pool = this.#pools.get(upstream);
    if (!pool) {
      pool = new Pool(upstream.origin, {
        connections: this.#connections,
        pipelining: 1,
        allowH2: upstream.http2,
        keepAliveTimeout: 30_000,
        connect: { timeout: upstream.connectTimeoutMs },
      });
      this.#pools.set(upstream, pool);
    }
    return pool;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
  }
}

class UndiciCall implements UpstreamCall, Dispatcher.DispatchHandler {
  readonly #request: UpstreamRequest;
  readonly #handler: UpstreamHandler;
  #body: Readable | null = null;
  #controller: Dispatcher.DispatchController | null = null;
  #aborted = false;

  constructor(request: UpstreamRequest, handler: UpstreamHandler) {
    this.#request = request;
    this.#handler = handler;
  }

  dispatch(pool: Pool, upstream: Upstream): void {
    const { method, path, bodyLength, body, upgrade } = this.#request;
    let { headers } = this.#request;
    let sent: Buffer | Readable | null = body;
    if (body === null && bodyLength !== 0 && upgrade === null) {
      this.#body = new Readable({ read: () => this.#handler.onDrain() });
      sent = this.#body;
      if (bodyLength > 0) headers = [...headers, 'content-length', String(bodyLength)];
    } else if (
      body === null &&
      bodyLength === 0 &&
      (method === 'POST' || method === 'PUT' || method === 'PATCH')
    ) {
      headers = [...headers, 'content-length', '0'];
    }
    pool.dispatch(
      {
        method: method as Dispatcher.HttpMethod,
        path,
        headers,
        body: sent,
        upgrade,
        headersTimeout: upstream.responseTimeoutMs,
        bodyTimeout: upstream.idleTimeoutMs,
      },
      this,
    );
  }

  write(chunk: Buffer): boolean {
    return this.#body === null ? true : this.#body.push(chunk);
  }

  end(): void {
    this.#body?.push(null);
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    if (this.#controller?.paused) this.#controller.resume();
  }

  abort(): void {
    this.#aborted = true;
    this.#body?.destroy();
    this.#controller?.abort(new Error('aborted'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#aborted) controller.abort(new Error('aborted'));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.#aborted) return;
    const { headers, length } = readHeaders(controller.rawHeaders);
    if (status < 200) {
      this.#handler.onInformation(status, headers);
      return;
    }
    const bodiless = this.#request.method === 'HEAD' || status === 204 || status === 304;
    this.#handler.onHead(status, headers, bodiless && length < 0 ? 0 : length);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#aborted && !this.#handler.onData(chunk)) controller.pause();
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    if (this.#aborted) return;
    const { headers } = readHeaders(controller.rawTrailers);
    this.#handler.onEnd(headers.length > 0 ? headers : null);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#body?.destroy();
    this.#handler.onError(classify(error));
  }

  onRequestUpgrade(
    controller: Dispatcher.DispatchController,
    status: number,
    _headers: unknown,
    socket: Duplex,
  ): void {
    if (status !== 101) {
      socket.destroy();
      this.#handler.onError('invalid');
      return;
    }
    const { headers } = readHeaders(controller.rawHeaders);
    headers.push('upgrade', this.#request.upgrade ?? '');
    this.#handler.onUpgrade(headers, socket, Buffer.alloc(0));
  }
}

type RawHeaders = Dispatcher.DispatchController['rawHeaders'];

/** Header lines, flat: HTTP/1.1 gives them as a list, HTTP/2 as an object. */
function flatten(raw: RawHeaders): string[] {
  if (!raw) return [];
  if (Array.isArray(raw)) return raw.map((item) => item.toString('latin1'));
  const lines: string[] = [];
  for (const [name, value] of Object.entries(raw)) {
    if (value === undefined || name.startsWith(':')) continue;
    for (const line of Array.isArray(value) ? value : [value]) lines.push(name, String(line));
  }
  return lines;
}

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

function readHeaders(raw: RawHeaders): { headers: string[]; length: number } {
  const lines = flatten(raw);
  const headers: string[] = [];
  let length = -1;
  let named: string[] | null = null;
  for (let i = 0; i < lines.length; i += 2) {
    const name = lines[i]!.toLowerCase();
    const value = lines[i + 1]!;
    if (name === 'content-length') length = Number(value);
    else if (name === 'connection') {
      for (const option of value.split(',')) {
        named ??= [];
        named.push(option.trim().toLowerCase());
      }
    } else if (!hopByHop.has(name)) headers.push(name, value);
  }
  if (named) {
    for (let i = headers.length - 2; i >= 0; i -= 2) if (named.includes(headers[i]!)) headers.splice(i, 2);
  }
  return { headers, length };
}

function classify(error: Error): UpstreamFailure {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  switch (code) {
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return 'timeout';
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ECONNREFUSED':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
    case 'ETIMEDOUT':
      return 'unreachable';
    default:
      if (
        error.name === 'HTTPParserError' ||
        code.startsWith('HPE_') ||
        code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH'
      )
        return 'invalid';
      return code.startsWith('ERR_TLS') || code.includes('CERT') ? 'unreachable' : 'reset';
  }
}
