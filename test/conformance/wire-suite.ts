import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { request as requestHttp1 } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { request as requestHttps } from 'node:https';
import { test } from 'node:test';
import type { Exchange, ExchangeHandler } from '../../gateway/exchange.ts';
import { answerEcho, RecordingHandler, streamEcho } from '../gateway/wire/recording-handler.ts';

/** A wire under test. */
export interface WireAdapter {
  readonly name: string;
  readonly protocol: 'http/1.1' | 'h2';
  readonly secure: boolean;
  /** The certificate of a secure one. */
  readonly ca?: string;
  start(handler: ExchangeHandler): Promise<{ port: number; stop(): Promise<void> }>;
}

interface SentRequest {
  readonly method?: string;
  readonly path?: string;
  /** Flat. */
  readonly headers?: readonly string[];
  readonly body?: Buffer;
  readonly trailers?: Record<string, string>;
  /** Wait for 100 before the body is sent. */
  readonly expect?: boolean;
  /** Called with a function that breaks the request off. */
  readonly onSent?: (abort: () => void) => void;
}

interface Response {
  readonly status: number;
  /** Flat, names in lower case. */
  readonly headers: readonly string[];
  readonly body: Buffer;
  readonly trailers: Record<string, unknown>;
  readonly interim: readonly number[];
}

function toRecord(flat: readonly string[]): Record<string, string | string[]> {
  const record: Record<string, string | string[]> = {};
  for (let i = 0; i < flat.length; i += 2) {
    const before = record[flat[i]!];
    record[flat[i]!] = before === undefined ? flat[i + 1]! : [before, flat[i + 1]!].flat();
  }
  return record;
}

/** Sends a request with Node's own clients; rejects when the response is broken off. */
function send(adapter: WireAdapter, port: number, sent: SentRequest): Promise<Response> {
  return adapter.protocol === 'h2' ? sendHttp2(adapter, port, sent) : sendHttp1(adapter, port, sent);
}

function sendHttp1(adapter: WireAdapter, port: number, sent: SentRequest): Promise<Response> {
  return new Promise((resolve, reject) => {
    const interim: number[] = [];
    const open = adapter.secure ? requestHttps : requestHttp1;
    const request = open({
      ...{ host: '127.0.0.1', port, method: sent.method ?? 'GET', path: sent.path ?? '/', agent: false },
      headers: { ...toRecord(sent.headers ?? []), ...(sent.expect ? { expect: '100-continue' } : {}) },
      ...(adapter.ca ? { ca: adapter.ca } : {}),
    });
    request.on('information', ({ statusCode }) => interim.push(statusCode));
    request.on('continue', () => {
      interim.push(100);
      request.end(sent.body);
    });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('aborted', () => reject(new Error('aborted')));
      response.on('end', () => {
        const headers = response.rawHeaders.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text));
        const body = Buffer.concat(chunks);
        resolve({ status: response.statusCode!, headers, body, trailers: response.trailers, interim });
      });
    });
    if (sent.trailers) request.addTrailers(sent.trailers);
    if (sent.expect) request.flushHeaders();
    else request.end(sent.body);
    sent.onSent?.(() => request.destroy());
  });
}

