import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { WireServer } from '../../gateway/wire/http1/server.ts';
import { NodeHttp2Acceptor } from '../../gateway/wire/http2/acceptor.ts';
import { makeCertificate } from '../support/certificate.ts';
import { createNodeHttpServer } from '../support/node-http.ts';
import { testWire, type WireAdapter } from './wire-suite.ts';

const certificate = await makeCertificate();

function ownWire(protocol: WireAdapter['protocol'], secure: boolean): WireAdapter {
  return {
    name: `own ${protocol}${secure ? ' over TLS' : ''}`,
    protocol,
    secure,
    ...(secure ? { ca: certificate.cert } : {}),
    async start(handler) {
      const server = new WireServer(handler, {
        http2: new NodeHttp2Acceptor(handler),
        ...(secure ? { tls: certificate } : {}),
      });
      const port = await server.listen({ port: 0, host: '127.0.0.1' });
      return { port, stop: () => server.close() };
    },
  };
}

const nodeHttp: WireAdapter = {
  name: 'node:http',
  protocol: 'http/1.1',
  secure: false,
  async start(handler) {
    const server = createNodeHttpServer(handler).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return {
      port: (server.address() as AddressInfo).port,
      async stop() {
        server.close();
        server.closeAllConnections();
        await once(server, 'close');
      },
    };
  },
};

for (const adapter of [
  ownWire('http/1.1', false),
  ownWire('http/1.1', true),
  ownWire('h2', false),
  ownWire('h2', true),
  nodeHttp,
])
  testWire(adapter);
