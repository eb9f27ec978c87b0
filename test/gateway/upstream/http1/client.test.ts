import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type TestContext, test } from 'node:test';
import type {
  Upstream,
  UpstreamFailure,
  UpstreamHandler,
  UpstreamRequest,
} from '../../../../gateway/upstream/client.ts';
import { Http1Client, type Http1ClientOptions } from '../../../../gateway/upstream/http1/client.ts';
import { TimerWheel } from '../../../../gateway/wire/timers/timer-wheel.ts';
import {
  dieMidBody,
  echo,
  hangUp,
  reply,
  sendRaw,
  startUpstream,
  type TestUpstream,
} from '../../../support/upstream.ts';

interface Outcome {
  status: number;
  headers: string[];
  bodyLength: number;
  body: Buffer;
  trailers: string[] | null;
  interim: number[];
  error: UpstreamFailure | null;
  upgrade: { socket: Duplex; head: Buffer } | null;
}

/** Collects one response. */
class Collector implements UpstreamHandler {
  readonly outcome: Outcome = {
    ...{ status: 0, headers: [], bodyLength: 0, body: Buffer.alloc(0), trailers: null, interim: [] },
    error: null,
    upgrade: null,
  };
  readonly done: Promise<Outcome>;
  readonly headArrived: Promise<void>;
  drains = 0;
  flowing = true;
  received = 0;
  #resolve!: (outcome: Outcome) => void;
  #onHeadArrived!: () => void;
  readonly #chunks: Buffer[] = [];

