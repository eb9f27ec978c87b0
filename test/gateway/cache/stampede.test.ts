import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { CachePolicy } from '#contract/cache.ts';
import { ResponseCache } from '../../../gateway/cache/response-cache.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { startUpstream, type TestUpstream, type UpstreamRequest } from '../../support/upstream.ts';
import {
  ConnectionEnded,
  connectWire,
  type WireClient,
  type WireResponse,
} from '../../support/wire-client.ts';

const clients = 1000;

interface Held {
  readonly request: UpstreamRequest;
  readonly socket: Socket;
}

let upstream: TestUpstream;
let gateway: TestGateway;
let cache: ResponseCache;
let wires: WireClient[];
/** Requests that the origin has and does not answer until told to. */
let held: Held[] = [];
let path = 0;
let nowMs = Date.UTC(2026, 0, 15);

before(async () => {
  upstream = await startUpstream((request, socket) => held.push({ request, socket }));
  cache = new ResponseCache({ maxBytes: 1 << 24, now: () => nowMs, metrics: null });
  const policy: CachePolicy = { maxObjectBytes: 100_000 };
  gateway = await startTestGateway({
    services: [
      { id: 'origin', targets: { live: [{ url: upstream.url }] }, retries: 0 },
      { id: 'gone', targets: { live: [{ url: 'http://127.0.0.1:9' }] }, retries: 0 },
      { id: 'silent', targets: { live: [{ url: upstream.url }] }, retries: 0, responseTimeoutMs: 1200 },
    ],
    routes: [
      { id: 'origin', service: 'origin', path: '/', authentication: 'none', cache: policy },
      { id: 'gone', service: 'gone', path: '/gone', authentication: 'none', cache: policy },
      { id: 'silent', service: 'silent', path: '/silent', authentication: 'none', cache: policy },
    ],
    now: () => nowMs,
    dependencies: { cache },
  });
  wires = await connectAll(clients);
});

after(async () => {
  for (const wire of wires) wire.destroy();
  await gateway.stop();
  await upstream.stop();
});

