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

/** undici's own handler shape: raw header buffers, no header object. */
interface RawHandler {
  onConnect(abort: (error?: Error) => void): void;
  onHeaders(status: number, headers: Buffer[], resume: () => void, statusText: string): boolean;
  onData(chunk: Buffer): boolean;
  onComplete(trailers: Buffer[] | null): void;
  onError(error: Error): void;
  onUpgrade(status: number, headers: Buffer[] | null, socket: Duplex): void;
}

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

class UndiciCall implements UpstreamCall, RawHandler {
  readonly #request: UpstreamRequest;
  readonly #handler: UpstreamHandler;
  #body: Readable | null = null;
  #abort: ((error?: Error) => void) | null = null;
  #resume: (() => void) | null = null;
  #paused = false;
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
      this as unknown as Dispatcher.DispatchHandler,
    );
  }

  write(chunk: Buffer): boolean {
    return this.#body === null ? true : this.#body.push(chunk);
  }

  end(): void {
    this.#body?.push(null);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#resume?.();
  }

  abort(): void {
    this.#aborted = true;
    this.#body?.destroy();
    this.#abort?.(new Error('aborted'));
  }

  onConnect(abort: (error?: Error) => void): void {
    this.#abort = abort;
    if (this.#aborted) abort(new Error('aborted'));
  }

  onHeaders(status: number, raw: Buffer[], resume: () => void): boolean {
    if (this.#aborted) return true;
    this.#resume = resume;
    const { headers, length } = readHeaders(raw);
    if (status < 200) {
      this.#handler.onInformation(status, headers);
      return true;
    }
    const bodiless = this.#request.method === 'HEAD' || status === 204 || status === 304;
    this.#handler.onHead(status, headers, bodiless && length < 0 ? 0 : length);
    return !this.#paused;
  }

  onData(chunk: Buffer): boolean {
    if (this.#aborted) return true;
    if (!this.#handler.onData(chunk)) this.#paused = true;
    return !this.#paused;
  }

  onComplete(raw: Buffer[] | null): void {
    if (this.#aborted) return;
    this.#handler.onEnd(raw && raw.length > 0 ? readHeaders(raw).headers : null);
  }

  onError(error: Error): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#body?.destroy();
    this.#handler.onError(classify(error));
  }

  onUpgrade(status: number, raw: Buffer[] | null, socket: Duplex): void {
    if (status !== 101) {
      socket.destroy();
      this.#handler.onError('invalid');
      return;
    }
    const headers = readHeaders(raw ?? []).headers;
    headers.push('upgrade', this.#request.upgrade ?? '');
    this.#handler.onUpgrade(headers, socket, Buffer.alloc(0));
  }
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

function readHeaders(raw: Buffer[]): { headers: string[]; length: number } {
  const headers: string[] = [];
  let length = -1;
  let named: string[] | null = null;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toString('latin1').toLowerCase();
    const value = raw[i + 1]!.toString('latin1');
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