  constructor() {
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.headArrived = new Promise((resolve) => {
      this.#onHeadArrived = resolve;
    });
  }
  onInformation(status: number): void {
    this.outcome.interim.push(status);
  }
  onHead(status: number, headers: string[], bodyLength: number): void {
    Object.assign(this.outcome, { status, headers, bodyLength });
    this.#onHeadArrived();
  }
  onData(chunk: Buffer): boolean {
    this.#chunks.push(chunk);
    this.received += chunk.length;
    return this.flowing;
  }
  onEnd(trailers: string[] | null): void {
    this.outcome.trailers = trailers;
    this.outcome.body = Buffer.concat(this.#chunks);
    this.#resolve(this.outcome);
  }
  onError(failure: UpstreamFailure): void {
    this.outcome.error = failure;
    this.#resolve(this.outcome);
  }
  onDrain(): void {
    this.drains++;
  }
  onUpgrade(headers: string[], socket: Duplex, head: Buffer): void {
    this.outcome.headers = headers;
    this.outcome.upgrade = { socket, head };
    this.#resolve(this.outcome);
  }
}

interface Fixture {
  readonly client: Http1Client;
  readonly target: Upstream;
  readonly upstream: TestUpstream;
  send(request?: Partial<UpstreamRequest>): Promise<Outcome>;
  open(request?: Partial<UpstreamRequest>): { collector: Collector; call: ReturnType<Http1Client['send']> };
  pass(ms: number): void;
}

function describe(port: number, more: Partial<Upstream> = {}): Upstream {
  return {
    origin: `http://127.0.0.1:${port}`,
    secure: false,
    hostname: '127.0.0.1',
    port,
    authority: `127.0.0.1:${port}`,
    http2: false,
    connectTimeoutMs: 1000,
    responseTimeoutMs: 2000,
    idleTimeoutMs: 2000,
    ...more,
  };
}

const plainRequest: UpstreamRequest = {
  ...{ method: 'GET', path: '/', headers: ['host', 'a'], bodyLength: 0, body: null, upgrade: null },
};

async function start(t: TestContext, options: Http1ClientOptions = {}): Promise<Fixture> {
  let now = 0;
  const wheel = new TimerWheel(100, () => now);
  const upstream = await startUpstream(echo);
  const client = new Http1Client({ wheel, ...options });
  const target = describe(upstream.port);
  t.after(async () => {
    await upstream.stop();
    await client.close();
    wheel.stop();
  });
  const open: Fixture['open'] = (request = {}) => {
    const collector = new Collector();
    const call = client.send(target, { ...plainRequest, ...request }, collector);
    return { collector, call };
  };
  return {
    ...{ client, target, upstream, open },
    send: (request) => open(request).collector.done,
    pass: (ms) => {
      now += ms;
      wheel.advance();
    },
  };
}

const body = (outcome: Outcome): { method: string; headers: Record<string, string>; body: string } =>
  JSON.parse(outcome.body.toString());

test('one connection carries requests one after the other', async (t) => {
  const { send, upstream } = await start(t);
  for (let i = 0; i < 5; i++) assert.equal((await send()).status, 200);
  assert.equal(upstream.connections(), 1);
});

test('the connection used last is used first', async (t) => {
  const { send, upstream, client, target } = await start(t);
  await Promise.all([send(), send(), send()]);
  const opened = upstream.connections();
  const used = new Set<Socket>();
  upstream.handle((request, socket) => {
    used.add(socket);
    echo(request, socket);
  });
  for (let i = 0; i < 5; i++) await send();
  assert.equal(used.size, 1);
  assert.equal(upstream.connections(), opened);
  assert.equal(client.pool(target).idle, opened);
});

test('a whole body goes out with its length, a streamed one chunked with its trailers', async (t) => {
  const { send, open, upstream } = await start(t);
  const whole = body(await send({ method: 'POST', body: Buffer.from('abc'), bodyLength: 3 }));
  assert.deepEqual([whole.body, whole.headers['content-length']], ['abc', '3']);
  const { collector, call } = open({ method: 'POST', bodyLength: -1 });
  call.write(Buffer.from('de'));
  call.write(Buffer.from('f'));
  call.end(['x-sum', '3']);
  const streamed = body(await collector.done);
  assert.deepEqual([streamed.body, streamed.headers['transfer-encoding']], ['def', 'chunked']);
  assert.equal(upstream.connections(), 1);
  const sized = open({ method: 'PUT', bodyLength: 4 });
  sized.call.write(Buffer.from('ghij'));
  sized.call.end(null);
  assert.equal(body(await sized.collector.done).body, 'ghij');
  assert.equal(body(await send({ method: 'POST' })).headers['content-length'], '0');
  assert.equal(body(await send()).headers['content-length'], undefined);
});

test('fields that would frame the request otherwise, or begin a line, do not go out', async (t) => {
  const { send, upstream } = await start(t);
  await send({
    headers: ['host', 'a', 'content-length', '9', 'Transfer-Encoding', 'chunked', 'x', 'a\r\nx-y: b'],
  });
  const [request] = upstream.requests;
  assert.equal(request!.header('content-length'), undefined);
  assert.equal(request!.header('transfer-encoding'), undefined);
  assert.equal(request!.header('x-y'), undefined);
  assert.equal(request!.header('x'), 'ax-y: b');
  assert.equal((await send({ path: '/a b' })).error, 'invalid');
  assert.equal((await send({ path: '/a\r\nb: c' })).error, 'invalid');
  assert.equal(upstream.requests.length, 1);
});

test('an idle connection that says something, or ends, is not used again', async (t) => {
  const { send, upstream, client, target } = await start(t);
  for (const disturb of [
    (socket: Socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'),
    (socket: Socket) => void socket.end(),
    (socket: Socket) => void socket.resetAndDestroy(),
  ]) {
    await send();
    for (const socket of upstream.sockets) disturb(socket);
    while (client.pool(target).idle > 0) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(body(await send()).method, 'GET');
  }
});

test('bytes behind a response are not taken for the next one', async (t) => {
  const { send, upstream } = await start(t);
  upstream.handle(
    sendRaw('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'),
  );
  assert.equal((await send()).body.toString(), 'ok');
  upstream.handle(echo);
  assert.equal(body(await send()).method, 'GET');
  assert.equal(upstream.connections(), 2);
});

test('a request that fails on a reused connection before any byte of an answer is sent again once, if that is safe', async (t) => {
  const { send, upstream } = await start(t);
  for (const [request, expected] of [
    [{ method: 'GET' }, 200],
    [{ method: 'PUT', body: Buffer.from('a'), bodyLength: 1 }, 200],
    [{ method: 'POST', body: Buffer.from('a'), bodyLength: 1 }, 'reset'],
  ] as const) {
    upstream.handle(echo);
    await send();
    let first = true;
    upstream.handle((received, socket) => {
      if (first) hangUp(received, socket);
      else echo(received, socket);
      first = false;
    });
    const outcome = await send(request);
    assert.equal(outcome.error ?? outcome.status, expected, request.method);
  }
  upstream.handle(echo);
  await send();
  upstream.handle(hangUp);
  assert.equal((await send()).error, 'reset', 'not a second time');
});

test('what a target does wrong is told apart', async (t) => {
  const { send, upstream, client } = await start(t);
  upstream.handle(hangUp);
  assert.equal((await send()).error, 'reset');
  upstream.handle(sendRaw('HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\n\r\n'));
  assert.equal((await send()).error, 'invalid');
  upstream.handle(sendRaw('HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: y\r\n\r\n'));
  assert.equal((await send()).error, 'invalid');
  upstream.handle(dieMidBody(100, 10));
  const cut = await send();
  assert.deepEqual([cut.status, cut.error], [200, 'reset']);
  const unreachable = new Collector();
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  client.send(describe(port), plainRequest, unreachable);
  assert.equal((await unreachable.done).error, 'unreachable');
});

test('silence before the head, and within the body, is a timeout', async (t) => {
  const { open, upstream, pass } = await start(t);
  upstream.handle(() => {});
  const silent = open();
  while (upstream.requests.length < 1) await new Promise((resolve) => setImmediate(resolve));
  pass(2300);
  assert.equal((await silent.collector.done).error, 'timeout');
  upstream.handle((_request, socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab'));
  const stalled = open();
  await stalled.collector.headArrived;
  pass(2300);
  assert.equal((await stalled.collector.done).error, 'timeout');
});

test('a target that never accepts is unreachable when the time to connect is over', async (t) => {
  const { client, pass } = await start(t);
  const collector = new Collector();
  // A network for documentation (RFC 5737): nothing answers, or the host says at once that it is unreachable.
  client.send(describe(9, { hostname: '192.0.2.1' }), plainRequest, collector);
  pass(1300);
  assert.equal((await collector.done).error, 'unreachable');
});

test('a response may end with its connection, and interim ones come before it', async (t) => {
  const { send, upstream } = await start(t);
  upstream.handle((_request, socket) => {
    socket.end(
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall there is',
    );
  });
  const outcome = await send();
  assert.equal(outcome.body.toString(), 'all there is');
  assert.equal(outcome.bodyLength, -1);
  assert.deepEqual(outcome.interim, [103]);
});

test('a paused response stops coming, and goes on when resumed', async (t) => {
  const { open, upstream } = await start(t);
  const size = 32 << 20;
  upstream.handle((_request, socket) => reply(socket, 200, {}, Buffer.alloc(size, 'x')));
  const { collector, call } = open();
  collector.flowing = false;
  await collector.headArrived;
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(collector.received < 1 << 20, `${collector.received} bytes despite the pause`);
  collector.flowing = true;
  call.resume();
  assert.equal((await collector.done).body.length, size);
});

test('pieces that are kept are not overwritten by later reads', async (t) => {
  const { send, upstream } = await start(t);
  upstream.handle((request, socket) => reply(socket, 200, {}, request.target.slice(1).repeat(1000)));
  const outcomes = [];
  for (const letter of ['a', 'b', 'c', 'd']) outcomes.push(await send({ path: `/${letter}` }));
  assert.deepEqual(
    outcomes.map((outcome) => outcome.body.toString()),
    ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(1000)),
  );
});

test('an aborted call closes its connection and hears no more', async (t) => {
  const { open, upstream } = await start(t);
  upstream.handle(() => {});
  const { collector, call } = open();
  while (upstream.requests.length < 1) await new Promise((resolve) => setImmediate(resolve));
  call.abort();
  while (upstream.sockets.size > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([collector.outcome.status, collector.outcome.error], [0, null]);
  const waiting = open();
  waiting.call.abort();
});

test('connections to a target are bounded; further requests wait, up to a bound', async (t) => {
  const { send, upstream, client, target } = await start(t, { maxConnections: 2, maxWaiting: 3 });
  const held: (() => void)[] = [];
  upstream.handle((request, socket) => void held.push(() => echo(request, socket)));
  const all = [send(), send()];
  while (held.length < 2) await new Promise((resolve) => setImmediate(resolve));
  all.push(send(), send(), send());
  assert.equal(client.pool(target).connections, 2);
  assert.equal((await send()).error, 'unreachable');
  let answered = 0;
  while (answered < 5) {
    for (const answer of held.splice(0)) {
      answered++;
      answer();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (const outcome of await Promise.all(all)) assert.equal(outcome.status, 200);
  assert.equal(upstream.connections(), 2);
});

test('an upgraded connection is handed over with what came early', async (t) => {
  const { send, upstream } = await start(t);
  upstream.handle((request, socket) => {
    assert.equal(request.header('upgrade'), 'echo');
    assert.equal(request.header('connection'), 'upgrade');
    socket.write('HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly');
    socket.removeAllListeners('data');
    socket.on('data', (chunk) => socket.write(chunk));
  });
  const { upgrade, headers } = await send({ upgrade: 'echo' });
  assert.deepEqual(headers, ['upgrade', 'echo']);
  assert.equal(upgrade!.head.toString(), 'early');
  upgrade!.socket.write('hello');
  const [echoed] = (await new Promise((resolve) =>
    upgrade!.socket.once('data', (chunk) => resolve([chunk])),
  )) as [Buffer];
  assert.equal(echoed.toString(), 'hello');
  upgrade!.socket.destroy();
});

test('a target that announces a short keep-alive is not reused after it', async (t) => {
  const { send, upstream, client, target, pass } = await start(t);
  upstream.handle((_request, socket) => reply(socket, 200, { 'Keep-Alive': 'timeout=5' }, ''));
  await send();
  pass(3500);
  assert.equal(client.pool(target).idle, 1);
  pass(1000);
  while (upstream.sockets.size > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(client.pool(target).idle, 0);
});

test('memory of pieces is used again only when nothing holds them', async (t) => {
  const { client, target, upstream } = await start(t);
  const size = 4 << 20;
  const body = Buffer.alloc(size);
  for (let i = 0; i < size; i += 4) body.writeUInt32BE(i, i);
  upstream.handle((_request, socket) => reply(socket, 200, {}, body));
  for (const holds of [true, false]) {
    const collector = new Collector();
    let copied = Buffer.alloc(0);
    const parts: Buffer[] = [];
    const handler: UpstreamHandler = Object.assign(
      {
        onInformation: () => undefined,
        onHead: () => undefined,
        onError: (failure: UpstreamFailure) => collector.onError(failure),
        onDrain: () => undefined,
        onUpgrade: () => undefined,
      },
      {
        onData: (chunk: Buffer) => {
          parts.push(holds ? chunk : Buffer.from(chunk));
          return true;
        },
        onEnd: () => {
          copied = Buffer.concat(parts);
          collector.onEnd(null);
        },
        ...(holds ? {} : { released: () => true }),
      },
    );
    client.send(target, plainRequest, handler);
    await collector.done;
    assert.ok(copied.equals(body));
  }
});
