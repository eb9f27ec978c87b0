import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type FieldError, PaymentStore, parsePayment } from './payments.ts';

export interface SandboxOptions {
  /** 0: any free port. */
  readonly port: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** How many payments are kept; default 10,000. */
  readonly capacity?: number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

export interface Sandbox {
  readonly url: string;
  close(): Promise<void>;
}

const maxBodyBytes = 64 * 1024;

/** The simulated payments API that test keys reach: `/v1` and `/v2` with the same resources. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const now = options.now ?? Date.now;
  const payments = new PaymentStore(options.capacity ?? 10_000, now);
  const server = createServer((request, response) => {
    answer(request, response, payments, now).catch((error: unknown) => {
      if (!response.headersSent) sendProblem(response, 500, 'Internal error', String(error));
      else response.destroy();
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(options.port, options.host ?? '127.0.0.1');
  await once(server, 'listening');
  const { port, address } = server.address() as { port: number; address: string };
  return {
    url: `http://${address.includes(':') ? `[${address}]` : address}:${port}`,
    async close() {
      server.close();
      server.closeIdleConnections();
      await once(server, 'close');
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  payments: PaymentStore,
  now: () => number,
): Promise<void> {
  const { method = 'GET', url = '/' } = request;
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  const match = /^\/(v1|v2)(\/api\/auth\/ping|\/payments(?:\/([^/]+))?)$/.exec(path);
  if (!match) return sendProblem(response, 404, 'Not found', `There is nothing at ${path}.`);
  const [, version, resource, id] = match;
  const reads = method === 'GET' || method === 'HEAD';
  const collection = resource === '/payments';
  if (!reads && !(collection && method === 'POST')) {
    response.setHeader('Allow', collection ? 'GET, HEAD, POST' : 'GET, HEAD');
    return sendProblem(response, 405, 'Method not allowed', 'See the Allow field.');
  }
  if (resource === '/api/auth/ping') {
    return sendJson(response, 200, { status: 'ok', version, time: new Date(now()).toISOString() });
  }
  if (id !== undefined) {
    const payment = payments.find(id);
    if (!payment) return sendProblem(response, 404, 'Not found', `There is no payment ${id}.`);
    return sendJson(response, 200, payment);
  }
  if (reads) {
    const wanted = Number(new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1)).get('limit') ?? 10);
    if (!Number.isInteger(wanted) || wanted < 1 || wanted > 100) {
      return sendProblem(response, 400, 'Invalid parameter', 'limit must be an integer from 1 to 100.');
    }
    return sendJson(response, 200, { object: 'list', data: payments.list(wanted) });
  }
  const body = await readBody(request);
  if (body === null) return sendProblem(response, 413, 'Body too large', `At most ${maxBodyBytes} bytes.`);
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    return sendProblem(response, 400, 'Malformed body', 'The body is not JSON.');
  }
  const parsed = parsePayment(value);
  if (!parsed.ok) return sendProblem(response, 422, 'Validation failed', 'See errors.', parsed.errors);
  const payment = payments.create(parsed.value);
  response.setHeader('Location', `/${version}/payments/${payment.id}`);
  sendJson(response, 201, payment);
}

async function readBody(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= maxBodyBytes) chunks.push(chunk);
  }
  return size > maxBodyBytes ? null : Buffer.concat(chunks);
}

function sendJson(response: ServerResponse, status: number, value: unknown, type = 'application/json'): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': body.length });
  response.end(body);
}

function sendProblem(
  response: ServerResponse,
  status: number,
  title: string,
  detail: string,
  errors?: readonly FieldError[],
): void {
  sendJson(
    response,
    status,
    { title, status, detail, ...(errors ? { errors } : {}) },
    'application/problem+json',
  );
}
