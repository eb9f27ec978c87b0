import { openSync } from 'node:fs';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type CacheShare, openCache, openSecondLevel } from './cache/open-cache.ts';
import { Channel } from './channel.ts';
import type { GatewayConfig } from './config.ts';
import { FailureThrottle } from './credentials/failure-throttle.ts';
import { openNonces } from './credentials/open-nonces.ts';
import { Tokens } from './credentials/tokens.ts';
import { openDecisionListener } from './decision/listener.ts';
import type { Dependencies } from './dependencies.ts';
import type { Exchange } from './exchange.ts';
import { Gateway } from './gateway.ts';
import type { LimiterMemory } from './limits/memory/memory.ts';
import { memberOf } from './limits/memory/reclaim.ts';
import { openLimits } from './limits/open-limits.ts';
import { loadPolicies } from './policies/load.ts';
import type { RegistryShare } from './registry/messages.ts';
import { WorkerRegistry } from './registry/worker-registry.ts';
import { parseAddresses } from './routing/addresses.ts';
import type { WorkerData } from './supervisor.ts';
import { AccessLog } from './telemetry/access-log.ts';
import { createLog } from './telemetry/log.ts';
import { Metrics } from './telemetry/metrics.ts';
import { RequestMetrics } from './telemetry/request-metrics.ts';
import { Forwarder } from './upstream/forwarder.ts';
import { Http1Client } from './upstream/http1/client.ts';
import { UndiciClient } from './upstream/undici-client.ts';
import { openCountries } from './usage/country.ts';
import { createUsageRecorder, type UsageRecorder } from './usage/recorder.ts';
import { Certificates } from './wire/certificates.ts';
import type { RequestFault } from './wire/http1/faults.ts';
import { type Listeners, openListeners } from './wire/listeners.ts';
import { TimerWheel } from './wire/timers/timer-wheel.ts';

/** One worker thread: its own listeners, upstream connections and counters; shared are keys and limits. */

const { config, port, tlsPort, index, shared } = workerData as WorkerData;
const log = createLog();
const metrics = new Metrics();
// Before the channel is opened: messages wait until somebody listens.
const limits = await openLimits({
  ...{ settings: config.limiter, redisUrl: config.redisUrl, metrics },
  ...{ memory: shared.limiterMemory as LimiterMemory, member: memberOf(index) },
  log: (level, message, details) => log[level](details, message),
  onThreshold: (event) => channel.send('threshold', event),
});
const secondLevel = await openSecondLevel(
  config.cache.redis ? config.redisUrl : null,
  config.workers,
  (level, message, details) => log[level](details, message),
);
const channel = new Channel(parentPort as MessagePort);
const requestMetrics = new RequestMetrics(metrics);
const accessLog = openAccessLog(config);
const usage = openUsage(config);
const wheel = new TimerWheel();
const forwarder = new Forwarder({ http1: new Http1Client({ wheel }), http2: new UndiciClient() });

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

const certificates = new Certificates();
const registry = new WorkerRegistry({
  share: shared.registry as RegistryShare,
  channel,
  onRouting: (routing) => gateway.route(routing),
  onCertificates: (opened) =>
    certificates.set(opened, (id, error) =>
      log.error({ certificate: id, error: error.message }, 'a certificate cannot be used'),
    ),
});

const tokens = new Tokens(config.issuers, {
  now: Date.now,
  onFailure: (issuer, error) =>
    log.warn({ issuer, error: String(error) }, 'the keys of an issuer were not fetched'),
});
void tokens.prepare(Date.now());

const nonces = await openNonces({
  memory: shared.nonces as SharedArrayBuffer,
  redisUrl: config.redisUrl,
  onChange: (away, error) => {
    // All workers see the same; one of them says so.
    if (index !== 0) return;
    if (away) log.warn({ error: String(error) }, 'nonces cannot be shared: each gateway remembers its own');
    else log.info('nonces are shared again');
  },
});

const dependencies: Dependencies = {
  keys: registry.keys,
  tokens,
  limiter: limits.limiter,
  failures: new FailureThrottle(shared.failures as SharedArrayBuffer),
  nonces: nonces.store,
  forwarder,
  metrics,
  cache: openCache({
    maxBytes: config.cache.maxBytes,
    workers: config.workers,
    share: shared.cache as CacheShare,
    channel,
    metrics,
    secondLevel,
  }),
  now: Date.now,
  maxSignedBodyBytes: config.maxSignedBodyBytes,
  decisions: config.decision !== null,
  policies: await loadPolicies(config.policies, shared.policies as number),
  policyTools: {
    now: Date.now,
    metrics,
    log: (level, message, details = {}) => log[level](details, message),
  },
};

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

const malformed = new Map<RequestFault, number>();
metrics.collected(
  'tollgate_malformed_requests_total',
  'counter',
  'Messages refused by the HTTP/1 wire, by what was wrong.',
  ['fault'],
  () => [...malformed].map(([fault, count]) => ({ labels: [fault], values: [count] })),
);
channel.on<number>('policies', (generation) => {
  loadPolicies(config.policies, generation)
    .then((policies) => gateway.setPolicies(policies))
    .catch((error: unknown) => log.error({ error: String(error) }, 'policies not changed'));
});
if (config.policies.length > 0) {
  // What a policy does beside its phase must not end the worker.
  process.on('unhandledRejection', (error: unknown) =>
    log.error({ error: String((error as Error)?.stack ?? error) }, 'a promise was rejected and nobody cared'),
  );
}
registry.start();

channel.on<{ id: string }>('metrics', ({ id }) =>
  channel.send('metrics', { id, snapshots: metrics.snapshot() }),
);

const decision = openDecisionListener(config.decision, index, gateway, config.maxSignedBodyBytes);
const listening = openListeners({
  config,
  handler: gateway,
  wheel,
  certificates,
  port,
  tlsPort,
  onFault: (fault) => malformed.set(fault, (malformed.get(fault) ?? 0) + 1),
});
Promise.all([listening, decision]).then(
  ([listeners]) => {
    channel.on('drain', () => void drain(listeners));
    channel.send('listening', { port: listeners.port, tlsPort: listeners.tlsPort });
  },
  (error: NodeJS.ErrnoException) => channel.send('failed', { message: error.message, code: error.code }),
);

async function drain(listeners: Listeners): Promise<void> {
  await listeners.close(config.drainTimeoutMs);
  await (await decision)?.close();
  await forwarder.close();
  await limits.close();
  nonces.close();
  await secondLevel?.close();
  await accessLog?.close();
  process.exit(0);
}