function sendHttp2(adapter: WireAdapter, port: number, sent: SentRequest): Promise<Response> {
  return new Promise((resolve, reject) => {
    const interim: number[] = [];
    const scheme = adapter.secure ? 'https' : 'http';
    const session = connectHttp2(`${scheme}://127.0.0.1:${port}`, adapter.ca ? { ca: adapter.ca } : {});
    session.on('error', reject);
    const stream = session.request(
      {
        ':method': sent.method ?? 'GET',
        ':path': sent.path ?? '/',
        ...toRecord(sent.headers ?? []),
        ...(sent.expect ? { expect: '100-continue' } : {}),
      },
      { waitForTrailers: sent.trailers !== undefined, endStream: false },
    );
    const chunks: Buffer[] = [];
    let status = 0;
    let headers: string[] = [];
    let trailers: Record<string, unknown> = {};
    stream.on('headers', (fields) => interim.push(fields[':status'] as number));
    stream.on('continue', () => {
      interim.push(100);
      stream.end(sent.body);
    });
    stream.on('response', (fields, _flags, ...raw: unknown[]) => {
      status = fields[':status']!;
      headers = raw[0] as string[];
    });
    stream.on('trailers', (fields) => {
      trailers = fields;
    });
    stream.on('wantTrailers', () => stream.sendTrailers(sent.trailers!));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () => {
      session.close();
      if (stream.rstCode === 0 && status > 0)
        resolve({ status, headers, body: Buffer.concat(chunks), trailers, interim });
      else reject(new Error(`reset with ${stream.rstCode}`));
    });
    if (!sent.expect) stream.end(sent.body);
    sent.onSent?.(() => session.destroy());
  });
}

