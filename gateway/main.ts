import type { Server } from 'node:http';
import { Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { ThresholdEvent } from '#contract/limits.ts';
import type { Change } from '#contract/registry.ts';
import { cacheAdmin } from './admin/cache.ts';
import { createAdminServer } from './admin/server.ts';
import { readAdminTls } from './admin/tls.ts';
import { createCacheShare, PurgeDesk } from './cache/open-cache.ts';
import type { GatewayConfig } from './config.ts';
import { allocateFailures } from './credentials/failure-throttle.ts';
import { allocateNonces } from './credentials/nonces.ts';
import { createLimiterMemory } from './limits/memory/memory.ts';
import { mainMember, memberOf, reclaimMember } from './limits/memory/reclaim.ts';
import { checkPolicies } from './policies/apply.ts';
import { PolicyFiles } from './policies/policy-files.ts';
import { checkRouting } from './registry/check-routing.ts';
import { startRegistry } from './registry/start-registry.ts';
import { vaultKeyProvider } from './registry/vault-key-provider.ts';
import { Supervisor } from './supervisor.ts';
import { Exposition } from './telemetry/exposition.ts';
import { createLog } from './telemetry/log.ts';
import { createUsageEmission } from './usage/emission.ts';
import { usageMetrics } from './usage/metrics.ts';
import { ThresholdReporter } from './usage/threshold-reporter.ts';
import { claimPort } from './wire/claim-port.ts';

export interface RunningGateway {
  /** Base address of the traffic listener. */
  readonly url: string;
  /** Of the TLS listener, if there is one. */
  readonly tlsUrl: string | null;
  readonly adminUrl: string | null;
  /** Why requests cannot be served yet, or null. */
  readiness(): string | null;
  /** Puts another declared registry in force where the gateway stands alone. Rejects, and the former stays. */
  declare(objects: readonly Change[]): Promise<void>;
  /** Drains and stops; resolves when all is closed. */
  close(): Promise<void>;
}

/**
 * Starts a gateway process: workers, registry and admin listener. `declared` is the registry of a gateway that stands
 * alone. Rejects with one clear error when it cannot start (EADDRINUSE, unreadable data directory …).
 */
export async function startGateway(
  config: GatewayConfig,
  declared: readonly Change[] = [],
): Promise<RunningGateway> {
  const log = createLog();
  const logLine = (level: 'info' | 'warn' | 'error', message: string, details: object = {}): void =>
    log[level](details, message);
  const adminTls = config.admin?.tls ? readAdminTls(config.admin.tls) : null;
  const policies = await PolicyFiles.open({
    files: config.policies,
    check: (loaded) => checkPolicies(followed.registry.routing, loaded),
    onLoaded: (generation) => supervisor.broadcast('policies', generation),
    log: logLine,
  });
  const purges = new PurgeDesk();
  const followed = await startRegistry({
    dataDir: config.dataDir,
    control: config.control,
    keyFile: config.keyFile,
    otherProviders: config.vault === null ? [] : [vaultKeyProvider(config.vault)],
    declared,
    portalWebhookSecret: config.portalWebhookSecret,
    checkRouting: (routing) => checkRouting(routing, policies.policies),
    version: '0.1.0',
    log: logLine,
    onPurge: (id, purge) => purges.applyOnce(id, purge),
  });
  const { registry } = followed;
  const emission = config.usage
    ? await createUsageEmission({
        ...config.usage,
        onFailure: (error) => log.warn({ error: error.message }, 'usage could not be delivered'),
      })
    : null;
  const thresholds = config.control
    ? new ThresholdReporter({
        ...config.control,
        onFailure: (error) => log.warn({ error: error.message }, 'thresholds could not be told'),
      })
    : null;
  const limiterMemory = createLimiterMemory(
    config.limiter.maxCounters === undefined ? {} : { maxCounters: config.limiter.maxCounters },
  );
  const nonces = allocateNonces();
  const failures = allocateFailures();
  const cacheShare = createCacheShare();
  const supervisor = new Supervisor({
    config,
    share: () => ({
      policies: policies.generation,
      limiterMemory,
      nonces,
      failures,
      registry: registry.share(),
      cache: cacheShare,
    }),
    attach: (channel) => {
      registry.attach(channel);
      purges.attach(channel);
      channel.on<{ batch: Uint8Array; events: number }>('usage', ({ batch, events }) =>
        emission?.accept(batch, events),
      );
      channel.on<ThresholdEvent>('threshold', (event) => {
        logLine('info', 'quota threshold reached', event);
        thresholds?.report(event);
      });
    },
    detach: (channel, index) => {
      registry.detach(channel);
      purges.detach(channel);
      reclaimMember(limiterMemory, memberOf(index), mainMember);
    },
    log: logLine,
  });
  const exposition = new Exposition(async () => [
    ...(await supervisor.metrics()),
    ...followed.metrics(),
    ...(emission ? usageMetrics(emission.stats) : []),
  ]);
  const readiness = (): string | null =>
    supervisor.listening === 0 ? 'no worker is listening' : followed.readiness();
  const admin = config.admin
    ? createAdminServer({
        ...config.admin,
        tls: adminTls,
        operatorToken: config.operatorToken,
        readiness,
        health: () => ({
          workers: supervisor.listening,
          restarts: supervisor.restarts,
          ...followed.health(),
        }),
        metrics: exposition,
        ...followed.adminHandlers,
        privileged: [...followed.adminHandlers.privileged, cacheAdmin((purge) => purges.apply(purge))],
        logFault: (error) => log.error({ error: String((error as Error)?.stack ?? error) }, 'admin fault'),
      })
    : null;
  const close = async (): Promise<void> => {
    policies.close();
    await supervisor.stop();
    await followed.close();
    await thresholds?.close();
    await emission?.close(config.usage?.drainTimeoutMs ?? 0);
    if (admin?.listening) await new Promise((resolve) => admin.close(resolve));
  };
  let port: number;
  let tlsPort: number;
  let adminUrl: string | null = null;
  try {
    if (admin && config.admin) adminUrl = await listen(admin, config.admin);
    await claimPort(config.listen.host, config.listen.port);
    if (config.tls) await claimPort(config.tls.host, config.tls.port);
    ({ port, tlsPort } = await supervisor.start());
  } catch (error) {
    await close();
    throw error;
  }
  const host =
    config.listen.host === '0.0.0.0' || config.listen.host === '::' ? '127.0.0.1' : config.listen.host;
  return {
    url: `http://${host}:${port}`,
    tlsUrl: tlsPort === 0 ? null : `https://${host}:${tlsPort}`,
    adminUrl,
    readiness,
    declare: async (objects) => {
      await policies.reload();
      await followed.declare(objects);
    },
    close,
  };
}

async function listen(server: Server, { host, port }: { host: string; port: number }): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const scheme = server instanceof TlsServer ? 'https' : 'http';
  return `${scheme}://${host === '0.0.0.0' ? '127.0.0.1' : host}:${(server.address() as AddressInfo).port}`;
}
