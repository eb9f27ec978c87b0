import { openSync } from 'node:fs';
import type { Server } from 'node:net';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { ResponseCache } from './cache/response-cache.ts';
import { Channel } from './channel.ts';
import type { RoutingInput } from './compile.ts';
import type { GatewayConfig } from './config.ts';
import { SharedNonces } from './credentials/nonces.ts';
import type { Dependencies } from './dependencies.ts';
import type { Exchange } from './exchange.ts';
import { Gateway } from './gateway.ts';
import { LocalLimiter } from './limits/local/local-limiter.ts';
import type { LimiterMemory } from './limits/memory/memory.ts';
import { memberOf } from './limits/memory/reclaim.ts';
import { parseAddresses } from './routing/addresses.ts';
import type { WorkerData } from './supervisor.ts';
import { AccessLog } from './telemetry/access-log.ts';
import { createLog } from './telemetry/log.ts';
import { Metrics } from './telemetry/metrics.ts';
import { RequestMetrics } from './telemetry/request-metrics.ts';
import { Forwarder } from './upstream/forwarder.ts';
import { UndiciClient } from './upstream/undici-client.ts';
import { openCountries } from './usage/country.ts';
import { createUsageRecorder, type UsageRecorder } from './usage/recorder.ts';
import { createNodeHttpServer } from './wire/node-http.ts';

/** One worker thread: its own listeners, upstream connections and counters; shared are keys and limits. */

const { config, port, index, shared } = workerData as WorkerData;
const channel = new Channel(parentPort as MessagePort);
const log = createLog();
const metrics = new Metrics();
const requestMetrics = new RequestMetrics(metrics);
const accessLog = openAccessLog(config);
const usage = openUsage(config);
const client = new UndiciClient();
const forwarder = new Forwarder({ http1: client, http2: client });

metrics.collected(
  'tollgate_upstream_failures_total',
  'counter',
  'Failed upstream requests.',
  ['service', 'failure'],
  () =>
    [...forwarder.failures()].map(({ service, failure, count }) => ({
      labels: [service, failure],
      values: [count],
    })),
);

const dependencies = {
  limiter: new LocalLimiter(shared.limiterMemory as LimiterMemory, memberOf(index)),
  nonces: new SharedNonces(shared.nonces as SharedArrayBuffer),
  forwarder,
  metrics,
  cache: new ResponseCache({ maxBytes: 256 << 20, now: Date.now, metrics }),
  now: Date.now,
  maxSignedBodyBytes: config.maxSignedBodyBytes,
} as unknown as Dependencies;

const gateway = new Gateway({
  dependencies,
  trustedProxies: config.trustedProxies.length > 0 ? parseAddresses(config.trustedProxies).set : null,
  observe,
  logFault: (exchange, error) =>
    log.error(
      { id: exchange.requestId, route: exchange.route?.id, error: String((error as Error)?.stack ?? error) },
      'fault',
    ),
});

function observe(exchange: Exchange): void {
  const latencyMs = performance.now() - exchange.startedAt;
  requestMetrics.record(exchange, latencyMs / 1000);
  usage?.record(exchange);
  accessLog?.record(exchange, latencyMs, Math.round(performance.timeOrigin + exchange.startedAt));
}

function openAccessLog({ accessLog: sink }: GatewayConfig): AccessLog | null {
  if (sink === 'off') return null;
  return new AccessLog(sink === '-' ? 1 : openSync(sink, 'a', 0o640));
}

function openUsage({ usage: settings }: GatewayConfig): UsageRecorder | null {
  if (settings === null) return null;
  let countries: ((address: string) => string | null) | null = null;
  if (settings.countryDatabase !== null) {
    openCountries(settings.countryDatabase).then(
      (opened) => {
        countries = opened;
      },
      (error: unknown) => log.error({ error: String(error) }, 'the country database cannot be read'),
    );
  }
  const recorder = createUsageRecorder({
    ...settings,
    worker: index,
    address: settings.clientAddress,
    countryOf: (address) => (countries === null ? null : countries(address)),
    deliver: (batch, events) => channel.send('usage', { batch, events }, [batch.buffer as ArrayBuffer]),
  });
  // Whatever ends this thread short of killing the process, what it has recorded is handed over.
  process.once('exit', () => recorder.close());
  return recorder;
}

const server = createNodeHttpServer(gateway);

channel.on<RoutingInput>('routing', (input) => gateway.route(input));
channel.on<{ id: string }>('metrics', ({ id }) =>
  channel.send('metrics', { id, snapshots: metrics.snapshot() }),
);
channel.on('drain', () => void drain(server));

server.once('error', (error: NodeJS.ErrnoException) => {
  channel.send('failed', { message: error.message, code: error.code });
});
server.listen({ host: config.listen.host, port, reusePort: true }, () => {
  const address = server.address() as { port: number };
  channel.send('listening', { port: address.port, tlsPort: 0 });
});

async function drain(
  listener: Server & { closeIdleConnections?: () => void; closeAllConnections?: () => void },
): Promise<void> {
  const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
  listener.closeIdleConnections?.();
  const timer = setTimeout(() => listener.closeAllConnections?.(), config.drainTimeoutMs);
  // Connections become idle as their requests end.
  const idle = setInterval(() => listener.closeIdleConnections?.(), 50);
  await closed;
  clearInterval(idle);
  clearTimeout(timer);
  await forwarder.close();
  await accessLog?.close();
  process.exit(0);
}