function valuesOf(headers: readonly string[], name: string): string[] {
  return headers.filter((_, i) => i % 2 === 1 && headers[i - 1] === name);
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const large = Buffer.alloc(5 << 20, 'tollgate ');

/** What every wire has to do, whatever it is made of. */
export function testWire(adapter: WireAdapter): void {
  const check = (
    title: string,
    answer: (exchange: Exchange) => void,
    run: (handler: RecordingHandler, ask: (sent?: SentRequest) => Promise<Response>) => Promise<void>,
  ): void => {
    test(`${adapter.name}: ${title}`, async () => {
      const handler = new RecordingHandler(answer);
      const { port, stop } = await adapter.start(handler);
      try {
        await run(handler, (sent = {}) => send(adapter, port, sent));
        assert.deepEqual(handler.faults, []);
        await handler.ends(handler.begun.length);
        assert.equal(new Set(handler.observed).size, handler.observed.length, 'each is observed once');
      } finally {
        await stop();
      }
    });
  };

  check(
    'a request arrives as it was sent and the answer as it was given',
    (exchange) =>
      exchange.answer(201, ['X-One', '1', 'Set-Cookie', 'a=b', 'Set-Cookie', 'c=d'], Buffer.from('made')),
    async ({ begun }, ask) => {
      const response = await ask({
        method: 'DELETE',
        path: '/a%2Fb?c=d&e',
        headers: ['x-two', '2', 'x-three', 'a, b'],
      });
      assert.equal(response.status, 201);
      assert.equal(response.body.toString(), 'made');
      assert.deepEqual(valuesOf(response.headers, 'x-one'), ['1']);
      assert.deepEqual(valuesOf(response.headers, 'set-cookie'), ['a=b', 'c=d']);
      assert.deepEqual(valuesOf(response.headers, 'content-length'), ['4']);
      assert.equal(valuesOf(response.headers, 'date').length, 1);
      const [exchange] = begun;
      assert.equal(exchange!.method, 'DELETE');
      assert.equal(exchange!.target, '/a%2Fb?c=d&e');
      assert.equal(exchange!.query, 'c=d&e');
      assert.equal(exchange!.header('x-two'), '2');
      assert.equal(exchange!.header('x-three'), 'a, b');
      assert.match(exchange!.host, /^127\.0\.0\.1:\d+$/);
      assert.equal(exchange!.remoteAddress, '127.0.0.1');
      assert.equal(exchange!.secure, adapter.secure);
      assert.equal(exchange!.httpVersion, adapter.protocol === 'h2' ? '2' : '1.1');
      for (let i = 0; i < exchange!.headers.length; i += 2)
        assert.match(exchange!.headers[i]!, /^[^:A-Z]+$/, 'names are in lower case, without pseudo-fields');
    },
  );

  check('bodies of all sizes come through whole', answerEcho, async (_handler, ask) => {
    for (const size of [0, 1, 100, 8192, 65_536, 1 << 20, large.length]) {
      const body = large.subarray(0, size);
      const response = await ask({ method: 'POST', headers: ['content-length', String(size)], body });
      assert.equal(digest(response.body), digest(body), `${size} bytes`);
    }
  });

  check('a streamed body flows through without being collected', streamEcho, async ({ begun }, ask) => {
    const headers = adapter.protocol === 'h2' ? [] : ['transfer-encoding', 'chunked'];
    const response = await ask({ method: 'POST', headers, body: large });
    assert.equal(digest(response.body), digest(large));
    assert.equal(begun[0]!.bodyLength, -1);
  });

  check('trailers pass in both directions', streamEcho, async (_handler, ask) => {
    const response = await ask({
      ...{ method: 'POST', body: Buffer.from('abc'), trailers: { 'x-sum': '3' } },
      headers: adapter.protocol === 'h2' ? [] : ['transfer-encoding', 'chunked', 'te', 'trailers'],
    });
    assert.equal(response.body.toString(), 'abc');
    assert.equal(response.trailers['x-sum'], '3');
  });

  check(
    'HEAD, 204 and 304 have no body',
    (exchange) => exchange.answer(Number(exchange.path.slice(1)), [], Buffer.from('body')),
    async (_handler, ask) => {
      for (const [method, path] of [
        ['HEAD', '/200'],
        ['GET', '/204'],
        ['GET', '/304'],
      ] as const) {
        const response = await ask({ method, path });
        assert.equal(response.status, Number(path.slice(1)));
        assert.equal(response.body.length, 0);
      }
      assert.equal((await ask({ path: '/200' })).body.toString(), 'body');
    },
  );

  check(
    'early hints come before the answer',
    (exchange) => {
      exchange.onInformation(103, ['link', '</a>; rel=preload']);
      setImmediate(() => exchange.answer(200, [], null));
    },
    async (_handler, ask) => {
      const response = await ask();
      assert.equal(response.status, 200);
      assert.deepEqual(response.interim, [103]);
    },
  );

  check('a body that waits for 100 Continue is asked for', answerEcho, async (_handler, ask) => {
    const response = await ask({
      method: 'POST',
      body: Buffer.from('abc'),
      headers: ['content-length', '3'],
      expect: true,
    });
    assert.equal(response.body.toString(), 'abc');
    assert.ok(response.interim.includes(100));
  });

  check(
    'a client that leaves aborts its exchange',
    () => undefined,
    async (handler, ask) => {
      const asked = ask({ onSent: (abort) => void handler.begins(1).then(abort) });
      await assert.rejects(asked);
      await handler.ends(1);
      assert.equal(handler.observed[0]!.aborted, true);
    },
  );

  for (const length of [10, -1]) {
    check(
      `an answer that breaks off does not look whole (${length < 0 ? 'unknown' : 'known'} length)`,
      (exchange) => {
        exchange.sendHead(200, [], length);
        exchange.sendData(Buffer.from('ab'));
        setImmediate(() => exchange.abandon());
      },
      async (handler, ask) => {
        await assert.rejects(ask());
        await handler.ends(1);
        assert.equal(handler.observed[0]!.aborted, true);
      },
    );
  }

  check(
    'an answer may come before the body has been read',
    (exchange) => exchange.answer(403, [], Buffer.from('no')),
    async (_handler, ask) => {
      const response = await ask({
        method: 'POST',
        body: Buffer.from('abc'),
        headers: ['content-length', '3'],
      });
      assert.equal(response.status, 403);
      assert.equal(response.body.toString(), 'no');
    },
  );

  check(
    'a slow reader is waited for',
    (exchange) => {
      let left = 64;
      const pump = (): void => {
        while (left > 0) {
          left--;
          if (!exchange.sendData(Buffer.alloc(65_536, left))) return;
        }
        exchange.sendEnd(null);
      };
      exchange.source = { pause() {}, resume: pump, abort() {} };
      exchange.sendHead(200, [], 64 * 65_536);
      pump();
    },
    async (_handler, ask) => {
      const response = await ask();
      assert.equal(response.body.length, 64 * 65_536);
      for (let i = 0; i < 64; i++) assert.equal(response.body[i * 65_536], 63 - i);
    },
  );
}
