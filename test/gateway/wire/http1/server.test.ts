import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import type { Exchange } from '../../../../gateway/exchange.ts';
import type { Http1Connection } from '../../../../gateway/wire/http1/connection.ts';
import { WireServer, type WireServerOptions } from '../../../../gateway/wire/http1/server.ts';
import { TimerWheel } from '../../../../gateway/wire/timers/timer-wheel.ts';
import { connectWire, type WireClient } from '../../../support/wire-client.ts';
import { answerEcho, answerHello, RecordingHandler } from '../recording-handler.ts';

interface Fixture {
  readonly handler: RecordingHandler;
  readonly server: WireServer;
  readonly port: number;
  connect(): Promise<WireClient>;
  /** Lets time pass for the server. */
  pass(ms: number): void;
}

async function start(
  t: TestContext,
  answer: (exchange: Exchange) => void,
  options: WireServerOptions = {},
): Promise<Fixture> {
  let now = 0;
  const wheel = new TimerWheel(100, () => now);
  const handler = new RecordingHandler(answer);
  const server = new WireServer(handler, { wheel, ...options });
  const port = await server.listen({ port: 0, host: '127.0.0.1' });
  const clients: WireClient[] = [];
  t.after(async () => {
    for (const client of clients) client.destroy();
    await server.close();
    wheel.stop();
  });
  const connect = async (): Promise<WireClient> => {
    const client = await connectWire(port);
    clients.push(client);
    return client;
  };
  const pass = (ms: number): void => {
    now += ms;
    wheel.advance();
  };
  return { handler, server, port, connect, pass };
}

const get = (target: string, ...lines: string[]): string =>
  `${[`GET ${target} HTTP/1.1`, 'Host: a', ...lines].join('\r\n')}\r\n\r\n`;

/** Resolves when the server has seen the client's FIN. */
async function untilHalfClosed(exchange: Exchange): Promise<void> {
  const { socket } = exchange.downstream as Http1Connection;
  if (!socket.readableEnded) await once(socket, 'end');
}

/** Keeps exchanges to be answered later. */
function hold(_exchange: Exchange): void {}

test('requests on one connection are answered in order, however late the first answer comes', async (t) => {
  const { handler, connect } = await start(t, hold);
  const client = await connect();
  client.send(get('/1') + get('/2') + get('/3'));
  await handler.begins(1);
  assert.equal(handler.begun.length, 1, 'the next request waits for its turn');
  for (const target of ['/1', '/2', '/3']) {
    const exchange = handler.begun.at(-1)!;
    assert.equal(exchange.target, target);
    answerHello(exchange);
    assert.equal((await client.readResponse()).body.toString(), `hello ${target}`);
  }
});

test('what a client pipelines behind a slow request is not read without bound', async (t) => {
  const { handler, connect } = await start(t, hold);
  const client = await connect();
  const flood = Buffer.from(get(`/${'x'.repeat(4000)}`).repeat(2000));
  client.socket.write(get('/first'));
  await handler.begins(1);
  client.socket.write(flood);
  const [exchange] = handler.begun;
  const { socket } = exchange!.downstream as Http1Connection;
  while (!socket.isPaused()) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(socket.bytesRead < 1_000_000, `${socket.bytesRead} bytes read`);
  handler.answer = answerHello;
  answerHello(exchange!);
  await handler.ends(2001);
});

