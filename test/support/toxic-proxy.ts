import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP proxy on 127.0.0.1 whose link can be made slow or cut. */
export interface ToxicProxy {
  readonly port: number;
  /** Delays what comes back from the server. */
  latencyMs: number;
  /** Connections open now pass nothing on any more, without being closed; new ones work. */
  stall(): void;
  /** Breaks all connections and refuses new ones until `mend`. */
  cut(): void;
  mend(): void;
  stop(): Promise<void>;
}

export async function startToxicProxy(targetPort: number): Promise<ToxicProxy> {
  const sockets = new Set<Socket>();
  const stalled = new WeakSet<Socket>();
  let isCut = false;
  const server = createServer((client) => {
    if (isCut) {
      client.destroy();
      return;
    }
    const target = connect(targetPort, '127.0.0.1');
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        target.destroy();
      });
    }
    client.on('data', (chunk) => !stalled.has(client) && target.write(chunk));
    target.on('data', (chunk) => {
      if (stalled.has(target)) return;
      if (proxy.latencyMs === 0) client.write(chunk);
      else setTimeout(() => client.writable && client.write(chunk), proxy.latencyMs);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: ToxicProxy = {
    port: (server.address() as AddressInfo).port,
    latencyMs: 0,
    stall: () => {
      for (const socket of sockets) stalled.add(socket);
    },
    cut: () => {
      isCut = true;
      for (const socket of sockets) socket.destroy();
    },
    mend: () => {
      isCut = false;
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
