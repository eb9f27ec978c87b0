import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { type ProblemCode, problemDocument, problemMediaType, problems } from '#contract/problems.ts';
import type { AdminTls } from './tls.ts';

/** Answers a request under a path prefix of the admin listener; false: not one of its paths. */
export type AdminHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
) => boolean | Promise<boolean>;

export interface AdminOptions {
  readonly host: string;
  readonly port: number;
  /** Null: plain HTTP. */
  readonly tls?: AdminTls | null;
  /** Null refuses the privileged paths (`/admin/…`) to those without a client certificate. */
  readonly operatorToken: string | null;
  /** Null when ready; else what is missing. */
  readonly readiness: () => string | null;
  readonly health: () => Record<string, unknown>;
  readonly metrics: { readonly contentType: string; render(): Promise<string> };
  /** For `/admin/…`, asked in order, after the operator was recognised. */
  readonly privileged: readonly AdminHandler[];
  /** Asked before that; they authenticate their callers themselves (for example by a webhook signature). */
  readonly open?: readonly AdminHandler[];
  readonly logFault: (error: unknown) => void;
}

/** The admin listener: liveness, readiness, metrics, and what operators may do to this gateway. */
export function createAdminServer(options: AdminOptions): Server {
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    serve(options, request, response).catch((error: unknown) => {
      options.logFault(error);
      if (response.headersSent) response.destroy();
      else sendProblem(response, 'internal_error');
    });
  };
  const { tls } = options;
  if (!tls) return createServer(listener);
  const mutual =
    tls.clientCa === null ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true };
  return createTlsServer({ cert: tls.cert, key: tls.key, ...mutual }, listener);
}

async function serve(
  options: AdminOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = (request.url ?? '/').split('?')[0]!;
  if (path === '/healthz' || path === '/readyz' || path === '/metrics') {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      sendProblem(response, 'method_not_allowed', { Allow: 'GET, HEAD' });
      return;
    }
    if (path === '/healthz') sendJson(response, 200, { status: 'ok', ...options.health() });
    else if (path === '/readyz') {
      const missing = options.readiness();
      if (missing === null) sendJson(response, 200, { status: 'ready' });
      else sendJson(response, 503, { status: 'not ready', reason: missing });
    } else {
      response.writeHead(200, { 'content-type': options.metrics.contentType });
      response.end(await options.metrics.render());
    }
    return;
  }
  for (const handler of options.open ?? []) if (await handler(request, response, path)) return;
  if (path.startsWith('/admin/')) {
    const known = options.tls?.clientCa ? (request.socket as TLSSocket).authorized : false;
    if (!known && !isOperator(request, options.operatorToken)) {
      sendProblem(response, 'credentials_invalid', { 'WWW-Authenticate': 'Bearer realm="tollgate admin"' });
      return;
    }
    for (const handler of options.privileged) if (await handler(request, response, path)) return;
  }
  sendProblem(response, 'not_found');
}

function isOperator(request: IncomingMessage, token: string | null): boolean {
  const match = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '');
  if (!match || token === null) return false;
  return timingSafeEqual(digest(match[1]!), digest(token));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

export function sendProblem(
  response: ServerResponse,
  code: ProblemCode,
  headers: Record<string, string> = {},
  detail?: string,
  extra?: Record<string, unknown>,
): void {
  response.writeHead(problems[code].status, {
    'content-type': problemMediaType,
    'cache-control': 'no-store',
    // What is left of a body that is too large is not waited for.
    ...(code === 'body_too_large' ? { connection: 'close' } : {}),
    ...headers,
  });
  response.end(JSON.stringify(problemDocument(code, detail, extra)));
}

/** The body of an admin request; null when it exceeds `maxBytes`. Rejects when the client leaves. */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (body: Buffer | null): void => {
      request.off('data', onData);
      request.resume();
      resolve(body);
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > maxBytes) settle(null);
      else chunks.push(chunk);
    };
    request.on('data', onData);
    request.once('end', () => settle(Buffer.concat(chunks)));
    request.once('error', reject);
    request.once('close', () => reject(new Error('the client left')));
  });
}

/** The JSON body of an admin request, up to `maxBytes`; or the problem it deserves. */
export async function readJson(
  request: IncomingMessage,
  maxBytes: number,
): Promise<{ ok: true; value: unknown } | { ok: false; code: ProblemCode; detail: string }> {
  const body = await readBody(request, maxBytes);
  if (body === null) return { ok: false, code: 'body_too_large', detail: `The limit is ${maxBytes} bytes.` };
  try {
    return { ok: true, value: JSON.parse(body.toString('utf8')) };
  } catch (error) {
    return {
      ok: false,
      code: 'invalid_parameter',
      detail: `The body is not valid JSON: ${(error as Error).message}`,
    };
  }
}
