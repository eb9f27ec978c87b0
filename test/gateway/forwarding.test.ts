import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, test } from 'node:test';
import type { Route, Service } from '#contract/registry.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { echo, reply, startUpstream, type TestUpstream } from '../support/upstream.ts';
import { connectWire as connect } from '../support/wire-client.ts';

const stops: (() => Promise<void>)[] = [];
after(async () => {
  for (const stop of stops.reverse()) await stop();
});

async function upstream(): Promise<TestUpstream> {
  const started = await startUpstream();
  stops.push(() => started.stop());
  return started;
}

async function gatewayTo(
  urls: readonly string[],
  route: Partial<Route> = {},
  service: Partial<Service> = {},
  trustedProxies?: readonly string[],
): Promise<TestGateway> {
  const gateway = await startTestGateway({
    services: [{ id: 's', targets: { live: urls.map((url) => ({ url })) }, ...service }],
    routes: [{ id: 'r', service: 's', path: '/', authentication: 'none', ...route }],
    ...(trustedProxies ? { trustedProxies } : {}),
  });
  stops.push(() => gateway.stop());
  return gateway;
}

/** A port that refuses connections. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Echo {
  readonly method: string;
  readonly target: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

test('method, path, query and body arrive unchanged; the answer comes back', async () => {
  const up = await upstream();
  up.handle(echo);
  const gateway = await gatewayTo([up.url]);
  const response = await fetch(`${gateway.url}/a%20b/c?x=1&x=2&y=%2F`, { method: 'PUT', body: 'some bytes' });
  const seen = (await response.json()) as Echo;
  assert.equal(response.status, 200);
  assert.equal(seen.method, 'PUT');
  assert.equal(seen.target, '/a%20b/c?x=1&x=2&y=%2F');
  assert.equal(seen.body, 'some bytes');
  assert.match(response.headers.get('x-request-id')!, /^[0-9a-f]{25}$/);
  assert.equal(response.headers.get('via'), '1.1 tollgate');
});

test('hop-by-hop fields and fields named in Connection do not pass, in either direction', async () => {
  const up = await upstream();
  up.handle((request, socket) => {
    const names = request.headers.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
    reply(
      socket,
      200,
      {
        Connection: 'X-Private',
        'X-Private': '1',
        'Keep-Alive': 'timeout=1',
        'Proxy-Authenticate': 'x',
        'X-Public': '2',
      },
      JSON.stringify(names),
    );
  });
  const gateway = await gatewayTo([up.url]);
  const client = await connect(gateway.port);
  client.send(
    'GET / HTTP/1.1\r\nHost: h\r\nConnection: X-Secret\r\nX-Secret: 1\r\nTE: trailers\r\nProxy-Authorization: x\r\nKeep-Alive: 5\r\nX-Kept: 1\r\n\r\n',
  );
  const response = await client.readResponse();
  client.destroy();
  const names = response.json() as string[];
  for (const name of ['x-secret', 'te', 'proxy-authorization', 'keep-alive'])
    assert.ok(!names.includes(name), name);
  assert.ok(names.includes('x-kept'));
  assert.equal(response.header('x-private'), undefined);
  assert.equal(response.header('proxy-authenticate'), undefined);
  assert.equal(response.header('x-public'), '2');
});

test('claims about identity and earlier hops from an untrusted client are replaced', async () => {
  const up = await upstream();
  up.handle(echo);
  const gateway = await gatewayTo([up.url]);
  const response = await fetch(gateway.url, {
    headers: {
      'x-forwarded-for': '6.6.6.6',
      forwarded: 'for=6.6.6.6',
      'x-tollgate-app': 'forged',
      'x-request-id': 'mine',
    },
  });
  const { headers } = (await response.json()) as Echo;
  assert.equal(headers['x-forwarded-for'], '127.0.0.1');
  assert.match(headers.forwarded!, /^for=127\.0\.0\.1;host="127\.0\.0\.1:\d+";proto=http$/);
  assert.equal(headers['x-tollgate-app'], undefined);
  assert.notEqual(headers['x-request-id'], 'mine');
});

test('a trusted proxy is believed, and the client is the last address that is not trusted', async () => {
  const up = await upstream();
  up.handle(echo);
  const gateway = await gatewayTo([up.url], {}, {}, ['127.0.0.0/8', '10.0.0.0/8']);
  const response = await fetch(gateway.url, {
    headers: {
      'x-forwarded-for': '6.6.6.6, 9.9.9.9, 10.1.1.1',
      'x-request-id': 'edge-1',
      'x-forwarded-proto': 'https',
    },
  });
  const { headers } = (await response.json()) as Echo;
  assert.equal(headers['x-forwarded-for'], '6.6.6.6, 9.9.9.9, 10.1.1.1, 127.0.0.1');
  assert.equal(headers['x-request-id'], 'edge-1');
  assert.equal(headers['x-forwarded-proto'], 'https');
  await gateway.ended(1);
  assert.equal(gateway.observed[0]!.clientIp, '9.9.9.9');
});

test('a valid traceparent is continued with a new span; an invalid one begins a new trace', async () => {
  const up = await upstream();
  up.handle(echo);
  const gateway = await gatewayTo([up.url]);
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
  const ask = async (traceparent: string): Promise<string> => {
    const response = await fetch(gateway.url, { headers: { traceparent } });
    return ((await response.json()) as Echo).headers.traceparent!;
  };
  const continued = await ask(`00-${traceId}-00f067aa0ba902b7-00`);
  assert.match(continued, new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
  assert.ok(!continued.includes('00f067aa0ba902b7'));
  assert.match(
    await ask(`00-${'0'.repeat(32)}-00f067aa0ba902b7-01`),
    /^00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-01$/,
  );
});

test('dot segments are resolved before matching and forwarding', async () => {
  const up = await upstream();
  up.handle(echo);
  const gateway = await gatewayTo([up.url], { path: '/public' });
  const client = await connect(gateway.port);
  client.send(
    'GET /public/../admin HTTP/1.1\r\nHost: h\r\n\r\nGET /x/%2e%2e/public/a?q=1 HTTP/1.1\r\nHost: h\r\n\r\n',
  );
  assert.equal((await client.readResponse()).status, 404);
  const second = await client.readResponse();
  client.destroy();
  assert.equal((second.json() as Echo).target, '/public/a?q=1');
  assert.equal(up.requests.length, 1);
});

test('stripPrefix removes the prefix from the forwarded path only', async () => {
  const up = await upstream();
  up.handle(echo);
  const gateway = await gatewayTo([up.url], { path: '/api', stripPrefix: '/api' });
  for (const [asked, forwarded] of [
    ['/api/x?y=1', '/x?y=1'],
    ['/api', '/'],
    ['/api?z', '/?z'],
  ] as const) {
    const response = await fetch(gateway.url + asked);
    assert.equal(((await response.json()) as Echo).target, forwarded);
  }
});

test('an unknown path is 404 and a wrong method 405 with Allow, both as problems', async () => {
  const up = await upstream();
  const gateway = await gatewayTo([up.url], { path: '/only', methods: ['GET', 'POST'] });
  const unknown = await fetch(`${gateway.url}/other`);
  assert.equal(unknown.status, 404);
  assert.equal(unknown.headers.get('content-type'), 'application/problem+json');
  assert.equal(((await unknown.json()) as { code: string }).code, 'route_not_found');
  const wrong = await fetch(`${gateway.url}/only`, { method: 'DELETE' });
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers.get('allow'), 'GET, POST, HEAD');
  assert.ok(wrong.headers.get('x-request-id'));
  assert.equal(up.requests.length, 0);
});

test('an upstream that refuses connections is 502', async () => {
  const gateway = await gatewayTo([`http://127.0.0.1:${await closedPort()}`]);
  const response = await fetch(gateway.url);
  assert.equal(response.status, 502);
  assert.equal(((await response.json()) as { code: string }).code, 'upstream_unreachable');
});

test('an upstream that stays silent is 504', async () => {
  const up = await upstream();
  up.handle(() => undefined);
  const gateway = await gatewayTo([up.url], {}, { responseTimeoutMs: 50 });
  const response = await fetch(gateway.url);
  assert.equal(response.status, 504);
  assert.equal(((await response.json()) as { code: string }).code, 'upstream_timeout');
});

test('an upstream that sends what is not HTTP is 502', async () => {
  const up = await upstream();
  up.handle((_request, socket) => socket.end('SSH-2.0-nonsense\r\n'));
  const gateway = await gatewayTo([up.url]);
  const response = await fetch(gateway.url, { method: 'POST', body: 'x' });
  assert.equal(response.status, 502);
  assert.equal(((await response.json()) as { code: string }).code, 'upstream_invalid');
});

test('an upstream that dies within its answer breaks the connection instead of ending it', async () => {
  const up = await upstream();
  for (const framing of ['Content-Length: 100', 'Transfer-Encoding: chunked']) {
    up.handle((_request, socket) => {
      socket.write(
        `HTTP/1.1 200 OK\r\n${framing}\r\n\r\n${framing.startsWith('T') ? '5\r\nhello\r\n' : 'hello'}`,
        () => socket.destroy(),
      );
    });
    const gateway = await gatewayTo([up.url]);
    const client = await connect(gateway.port);
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    await assert.rejects(client.readResponse());
    await gateway.ended(1);
    assert.equal(gateway.observed[0]!.aborted, true);
  }
});

test('a request that one target refuses is answered by another', async () => {
  const up = await upstream();
  up.handle(echo);
  const gateway = await gatewayTo([`http://127.0.0.1:${await closedPort()}`, up.url]);
  for (let i = 0; i < 6; i++) {
    const response = await fetch(gateway.url, { method: 'POST', body: 'not lost' });
    assert.equal(response.status, 200);
    await response.arrayBuffer();
  }
});

test('a POST whose connection breaks before an answer is not sent a second time', async () => {
  const up = await upstream();
  up.handle((_request, socket) => socket.destroy());
  const gateway = await gatewayTo([up.url, up.url]);
  const response = await fetch(gateway.url, { method: 'POST', body: 'once' });
  assert.equal(response.status, 502);
  assert.equal(up.requests.length, 1);
});

test('a client that leaves cancels the upstream request and is observed once', async () => {
  const up = await upstream();
  const arrived = new Promise<void>((resolve) => up.handle(() => resolve()));
  const gateway = await gatewayTo([up.url]);
  const client = await connect(gateway.port);
  client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  await arrived;
  const closed = new Promise((resolve) => [...up.sockets][0]!.once('close', resolve));
  client.destroy();
  await closed;
  await gateway.ended(1);
  assert.equal(gateway.observed.length, 1);
  assert.equal(gateway.observed[0]!.aborted, true);
});

test('a large body streams through in both directions, byte for byte', async () => {
  const up = await upstream();
  up.handle((request, socket) => reply(socket, 200, {}, request.body));
  const gateway = await gatewayTo([up.url]);
  const body = Buffer.alloc(5_000_000, 'tollgate!');
  const response = await fetch(gateway.url, { method: 'POST', body });
  assert.ok(Buffer.from(await response.arrayBuffer()).equals(body));
});

test('a body over the limit of the route is refused, stated or streamed', async () => {
  const up = await upstream();
  up.handle(echo);
  const gateway = await gatewayTo([up.url], { maxBodyBytes: 1000 });
  const stated = await fetch(gateway.url, { method: 'POST', body: 'x'.repeat(1001) });
  assert.equal(stated.status, 413);
  assert.equal(((await stated.json()) as { code: string }).code, 'body_too_large');
  const client = await connect(gateway.port);
  client.send(
    `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n${'x'.repeat(2000)}\r\n0\r\n\r\n`,
  );
  assert.equal((await client.readResponse()).status, 413);
  client.destroy();
  assert.equal(up.requests.length, 0);
});

test('a service without targets for live traffic is 503', async () => {
  const gateway = await gatewayTo([]);
  assert.equal((await fetch(gateway.url)).status, 503);
});

test('an upgrade becomes a tunnel after the checks', async () => {
  const up = await upstream();
  up.handle((request, socket) => {
    assert.match(request.head, /upgrade: echo/i);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.on('data', (chunk) => socket.write(chunk));
  });
  const gateway = await gatewayTo([up.url]);
  const client = await connect(gateway.port);
  client.send('GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  const heard = new Promise<string>((resolve) => {
    let text = '';
    client.socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.endsWith('ping')) resolve(text);
      else if (text.endsWith('\r\n\r\n')) client.socket.write('ping');
    });
  });
  assert.match(await heard, /^HTTP\/1\.1 101 /);
  client.destroy();
  await gateway.ended(1);
  assert.equal(gateway.observed[0]!.status, 101);
});