test('answers that a client does not read stop its requests, and arrive whole and in order when it does', async (t) => {
  const bodyOf = (target: string): Buffer => Buffer.alloc(8000, `${target} `);
  const { handler, connect } = await start(t, (exchange) =>
    exchange.answer(200, [], bodyOf(exchange.target)),
  );
  const client = await connect();
  const targets = Array.from({ length: 3000 }, (_, i) => `/${i}`);
  client.socket.pause();
  client.send(targets.map((target) => get(target)).join(''));
  let before = -1;
  for (let still = 0; still < 100; still = handler.begun.length === before ? still + 1 : 0) {
    before = handler.begun.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(before > 0 && before < targets.length, `${before} of ${targets.length} answered unread`);
  client.socket.resume();
  for (const target of targets) {
    const { body } = await client.readResponse();
    assert.ok(body.equals(bodyOf(target)), target);
  }
});

test('a client that has closed its sending side still gets every answer', async (t) => {
  const { handler, connect } = await start(t, hold);
  const client = await connect();
  client.socket.end(get('/1') + get('/2'));
  await handler.begins(1);
  answerHello(handler.begun[0]!);
  await handler.begins(2);
  await untilHalfClosed(handler.begun[1]!);
  answerHello(handler.begun[1]!);
  assert.equal((await client.readResponse()).body.toString(), 'hello /1');
  const last = await client.readResponse();
  assert.equal(last.body.toString(), 'hello /2');
  assert.equal(last.header('connection'), 'close');
  await client.closed;
});

test('a client that has closed its sending side and gets no answer in time counts as gone', async (t) => {
  const { handler, connect, pass } = await start(t, hold, { halfCloseMs: 2000 });
  const client = await connect();
  client.socket.end(get('/1'));
  await handler.begins(1);
  await untilHalfClosed(handler.begun[0]!);
  pass(2300);
  await handler.ends(1);
  assert.equal(handler.observed[0]!.aborted, true);
});

test('a client that leaves ends its exchange at once', async (t) => {
  const { handler, connect } = await start(t, hold);
  const client = await connect();
  client.send(get('/1'));
  await handler.begins(1);
  client.socket.resetAndDestroy();
  await handler.ends(1);
  assert.equal(handler.observed[0]!.aborted, true);
});

test('HTTP/1.0 closes unless keep-alive is asked for', async (t) => {
  const { connect } = await start(t, answerHello);
  const closing = await connect();
  closing.send('GET /1 HTTP/1.0\r\n\r\n');
  const first = await closing.readResponse();
  assert.equal(first.header('connection'), 'close');
  await closing.closed;
  const keeping = await connect();
  keeping.send('GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
  assert.equal((await keeping.readResponse()).header('connection'), 'keep-alive');
  keeping.send('GET /2 HTTP/1.0\r\n\r\n');
  assert.equal((await keeping.readResponse()).body.toString(), 'hello /2');
});

test('a body of unknown length goes chunked to HTTP/1.1 and ends with the connection for HTTP/1.0', async (t) => {
  const { connect } = await start(t, (exchange) => {
    exchange.sendHead(200, [], -1);
    exchange.sendData(Buffer.from('ab'));
    exchange.sendData(Buffer.from('c'));
    exchange.sendEnd(['X-Sum', '3']);
  });
  const client = await connect();
  client.send(get('/'));
  const chunked = await client.readResponse();
  assert.equal(chunked.header('transfer-encoding'), 'chunked');
  assert.equal(chunked.body.toString(), 'abc');
  assert.deepEqual(chunked.trailers, ['X-Sum', '3']);
  const old = await connect();
  old.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
  const plain = await old.readResponse();
  assert.equal(plain.header('transfer-encoding'), undefined);
  assert.equal(plain.header('connection'), 'close');
  assert.equal(plain.body.toString(), 'abc');
});

test('a response broken off never looks whole', async (t) => {
  const broken = (length: number) => (exchange: Exchange) => {
    exchange.sendHead(200, [], length);
    exchange.sendData(Buffer.from('ab'));
    setImmediate(() => exchange.abandon());
  };
  const { handler, connect } = await start(t, broken(10));
  for (const [request, length] of [
    [get('/'), 10],
    [get('/'), -1],
    ['GET / HTTP/1.0\r\n\r\n', -1],
  ] as const) {
    handler.answer = broken(length);
    const client = await connect();
    let reset = false;
    client.socket.on('error', () => {
      reset = true;
    });
    client.send(request);
    if (request.includes('1.0')) {
      await client.closed;
      assert.ok(reset, 'the end of an unframed body is a reset');
    } else await assert.rejects(client.readResponse());
  }
});

test('more or fewer bytes than promised break the connection', async (t) => {
  for (const sent of ['abc', 'a']) {
    const { handler, connect } = await start(t, (exchange) => {
      exchange.sendHead(200, [], 2);
      exchange.sendData(Buffer.from(sent));
      exchange.sendEnd(null);
    });
    const client = await connect();
    client.send(get('/'));
    await client.closed;
    assert.equal(handler.observed[0]!.aborted, true);
  }
});

test('HEAD, 204 and 304 carry no body, and 204 no length', async (t) => {
  const { connect } = await start(t, (exchange) =>
    exchange.answer(
      Number(exchange.target.slice(1)),
      [],
      exchange.target === '/304' ? null : Buffer.from('body'),
    ),
  );
  const client = await connect();
  for (const [method, status, length] of [
    ['HEAD', 200, '4'],
    ['GET', 204, undefined],
    ['GET', 304, undefined],
    ['GET', 200, '4'],
  ] as const) {
    client.send(`${method} /${status} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const response = await client.readResponse({ method });
    assert.equal(response.status, status);
    assert.equal(response.header('content-length'), length);
    assert.equal(response.body.length, method === 'GET' && status === 200 ? 4 : 0);
  }
});

test('header values cannot begin lines of their own', async (t) => {
  const { connect } = await start(t, (exchange) =>
    exchange.answer(200, ['X-A', 'a\r\nX-B: b', 'X-C', '\u010d\u010aX-D: d'], null),
  );
  const client = await connect();
  client.send(get('/'));
  const response = await client.readResponse();
  assert.equal(response.header('x-a'), 'aX-B: b');
  assert.equal(response.header('x-c'), 'X-D: d');
  assert.equal(response.header('x-b'), undefined);
  assert.equal(response.header('x-d'), undefined);
});

test('framing fields of the answer are replaced by the wire’s own', async (t) => {
  const { connect } = await start(t, (exchange) =>
    exchange.answer(
      200,
      ['Content-Length', '99', 'transfer-encoding', 'chunked', 'Connection', 'x'],
      Buffer.from('ab'),
    ),
  );
  const client = await connect();
  client.send(get('/'));
  const response = await client.readResponse();
  assert.equal(response.head.match(/content-length/gi)!.length, 1);
  assert.equal(response.header('transfer-encoding'), undefined);
  assert.equal(response.header('connection'), undefined);
  assert.equal(response.body.toString(), 'ab');
});

test('a body that has arrived with its head is handed over at once, another one is collected', async (t) => {
  const { handler, connect } = await start(t, answerEcho);
  const client = await connect();
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc');
  assert.equal((await client.readResponse()).body.toString(), 'abc');
  assert.equal(handler.begun[0]!.body!.toString(), 'abc');
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc');
  await handler.begins(2);
  client.send('def');
  assert.equal((await client.readResponse()).body.toString(), 'abcdef');
  client.send(
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n',
  );
  assert.equal((await client.readResponse()).body.toString(), 'abc');
});

test('a body kept by its receiver is not overwritten by what comes later', async (t) => {
  const kept: Buffer[] = [];
  const { connect } = await start(t, (exchange) => {
    kept.push(exchange.downstream.takeBody()!);
    answerHello(exchange);
  });
  const client = await connect();
  for (const letter of 'abcdef') {
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n${letter.repeat(100)}`);
    await client.readResponse();
  }
  assert.deepEqual(
    kept.map(String),
    [...'abcdef'].map((letter) => letter.repeat(100)),
  );
});

test('100 Continue is sent when the body is asked for, and not when it has arrived', async (t) => {
  const { handler, connect } = await start(t, answerEcho);
  const client = await connect();
  client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n');
  await handler.begins(1);
  client.send('ab');
  assert.equal((await client.readResponse()).body.toString(), 'ab');
  assert.deepEqual(
    client.interim.map(({ status }) => status),
    [100],
  );
  client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\ncd');
  assert.equal((await client.readResponse()).body.toString(), 'cd');
  assert.equal(client.interim.length, 1);
});

test('a refusal in place of 100 Continue closes the connection', async (t) => {
  const { connect } = await start(t, (exchange) => exchange.answer(413, [], null));
  const client = await connect();
  client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n');
  const response = await client.readResponse();
  assert.equal(response.status, 413);
  assert.equal(response.header('connection'), 'close');
  assert.equal(client.interim.length, 0);
  await client.closed;
});

test('a short unread body is thrown away and the connection kept; a long one closes it, and the client sees the answer', async (t) => {
  const { connect } = await start(t, (exchange) => exchange.answer(401, [], Buffer.from('no')));
  const client = await connect();
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345');
  assert.equal((await client.readResponse()).header('connection'), undefined);
  client.send(`67890${get('/next')}`);
  assert.equal((await client.readResponse()).status, 401);
  const long = await connect();
  long.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n');
  long.send('x'.repeat(600_000));
  const response = await long.readResponse();
  assert.equal(response.header('connection'), 'close');
  assert.equal(response.body.toString(), 'no');
});

test('OPTIONS * is answered by the server itself', async (t) => {
  const { handler, connect } = await start(t, answerHello);
  const client = await connect();
  client.send('OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal((await client.readResponse()).status, 204);
  client.send(get('/next'));
  assert.equal((await client.readResponse()).status, 200);
  assert.equal(handler.begun.length, 1);
});

test('an unfinished head is answered 408, an idle connection closed silently', async (t) => {
  const { handler, connect, pass, server } = await start(t, answerHello, {
    headTimeoutMs: 1000,
    keepAliveTimeoutMs: 5000,
  });
  const slow = await connect();
  slow.send('GET / HTTP/1.1\r\nHos');
  const idle = await connect();
  idle.send(get('/'));
  await idle.readResponse();
  const silent = await connect();
  while (server.connections < 3) await new Promise((resolve) => setImmediate(resolve));
  // The unfinished head arrived before the answered request; its bytes have been read by now.
  pass(1300);
  const response = await slow.readResponse();
  assert.equal(response.status, 408);
  assert.equal(response.header('connection'), 'close');
  assert.equal((await silent.readToEnd()).length, 0);
  pass(4000);
  assert.equal((await idle.readToEnd()).length, 0);
  assert.equal(handler.begun.length, 1);
});

test('a head that trickles in is cut off in total, not between bytes', async (t) => {
  const { connect, pass, server } = await start(t, answerHello, { headTimeoutMs: 1000 });
  const client = await connect();
  for (const letter of 'GET / HT') {
    client.send(letter);
    while (server.connections < 1) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    pass(200);
  }
  const end = await client.readToEnd();
  assert.match(end.toString(), /^(?:HTTP\/1\.1 408|$)/);
});

test('a body that stops coming is answered 408', async (t) => {
  const { handler, connect, pass } = await start(t, answerEcho, { bodyIdleTimeoutMs: 1000 });
  const client = await connect();
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345');
  await handler.begins(1);
  pass(1300);
  const response = await client.readResponse();
  assert.equal(response.status, 408);
  await client.closed;
  assert.equal(handler.observed.length, 1);
});

test('a client that reads nothing of its answer is cut off', async (t) => {
  const { handler, connect, pass } = await start(
    t,
    (exchange) => {
      exchange.sendHead(200, [], -1);
      while (exchange.sendData(Buffer.alloc(65_536)));
    },
    { writeIdleTimeoutMs: 1000 },
  );
  const client = await connect();
  client.socket.pause();
  client.send(get('/'));
  await handler.begins(1);
  pass(1300);
  await handler.ends(1);
  assert.equal(handler.observed[0]!.aborted, true);
});

test('connections beyond the limit, in all or from one address, are turned away with 503', async (t) => {
  for (const options of [{ maxConnections: 2 }, { maxConnectionsPerAddress: 2 }]) {
    const { connect, server } = await start(t, answerHello, options);
    const [first] = await Promise.all([connect(), connect()]);
    while (server.connections < 2) await new Promise((resolve) => setImmediate(resolve));
    const third = await connect();
    const refused = await third.readResponse();
    assert.equal(refused.status, 503);
    assert.equal((refused.json() as { code: string }).code, 'overloaded');
    first!.destroy();
    while (server.connections > 1) await new Promise((resolve) => setImmediate(resolve));
    const fourth = await connect();
    fourth.send(get('/'));
    assert.equal((await fourth.readResponse()).status, 200);
  }
});

test('closing lets the request under way end, closes idle connections and accepts no more', async (t) => {
  const { handler, connect, server, port } = await start(t, hold);
  const idle = await connect();
  const busy = await connect();
  busy.send(get('/1') + get('/2'));
  await handler.begins(1);
  const closed = server.close(5000);
  assert.equal((await idle.readToEnd()).length, 0);
  idle.destroy();
  await assert.rejects(connectWire(port));
  answerHello(handler.begun[0]!);
  const response = await busy.readResponse();
  assert.equal(response.header('connection'), 'close');
  await busy.closed;
  await closed;
  assert.equal(handler.begun.length, 1, 'the pipelined request behind it is not begun');
});

test('an upgraded connection carries bytes both ways, those sent early included', async (t) => {
  const { handler, connect } = await start(t, (exchange) => {
    assert.equal(exchange.upgrade, 'echo');
    const { socket, head } = exchange.downstream.switchProtocols(['Upgrade', 'echo']);
    socket.write(head);
    socket.pipe(socket);
  });
  const client = await connect();
  client.send(`${get('/', 'Connection: upgrade', 'Upgrade: echo')}early`);
  const response = await client.readResponse();
  assert.equal(response.status, 101);
  assert.equal(response.header('upgrade'), 'echo');
  assert.equal(response.header('connection'), 'Upgrade');
  client.send(' and late');
  client.socket.end();
  assert.equal((await client.readToEnd()).toString(), 'early and late');
  assert.equal(handler.begun.length, 1);
});

test('an early hint comes before the answer, and not for HTTP/1.0', async (t) => {
  const { connect } = await start(t, (exchange) => {
    exchange.onInformation(103, ['Link', '</a>']);
    answerHello(exchange);
  });
  const client = await connect();
  client.send(get('/'));
  assert.equal((await client.readResponse()).status, 200);
  assert.deepEqual(
    client.interim.map(({ status, header }) => [status, header('link')]),
    [[103, '</a>']],
  );
  const old = await connect();
  old.send('GET / HTTP/1.0\r\n\r\n');
  await old.readResponse();
  assert.equal(old.interim.length, 0);
});
