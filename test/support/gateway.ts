import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { IssuerSettings } from '#contract/issuers.ts';
import type { Route, Service } from '#contract/registry.ts';
import type { Version } from '#contract/versions.ts';
import { ResponseCache } from '../../gateway/cache/response-cache.ts';
import { allocateFailures, FailureThrottle } from '../../gateway/credentials/failure-throttle.ts';
import { allocateNonces, SharedNonces } from '../../gateway/credentials/nonces.ts';
import { Tokens } from '../../gateway/credentials/tokens.ts';
import { createDecisionServer } from '../../gateway/decision/server.ts';
import type { Dependencies } from '../../gateway/dependencies.ts';
import type { Exchange } from '../../gateway/exchange.ts';
import { Gateway } from '../../gateway/gateway.ts';
import type { Limiter } from '../../gateway/limits/limiter.ts';
import { LocalLimiter } from '../../gateway/limits/local/local-limiter.ts';
import { createLimiterMemory } from '../../gateway/limits/memory/memory.ts';
import { parseAddresses } from '../../gateway/routing/addresses.ts';
import { Metrics } from '../../gateway/telemetry/metrics.ts';
import { Forwarder } from '../../gateway/upstream/forwarder.ts';
import { Http1Client } from '../../gateway/upstream/http1/client.ts';
import { UndiciClient } from '../../gateway/upstream/undici-client.ts';
import { WireServer, type WireServerOptions } from '../../gateway/wire/http1/server.ts';
import { MemoryKeys } from './memory-keys.ts';

export interface TestGatewayOptions {
  readonly services?: readonly Service[];
  readonly routes: readonly Route[];
  readonly versions?: readonly Version[];
  readonly keys?: MemoryKeys;
  readonly limiter?: Limiter;
  readonly now?: () => number;
  readonly trustedProxies?: readonly string[];
  readonly issuers?: readonly IssuerSettings[];
  readonly maxSignedBodyBytes?: number;
  readonly wire?: WireServerOptions;
  /** More for phases that need more. */
  readonly dependencies?: Partial<Dependencies>;
}

/** The request path of one worker on a real socket, inside the test's process. */
export interface TestGateway {
  readonly url: string;
  readonly port: number;
  /** Where proxies ask for decisions. */
  readonly decisionPort: number;
  readonly keys: MemoryKeys;
  readonly metrics: Metrics;
  /** Exchanges that have ended, in order. */
  readonly observed: Exchange[];
  readonly faults: unknown[];
  /** Resolves when `count` exchanges have ended. */
  ended(count: number): Promise<void>;
  route(routes: readonly Route[], services?: readonly Service[], versions?: readonly Version[]): void;
  stop(): Promise<void>;
}

export async function startTestGateway(options: TestGatewayOptions): Promise<TestGateway> {
  const keys = options.keys ?? new MemoryKeys();
  const metrics = new Metrics();
  const forwarder = new Forwarder({ http1: new Http1Client(), http2: new UndiciClient() });
  const observed: Exchange[] = [];
  const faults: unknown[] = [];
  const waiting: { count: number; resolve: () => void }[] = [];
  const dependencies: Dependencies = {
    keys,
    limiter: options.limiter ?? new LocalLimiter(createLimiterMemory({ maxCounters: 1000 }), 1),
    tokens: new Tokens(options.issuers ?? [], { now: options.now ?? Date.now }),
    failures: new FailureThrottle(allocateFailures(1024)),
    decisions: true,
    policies: new Map(),
    policyTools: { now: options.now ?? Date.now, metrics, log: () => undefined },
    nonces: new SharedNonces(allocateNonces(1024)),
    forwarder,
    metrics,
    cache: new ResponseCache({ maxBytes: 64 << 20, now: options.now ?? Date.now, metrics }),
    now: options.now ?? Date.now,
    maxSignedBodyBytes: options.maxSignedBodyBytes ?? 1 << 20,
    ...options.dependencies,
  } as Dependencies;
  const gateway = new Gateway({
    dependencies,
    trustedProxies: options.trustedProxies ? parseAddresses(options.trustedProxies).set : null,
    observe: (exchange) => {
      observed.push(exchange);
      for (const waiter of waiting.filter(({ count }) => observed.length >= count)) waiter.resolve();
    },
    logFault: (_exchange, error) => faults.push(error),
  });
  const byId = <T extends { id: string }>(objects: readonly T[]): Map<string, T> =>
    new Map(objects.map((object) => [object.id, object]));
  const route: TestGateway['route'] = (
    routes,
    services = options.services ?? [],
    versions = options.versions ?? [],
  ) => gateway.route({ routes: byId(routes), services: byId(services), versions: byId(versions) });
  route(options.routes);
  const server = new WireServer(gateway, options.wire);
  const port = await server.listen({ port: 0, host: '127.0.0.1' });
  const decision = createDecisionServer(gateway, dependencies.maxSignedBodyBytes);
  decision.listen(0, '127.0.0.1');
  await once(decision, 'listening');
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    decisionPort: (decision.address() as AddressInfo).port,
    keys,
    metrics,
    observed,
    faults,
    ended: (count) =>
      observed.length >= count
        ? Promise.resolve()
        : new Promise((resolve) => waiting.push({ count, resolve })),
    route,
    stop: async () => {
      decision.closeAllConnections();
      decision.close();
      await server.close();
      await forwarder.close();
    },
  };
}
