import { readFileSync } from 'node:fs';
import type { GatewayConfig } from '../config.ts';
import type { ExchangeHandler } from '../exchange.ts';
import type { Certificates } from './certificates.ts';
import type { RequestFault } from './http1/faults.ts';
import { WireServer, type WireServerOptions } from './http1/server.ts';
import { NodeHttp2Acceptor } from './http2/acceptor.ts';
import type { TimerWheel } from './timers/timer-wheel.ts';

/** The listeners of one worker. */
export interface Listeners {
  readonly port: number;
  /** 0 when TLS is not configured. */
  readonly tlsPort: number;
  /** Open connections. */
  connections(): number;
  /** Lets requests under way end, for up to `timeoutMs`. */
  close(timeoutMs: number): Promise<void>;
}

export interface ListenerOptions {
  readonly config: GatewayConfig;
  readonly handler: ExchangeHandler;
  readonly wheel: TimerWheel;
  /** Chosen by server name, before the configured one. */
  readonly certificates: Certificates;
  /** What other workers listen on already, or what is configured; 0 takes any. */
  readonly port: number;
  readonly tlsPort: number;
  readonly onFault: (fault: RequestFault) => void;
}

/** Opens the configured listeners; workers share their ports (`reusePort`), so that the kernel spreads connections. */
export async function openListeners(options: ListenerOptions): Promise<Listeners> {
  const { config, handler, wheel } = options;
  const settings: WireServerOptions = {
    wheel,
    onFault: options.onFault,
    headTimeoutMs: config.headTimeoutMs,
    bodyIdleTimeoutMs: config.bodyIdleTimeoutMs,
    keepAliveTimeoutMs: config.keepAliveTimeoutMs,
    maxConnections: config.maxConnections,
    maxConnectionsPerAddress: config.maxConnectionsPerAddress,
  };
  const http2 = (): NodeHttp2Acceptor => new NodeHttp2Acceptor(handler, settings);
  const plain = new WireServer(handler, { ...settings, http2: http2() });
  const secure = config.tls
    ? new WireServer(handler, {
        ...settings,
        http2: http2(),
        tls: {
          ...(config.tls.files
            ? { cert: readFileSync(config.tls.files.certificate), key: readFileSync(config.tls.files.key) }
            : {}),
          SNICallback: options.certificates.select,
        },
      })
    : null;
  await plain.listen({ host: config.listen.host, port: options.port, reusePort: true });
  if (secure && config.tls)
    await secure.listen({ host: config.tls.host, port: options.tlsPort, reusePort: true });
  return {
    port: plain.port,
    tlsPort: secure?.port ?? 0,
    connections: () => plain.connections + (secure?.connections ?? 0),
    close: async (timeoutMs) => {
      await Promise.all([plain.close(timeoutMs), secure?.close(timeoutMs)]);
    },
  };
}
