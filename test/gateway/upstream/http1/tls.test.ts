import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { createServer, type TLSSocket } from 'node:tls';
import type { Upstream, UpstreamFailure, UpstreamHandler } from '../../../../gateway/upstream/client.ts';
import { Http1Client } from '../../../../gateway/upstream/http1/client.ts';
import { WireServer } from '../../../../gateway/wire/http1/server.ts';
import { makeCertificate } from '../../../support/certificate.ts';
import { connectWire } from '../../../support/wire-client.ts';
import { answerHello, RecordingHandler } from '../../wire/recording-handler.ts';

const certificate = await makeCertificate();

function describe(port: number, hostname: string): Upstream {
  return {
    ...{
      origin: `https://${hostname}:${port}`,
      secure: true,
      hostname,
      port,
      authority: `${hostname}:${port}`,
    },
    ...{ http2: false, connectTimeoutMs: 5000, responseTimeoutMs: 5000, idleTimeoutMs: 5000 },
  };
}

/** The status of a GET, or how it failed. */
function ask(client: Http1Client, upstream: Upstream): Promise<number | UpstreamFailure> {
  return new Promise((resolve) => {
    let status = 0;
    const handler: UpstreamHandler = {
      onInformation: () => undefined,
      onHead: (given) => {
        status = given;
      },
      onData: () => true,
      onEnd: () => resolve(status),
      onError: resolve,
      onDrain: () => undefined,
      onUpgrade: () => undefined,
    };
    const request = { method: 'GET', path: '/', headers: ['host', upstream.authority], bodyLength: 0 };
    client.send(upstream, { ...request, body: null, upgrade: null }, handler);
  });
}

test('a TLS service is verified and named, and a later connection resumes the session', async (t) => {
  const seen: { resumed: boolean; name: string | false | null }[] = [];
  const server = createServer({ ...certificate, maxVersion: 'TLSv1.3' }, (socket: TLSSocket) => {
    seen.push({ resumed: socket.isSessionReused(), name: socket.servername });
    socket.on('error', () => undefined);
    socket.on('data', () =>
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok'),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const trusting = new Http1Client({ tls: { ca: certificate.cert } });
  const doubting = new Http1Client();
  t.after(async () => {
    server.close();
    await Promise.all([trusting.close(), doubting.close()]);
  });
  const target = describe(port, 'localhost');
  assert.equal(await ask(trusting, target), 200);
  assert.deepEqual(seen, [{ resumed: false, name: 'localhost' }]);
  while (trusting.pool(target).connections > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(await ask(trusting, target), 200);
  assert.deepEqual(seen.at(-1), { resumed: true, name: 'localhost' });
  assert.equal(await ask(doubting, target), 'unreachable', 'an unknown authority is not believed');
});

test('connections over TLS are counted from their first byte and given back', async (t) => {
  const server = new WireServer(new RecordingHandler(answerHello), { tls: certificate, maxConnections: 1 });
  const port = await server.listen({ port: 0, host: '127.0.0.1' });
  t.after(() => server.close());
  const first = await connectWire({ port, tls: { ca: certificate.cert } });
  first.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal((await first.readResponse()).status, 200);
  assert.equal(server.connections, 1);
  await assert.rejects(connectWire({ port, tls: { ca: certificate.cert } }));
  first.destroy();
  while (server.connections > 0) await new Promise((resolve) => setImmediate(resolve));
  const second = await connectWire({ port, tls: { ca: certificate.cert } });
  second.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal((await second.readResponse()).status, 200);
  second.destroy();
});
