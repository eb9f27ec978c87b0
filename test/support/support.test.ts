import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import pg from 'pg';
import { startNginx } from './nginx.ts';
import { usePostgres } from './postgres.ts';
import { startRedis } from './redis.ts';
import { dieMidBody, startUpstream } from './upstream.ts';
import { ConnectionEnded, connectWire } from './wire-client.ts';

test('an upstream echoes what arrived, and the wire client reads what it sent', async () => {
  const upstream = await startUpstream();
  const client = await connectWire(upstream.port);
  client.send('POST /a?b=c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n');
  const response = await client.readResponse();
  assert.equal(response.status, 200);
  assert.deepEqual(response.json(), {
    method: 'POST',
    target: '/a?b=c',
    headers: { host: 'x', 'transfer-encoding': 'chunked' },
    body: 'abc',
  });
  client.destroy();
  await upstream.stop();
});

test('a body that breaks off is seen as broken off', async () => {
  const upstream = await startUpstream(dieMidBody(10, 4));
  const client = await connectWire(upstream.port);
  client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await assert.rejects(client.readResponse(), ConnectionEnded);
  await upstream.stop();
});

test('nginx passes requests on to an upstream', async () => {
  const upstream = await startUpstream();
  const nginx = await startNginx({ server: `location / { proxy_pass ${upstream.url}; }` });
  const response = await fetch(`${nginx.url}/hello`);
  assert.equal(((await response.json()) as { target: string }).target, '/hello');
  await nginx.stop();
  await upstream.stop();
});

test('databases of one server are separate', async () => {
  const postgres = await usePostgres();
  const [first, second] = [await postgres.createDatabase(), await postgres.createDatabase()];
  assert.notEqual(first, second);
  const client = new pg.Client({ connectionString: first });
  await client.connect();
  await client.query('CREATE TABLE here (a int)');
  await client.end();
  const other = new pg.Client({ connectionString: second });
  await other.connect();
  await assert.rejects(other.query('SELECT * FROM here'), /does not exist/);
  await other.end();
  await postgres.stop();
});

test('a private Redis answers', async () => {
  const redis = await startRedis();
  const client = await connectWire(redis.port);
  client.send('PING\r\n');
  const [reply] = (await once(client.socket, 'data')) as [Buffer];
  assert.equal(reply.toString(), '+PONG\r\n');
  client.destroy();
  await redis.stop();
});
