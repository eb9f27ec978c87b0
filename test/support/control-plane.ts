import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { pino } from 'pino';
import type { Declaration } from '#contract/declaration.ts';
import type { StreamLine } from '#contract/registry.ts';
import { type ControlPlane, type StartOptions, startControlPlane } from '../../control-plane/main.ts';
import { usePostgres } from './postgres.ts';
import { makeFolder, removeFolder } from './temporary-folder.ts';

export const operatorToken = 'operator-token-for-tests';
export const gatewayToken = 'gateway-token-for-tests';

export interface Reply<T = Record<string, unknown>> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

/** A control plane, and calls to it. */
export interface TestPlane {
  readonly plane: ControlPlane;
  readonly url: string;
  readonly dataDir: string;
  readonly databaseUrl: string | undefined;
  /** Lines of its log. */
  readonly log: string[];
  /** Calls with a token; the operator's unless another or null is given. */
  call<T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    options?: { token?: string | null; headers?: Record<string, string> },
  ): Promise<Reply<T>>;
  /** A developer's token. */
  tokenOf(email: string): Promise<string>;
  /** Makes an app of an account and a key for it. */
  makeKey(
    email?: string,
    key?: Record<string, unknown>,
  ): Promise<{ appId: string; keyId: string; secret: string }>;
  follow(query?: string, headers?: Record<string, string>): Promise<Follow>;
  /** Starts another instance on the same database. */
  another(options?: Partial<StartOptions>): Promise<TestPlane>;
  /** Closes and starts again on the same data. */
  restart(options?: Partial<StartOptions>): Promise<TestPlane>;
  stop(): Promise<void>;
}

export type Engine = 'pglite' | 'postgres';
export const engines: readonly Engine[] = ['pglite', 'postgres'];

/** Runs a suite once for each database engine. */
export function onEachEngine(name: string, suite: (engine: Engine) => void): void {
  for (const engine of engines) describe(`${name} (${engine})`, () => suite(engine));
}

export async function startTestPlane(
  engine: Engine = 'pglite',
  options: Partial<StartOptions> = {},
): Promise<TestPlane> {
  const dataDir = makeFolder('control');
  const postgres = engine === 'postgres' ? await usePostgres() : null;
  const databaseUrl = await postgres?.createDatabase();
  return await start(dataDir, databaseUrl, options, async () => {
    await postgres?.stop();
    removeFolder(dataDir);
  });
}

async function start(
  dataDir: string,
  databaseUrl: string | undefined,
  options: Partial<StartOptions>,
  cleanUp: () => Promise<void>,
): Promise<TestPlane> {
  const log: string[] = [];
  const plane = await startControlPlane({
    port: 0,
    dataDir,
    ...(databaseUrl ? { databaseUrl } : {}),
    embedded: true,
    operatorToken,
    gatewayToken,
    logger: pino({ level: 'info' }, { write: (line: string) => void log.push(line) }),
    ...options,
  });
  const call: TestPlane['call'] = async (
    method,
    path,
    body,
    { token = operatorToken, headers = {} } = {},
  ) => {
    const response = await fetch(plane.url + path, {
      method,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      redirect: 'manual',
    });
    const text = await response.text();
    const json = /json/.test(response.headers.get('content-type') ?? '');
    return {
      status: response.status,
      headers: response.headers,
      body: (text !== '' && json ? JSON.parse(text) : text) as never,
    };
  };
  return {
    plane,
    url: plane.url,
    dataDir,
    databaseUrl,
    log,
    call,
    async tokenOf(email) {
      const reply = await call<{ token: string }>('POST', '/admin/v1/dev-tokens', { account: email });
      assert.equal(reply.status, 201, JSON.stringify(reply.body));
      return reply.body.token;
    },
    async makeKey(email = 'dev@example.com', key = {}) {
      const app = await call<{ app_id: string }>('POST', '/api/dev/apps', { name: 'Shop', account: email });
      assert.equal(app.status, 201, JSON.stringify(app.body));
      const appId = app.body.app_id;
      const made = await call<{ key_id: string; secret: string }>('POST', `/api/dev/apps/${appId}/keys`, key);
      assert.equal(made.status, 201, JSON.stringify(made.body));
      return { appId, keyId: made.body.key_id, secret: made.body.secret };
    },
    async follow(query = '', headers = {}) {
      const controller = new AbortController();
      const response = await fetch(`${plane.url}/registry/v1/stream${query}`, {
        headers: { authorization: `Bearer ${gatewayToken}`, ...headers },
        signal: controller.signal,
      });
      assert.equal(response.status, 200);
      return new Follow(response, controller);
    },
    async another(more = {}) {
      return await start(dataDir, databaseUrl, { ...options, ...more }, async () => {});
    },
    async restart(more = {}) {
      await plane.close();
      return await start(dataDir, databaseUrl, { ...options, ...more }, cleanUp);
    },
    async stop() {
      await plane.close();
      await cleanUp();
    },
  };
}

/** A registry stream being read. */
export class Follow {
  readonly response: Response;
  readonly #controller: AbortController;
  readonly #lines: AsyncGenerator<StreamLine>;
  /** The registry as the lines read so far make it, by `kind/id`. */
  readonly objects = new Map<string, Record<string, unknown>>();
  revision = 0;

  constructor(response: Response, controller: AbortController) {
    this.response = response;
    this.#controller = controller;
    this.#lines = readLines(response);
  }

  /** The next line that is not a ping. */
  async next(): Promise<StreamLine> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error('the stream ended');
      if (value.type === 'ping') continue;
      const changes = value.type === 'change' ? [value] : value.type === 'delta' ? value.changes : [];
      for (const { kind, id, object } of changes) {
        if (object === null) this.objects.delete(`${kind}/${id}`);
        else this.objects.set(`${kind}/${id}`, object as unknown as Record<string, unknown>);
      }
      if ('revision' in value) this.revision = value.revision;
      return value;
    }
  }

  /** Reads a whole snapshot and tells how many changes it had. */
  async snapshot(): Promise<number> {
    const first = await this.next();
    assert.equal(first.type, 'snapshot');
    this.objects.clear();
    for (let count = 0; ; count++) {
      const line = await this.next();
      if (line.type === 'change') continue;
      assert.equal(line.type, 'snapshot_end');
      assert.equal((line as { count: number }).count, count);
      return count;
    }
  }

  /** Reads until an object is as wanted. */
  async until(what: string, wanted: (object: Record<string, unknown> | undefined) => boolean): Promise<void> {
    while (!wanted(this.objects.get(what))) await this.next();
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    await this.#lines.return(undefined).catch(() => {});
  }
}

async function* readLines(response: Response): AsyncGenerator<StreamLine> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body!) {
    const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split('\n');
    rest = lines.pop()!;
    for (const line of lines) yield JSON.parse(line) as StreamLine;
  }
}

/** A declaration of resources as `startControlPlane` takes it. */
export function declare(resources: Declaration['resources']): Declaration {
  return { gateway: undefined, resources, lineOf: () => 1 };
}
