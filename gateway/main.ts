import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdminServer } from './admin/server.ts';
import type { RoutingInput } from './compile.ts';
import type { GatewayConfig } from './config.ts';
import { allocateNonces } from './credentials/nonces.ts';
import { createLimiterMemory } from './limits/memory/memory.ts';
import { mainMember, memberOf, reclaimMember } from './limits/memory/reclaim.ts';
import { Supervisor } from './supervisor.ts';
import { Exposition } from './telemetry/exposition.ts';
import { createLog } from './telemetry/log.ts';
import { createUsageEmission } from './usage/emission.ts';
import { usageMetrics } from './usage/metrics.ts';
import { claimPort } from './wire/claim-port.ts';

export interface RunningGateway {
  /** Base address of the traffic listener. */
  readonly url: string;
  readonly adminUrl: string | null;
  route(input: RoutingInput): void;
  /** Drains and stops; resolves when all is closed. */
  close(): Promise<void>;
}

/**
 * Starts a gateway process: workers, registry and admin listener. Rejects with one clear error when it cannot
 * (EADDRINUSE, unreadable data directory …).
 */
export async function startGateway(config: GatewayConfig): Promise<RunningGateway> {
  const log = createLog();
  const emission = config.usage
    ? await createUsageEmission({
        ...config.usage,
        onFailure: (error) => log.warn({ error: error.message }, 'usage could not be delivered'),
      })
    : null;
  const limiterMemory = createLimiterMemory();
  const nonces = allocateNonces();
  const supervisor = new Supervisor({
    config,
    share: () => ({ limiterMemory, nonces }),
    attach: (channel) => {
      channel.on<{ batch: Uint8Array; events: number }>('usage', ({ batch, events }) =>
        emission?.accept(batch, events),
      );
    },
    detach: (_channel, index) => {
      reclaimMember(limiterMemory, memberOf(index), mainMember);
    },
    log: (level, message, details) => log[level](details ?? {}, message),
  });
  const exposition = new Exposition(async () => [
    ...(await supervisor.metrics()),
    ...(emission ? usageMetrics(emission.stats) : []),
  ]);
  const admin = config.admin
    ? createAdminServer({
        ...config.admin,
        operatorToken: config.operatorToken,
        readiness: () => (supervisor.listening === 0 ? 'no worker is listening' : null),
        health: () => ({ workers: supervisor.listening, restarts: supervisor.restarts }),
        metrics: exposition,
        privileged: [],
        logFault: (error) => log.error({ error: String((error as Error)?.stack ?? error) }, 'admin fault'),
      })
    : null;
  const close = async (): Promise<void> => {
    await supervisor.stop();
    await emission?.close(config.usage?.drainTimeoutMs ?? 0);
    if (admin?.listening) await new Promise((resolve) => admin.close(resolve));
  };
  let port: number;
  let adminUrl: string | null = null;
  try {
    if (admin && config.admin) adminUrl = await listen(admin, config.admin);
    await claimPort(config.listen.host, config.listen.port);
    ({ port } = await supervisor.start());
  } catch (error) {
    await close();
    throw error;
  }
  const host =
    config.listen.host === '0.0.0.0' || config.listen.host === '::' ? '127.0.0.1' : config.listen.host;
  return {
    url: `http://${host}:${port}`,
    adminUrl,
    route: (input) => supervisor.broadcast('routing', input),
    close,
  };
}

async function listen(server: Server, { host, port }: { host: string; port: number }): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return `http://${host === '0.0.0.0' ? '127.0.0.1' : host}:${(server.address() as AddressInfo).port}`;
}
