import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTollgate } from '../support/command-line.ts';
import { startUpstream } from '../support/upstream.ts';
import { connectWire } from '../support/wire-client.ts';

test('gateway --upstream --open passes every path and method through unchanged', async (t) => {
  const [first, second] = await Promise.all([startUpstream(), startUpstream()]);
  t.after(() => Promise.all([first.stop(), second.stop()]));
  const gateway = startTollgate([
    ...['gateway', '--upstream', first.url, '--upstream', `127.0.0.1:${second.port}`, '--open'],
    ...['--listen', '0', '--admin-port', '0', '--workers', '1', '--json'],
  ]);
  t.after(() => gateway.stop());
  const urls = JSON.parse((await gateway.waitFor(/^\{"gateway".*$/m))[0]) as {
    gateway: string;
    admin: string;
  };
  for (const [method, target] of [
    ['GET', '/'],
    ['DELETE', '/a%2Fb//c?x=1&x=2'],
    ['PROPFIND', '/any'],
    ['POST', '/v1/payments'],
  ]) {
    const client = await connectWire(urls.gateway);
    const body = method === 'POST' ? '{"a":1}' : '';
    client.send(
      `${method} ${target} HTTP/1.1\r\nHost: example.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    const response = await client.readResponse();
    assert.equal(response.status, 200);
    const seen = response.json() as { method: string; target: string; body: string };
    assert.deepEqual({ method: seen.method, target: seen.target, body: seen.body }, { method, target, body });
    client.destroy();
  }
  assert.ok(first.requests.length > 0 && second.requests.length > 0, 'both upstreams were used');
  assert.equal((await fetch(`${urls.admin}/readyz`)).status, 200);
});

test('gateway --upstream without --open refuses requests without a key', async (t) => {
  const upstream = await startUpstream();
  t.after(() => upstream.stop());
  const gateway = startTollgate([
    ...[
      'gateway',
      '--upstream',
      upstream.url,
      '--listen',
      '0',
      '--admin-port',
      '0',
      '--workers',
      '1',
      '--json',
    ],
  ]);
  t.after(() => gateway.stop());
  const urls = JSON.parse((await gateway.waitFor(/^\{"gateway".*$/m))[0]) as { gateway: string };
  const response = await fetch(`${urls.gateway}/anything`);
  assert.equal(response.status, 401);
  assert.equal(((await response.json()) as { code: string }).code, 'credentials_invalid');
  assert.equal(upstream.requests.length, 0);
});

test('a port in use is one clear line and exit code 1', async (t) => {
  const upstream = await startUpstream();
  t.after(() => upstream.stop());
  const args = [
    'gateway',
    '--upstream',
    upstream.url,
    '--open',
    '--workers',
    '1',
    '--admin-port',
    '0',
    '--json',
  ];
  const first = startTollgate([...args, '--listen', '0']);
  t.after(() => first.stop());
  const urls = JSON.parse((await first.waitFor(/^\{"gateway".*$/m))[0]) as { gateway: string };
  const { port } = new URL(urls.gateway);
  const second = startTollgate(args.slice(0, -1).concat('--listen', port));
  assert.equal((await second.ended).code, 1);
  assert.equal(second.output(), `tollgate: gateway: port ${port} is in use\n`);
});

test('SIGTERM lets a request under way end, and the exit code is 0', async (t) => {
  const upstream = await startUpstream(() => {});
  t.after(() => upstream.stop());
  const gateway = startTollgate([
    ...['gateway', '--upstream', upstream.url, '--open', '--listen', '0', '--admin-port', '0', '--json'],
  ]);
  t.after(() => gateway.stop());
  const urls = JSON.parse((await gateway.waitFor(/^\{"gateway".*$/m))[0]) as { gateway: string };
  const client = await connectWire(urls.gateway);
  const arrived = new Promise<() => void>((resolve) => {
    upstream.handle((_request, socket) =>
      resolve(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate')),
    );
  });
  client.send('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
  const finish = await arrived;
  gateway.kill('SIGTERM');
  finish();
  const response = await client.readResponse();
  assert.equal(response.body.toString(), 'late');
  assert.equal((await gateway.ended).code, 0);
});