async function connectAll(count: number): Promise<WireClient[]> {
  const made: WireClient[] = [];
  while (made.length < count) {
    made.push(
      ...(await Promise.all(
        Array.from({ length: Math.min(100, count - made.length) }, () => connectWire(gateway.port)),
      )),
    );
  }
  return made;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

function seats(): number {
  let count = 0;
  for (const flight of cache.flights.values()) count += flight.seats;
  return count;
}

type Result = { readonly status: number; readonly body: string } | 'broken';

/** Every client asks for one resource at once; resolves when all of them wait for one flight. */
async function ask(
  prefix = '',
  lines: (index: number) => string = () => '',
): Promise<{ results: Promise<Result[]>; target: string }> {
  const target = `${prefix}/${path++}`;
  held = [];
  upstream.requests.length = 0;
  wires = await Promise.all(wires.map((wire) => (wire.socket.destroyed ? connectWire(gateway.port) : wire)));
  for (const [index, wire] of wires.entries()) {
    wire.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n${lines(index)}\r\n`);
  }
  const results = Promise.all(
    wires.map((wire) =>
      wire.readResponse().then(
        (response: WireResponse) => ({ status: response.status, body: response.body.toString() }),
        (error: unknown): 'broken' => {
          if (!(error instanceof ConnectionEnded)) throw error;
          wire.destroy();
          return 'broken';
        },
      ),
    ),
  );
  return { results, target };
}

function equal(results: readonly Result[], expected: Result | ((result: Result) => boolean)): void {
  assert.equal(results.length, clients);
  for (const result of results) {
    if (typeof expected === 'function') assert.ok(expected(result), JSON.stringify(result));
    else assert.deepEqual(result, expected);
  }
}

/** Every answer ends its connection: a request on one used before might rightly be sent twice. */
const head = 'HTTP/1.1 200 OK\r\nConnection: close\r\nCache-Control: max-age=60\r\n';

describe(`${clients} concurrent misses are one upstream request`, () => {
  test('and all get the answer, whole', async () => {
    const { results } = await ask();
    await until(() => seats() === clients && held.length === 1);
    held[0]!.socket.write(`${head}Content-Length: 5\r\n\r\nhello`);
    equal(await results, { status: 200, body: 'hello' });
    assert.equal(upstream.requests.length, 1);
    assert.equal(gateway.observed.filter(({ cacheState }) => cacheState === 'collapsed').length, clients - 1);
  });

  test('an answer in pieces reaches everyone as it comes', async () => {
    const { results } = await ask();
    await until(() => seats() === clients && held.length === 1);
    const { socket } = held[0]!;
    const arrived = Promise.all(
      wires.map((wire) => new Promise((resolve) => wire.socket.once('data', resolve))),
    );
    socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n`);
    await arrived;
    socket.write('3\r\ntwo\r\n0\r\n\r\n');
    equal(await results, { status: 200, body: 'onetwo' });
    assert.equal(upstream.requests.length, 1);
  });

  test('an answer larger than what is stored is shared by those who wait', async () => {
    const { results } = await ask();
    await until(() => seats() === clients && held.length === 1);
    const body = 'x'.repeat(150_000);
    held[0]!.socket.write(
      `${head}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
    );
    equal(await results, { status: 200, body });
    assert.equal(upstream.requests.length, 1);
  });

  test('when the origin cannot be reached', async () => {
    const { results } = await ask('/gone');
    equal(await results, (result) => result !== 'broken' && result.status === 502);
    assert.equal(cache.flights.size, 0);
  });

  test('when it closes without an answer', async () => {
    const { results } = await ask();
    await until(() => seats() === clients && held.length === 1);
    held[0]!.socket.destroy();
    equal(await results, (result) => result !== 'broken' && result.status === 502);
    assert.equal(upstream.requests.length, 1);
  });

  test('when it breaks off inside the head', async () => {
    const { results } = await ask();
    await until(() => seats() === clients && held.length === 1);
    held[0]!.socket.end('HTTP/1.1 200 OK\r\nCache-Con');
    equal(await results, (result) => result !== 'broken' && result.status === 502);
    assert.equal(upstream.requests.length, 1);
  });

  test('when its answer is not HTTP', async () => {
    const { results } = await ask();
    await until(() => seats() === clients && held.length === 1);
    held[0]!.socket.end('nonsense\r\n\r\n');
    equal(await results, (result) => result !== 'broken' && result.status === 502);
    assert.equal(upstream.requests.length, 1);
  });

  test('when it stays silent', async () => {
    const { results } = await ask('/silent');
    await until(() => held.length === 1);
    equal(await results, (result) => result !== 'broken' && result.status === 504);
    assert.equal(upstream.requests.length, 1);
    held[0]!.socket.destroy();
  });

  test('when it breaks off after the head', async () => {
    const { results } = await ask();
    await until(() => seats() === clients && held.length === 1);
    held[0]!.socket.end(`${head}Content-Length: 100\r\n\r\n`);
    equal(await results, (result) => result === 'broken');
    assert.equal(upstream.requests.length, 1);
  });

  test('when it breaks off inside the body', async () => {
    const { results, target } = await ask();
    await until(() => seats() === clients && held.length === 1);
    held[0]!.socket.end(`${head}Content-Length: 100\r\n\r\npart`);
    equal(await results, 'broken');
    assert.equal(upstream.requests.length, 1);
    assert.equal(cache.store.has(`a ${target}`), false);
  });

  test('when it breaks off between chunks', async () => {
    const { results, target } = await ask();
    await until(() => seats() === clients && held.length === 1);
    held[0]!.socket.end(`${head}Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n`);
    equal(await results, 'broken');
    assert.equal(upstream.requests.length, 1);
    assert.equal(cache.store.has(`a ${target}`), false);
  });

  test('the one that was first may leave: the others get their answer', async () => {
    const { results } = await ask();
    await until(() => seats() === clients && held.length === 1);
    const [flight] = cache.flights.values();
    const first = wires.find((_, index) => index === 0)!;
    first.destroy();
    await until(() => flight!.seats === clients - 1);
    held[0]!.socket.write(`${head}Content-Length: 5\r\n\r\nhello`);
    const all = await results;
    assert.equal(all.filter((result) => result !== 'broken' && result.body === 'hello').length, clients - 1);
    assert.equal(upstream.requests.length, 1);
  });

  test('when all leave, the upstream request is given up', async () => {
    const { results } = await ask();
    await until(() => seats() === clients && held.length === 1);
    const closed = new Promise((resolve) => held[0]!.socket.once('close', resolve));
    for (const wire of wires) wire.destroy();
    await closed;
    await results;
    assert.equal(cache.flights.size, 0);
  });
});

describe('an answer that is not for everyone', () => {
  test('goes to the first alone; the others are sent on, a few at a time', async () => {
    const { results } = await ask();
    await until(() => seats() === clients && held.length === 1);
    let most = 0;
    let answered = 0;
    const answer = ({ request, socket }: Held): void => {
      const body = `for ${request.header('x-request-id')}`;
      socket.write(
        `HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
      answered++;
    };
    for (;;) {
      most = Math.max(most, held.length);
      const batch = held;
      held = [];
      batch.forEach(answer);
      if (answered === clients) break;
      await until(() => held.length > 0);
      // Whatever else is on its way arrives before the next look.
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    const all = await results;
    assert.equal(
      new Set(all.map((result) => (result === 'broken' ? result : result.body))).size,
      clients,
      'nobody got what was made for another',
    );
    assert.equal(upstream.requests.length, clients);
    assert.ok(most <= 16, `${most} at once`);
  });

  test('by what selects it: each variant is asked for once', async () => {
    const { results } = await ask('', (index) => `X-Kind: ${index % 4}\r\n`);
    await until(() => seats() === clients && held.length === 1);
    const answer = ({ request, socket }: Held): void => {
      const body = `kind ${request.header('x-kind')}`;
      socket.write(`${head}Vary: X-Kind\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    };
    while (upstream.requests.length < 4 || held.length > 0) {
      held.splice(0).forEach(answer);
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const [index, result] of (await results).entries()) {
      assert.deepEqual(result, { status: 200, body: `kind ${index % 4}` });
    }
    assert.equal(upstream.requests.length, 4);
  });

  test('a second crowd does not wait for it', async () => {
    const target = `/${path++}`;
    held = [];
    const [first, second, third] = wires.filter(({ socket }) => !socket.destroyed);
    first!.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await until(() => held.length === 1);
    held[0]!.socket.write('HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 1\r\n\r\nx');
    await first!.readResponse();
    second!.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    third!.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await until(() => held.length === 3);
    for (const { socket } of held.slice(1)) {
      socket.write('HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 1\r\n\r\nx');
    }
    await Promise.all([second!.readResponse(), third!.readResponse()]);
    nowMs += 60_000;
  });
});

test("whoever waits in another's flight leaves when its own time is over", async () => {
  held = [];
  const [first, second] = wires.filter(({ socket }) => !socket.destroyed);
  const target = `/silent/${path++}`;
  first!.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
  await until(() => held.length === 1);
  second!.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
  const late = await second!.readResponse();
  assert.equal(late.status, 504);
  assert.equal((await first!.readResponse()).status, 504);
  held[0]!.socket.destroy();
});

test('a stale response is revalidated once in the background, whatever the crowd', async () => {
  const target = `/${path++}`;
  held = [];
  upstream.requests.length = 0;
  wires = await Promise.all(wires.map((wire) => (wire.socket.destroyed ? connectWire(gateway.port) : wire)));
  const request = `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;
  wires[0]!.send(request);
  await until(() => held.length === 1);
  held[0]!.socket.write(
    'HTTP/1.1 200 OK\r\nCache-Control: max-age=1, stale-while-revalidate=60\r\nETag: "a"\r\nContent-Length: 3\r\n\r\nold',
  );
  await wires[0]!.readResponse();
  nowMs += 2000;
  for (const wire of wires) wire.send(request);
  for (const response of await Promise.all(wires.map((wire) => wire.readResponse())))
    assert.equal(response.body.toString(), 'old');
  await until(() => held.length === 2);
  assert.equal(upstream.requests.length, 2);
  assert.equal(upstream.requests[1]!.header('if-none-match'), '"a"');
  held[1]!.socket.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 3\r\n\r\nnew');
  await until(() => cache.flights.size === 0);
  wires[0]!.send(request);
  assert.equal((await wires[0]!.readResponse()).body.toString(), 'new');
});

test('what an unsafe request has made obsolete while it was being fetched is not stored', async () => {
  const target = `/${path++}`;
  held = [];
  const [reader, writer] = wires;
  reader!.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
  await until(() => held.length === 1);
  writer!.send(`POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`);
  await until(() => held.length === 2);
  held[1]!.socket.write('HTTP/1.1 204 No Content\r\n\r\n');
  await writer!.readResponse();
  held[0]!.socket.write(`${head}Content-Length: 3\r\n\r\nold`);
  assert.equal((await reader!.readResponse()).body.toString(), 'old');
  assert.equal(cache.store.has(`a ${target}`), false);
});

test('a slow client does not keep the others waiting while the answer is stored', async () => {
  const target = `/${path++}`;
  held = [];
  const [slow, quick] = wires;
  for (const wire of [slow!, quick!]) wire.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
  slow!.socket.pause();
  await until(() => seats() === 2 && held.length === 1);
  const body = 'y'.repeat(90_000);
  held[0]!.socket.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
  assert.equal((await quick!.readResponse()).body.length, body.length);
  slow!.socket.resume();
  assert.equal((await slow!.readResponse()).body.toString(), body);
});
