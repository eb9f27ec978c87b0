import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Change } from '#contract/registry.ts';
import { KeyAudit } from '../admin/key-audit.ts';
import { keyAdmin } from '../admin/keys.ts';
import { portalWebhook } from '../admin/portal-webhook.ts';
import type { AdminHandler } from '../admin/server.ts';
import type { RoutingInput } from '../compile.ts';
import type { MetricSnapshot } from '../telemetry/metrics.ts';
import { ControlSource, type ControlSourceOptions } from './control-source.ts';
import { type KeyProvider, localKeyProvider } from './key-provider.ts';
import { Registry, type RegistryOptions } from './registry.ts';
import { registryMetrics } from './registry-metrics.ts';

export interface StartRegistryOptions {
  readonly dataDir: string | null;
  /** The control plane to follow; null: stand-alone. */
  readonly control: { readonly url: string; readonly token: string } | null;
  /** File of the local key provider; null: no provider of that name. */
  readonly keyFile: string | null;
  readonly otherProviders?: readonly KeyProvider[];
  /** Objects of the configuration (file, `API_KEYS`), for a gateway that stands alone. */
  readonly declared?: readonly Change[];
  /** What the portal signs its messages with (`whsec_…`); null: there is no such endpoint. Stand-alone only. */
  readonly portalWebhookSecret?: string | null;
  /** The version of this program, for acknowledgements. */
  readonly version: string;
  readonly log: RegistryOptions['log'];
  readonly checkRouting?: (routing: RoutingInput) => readonly string[];
  /** An operator purges the response caches of all gateways; the same id may come again. */
  readonly onPurge?: ControlSourceOptions['onPurge'];
  /** For tests. */
  readonly timing?: Pick<
    ControlSourceOptions,
    'silenceMs' | 'minPauseMs' | 'maxPauseMs' | 'refusedPauseMs' | 'random'
  >;
}

/** The registry of a gateway process together with its source. */
export interface RunningRegistry {
  readonly registry: Registry;
  /** For `/readyz`: null, or why requests cannot be served yet. */
  readiness(): string | null;
  /** For `/healthz`. */
  health(): Record<string, unknown>;
  metrics(): MetricSnapshot[];
  /** Endpoints for the admin listener: for operators, and those that recognise their callers themselves. */
  readonly adminHandlers: {
    readonly privileged: readonly AdminHandler[];
    readonly open: readonly AdminHandler[];
  };
  /**
   * Puts another configuration in force where the gateway stands alone. Rejects with a RefusedRevisionError, and the
   * former stays.
   */
  declare(objects: readonly Change[]): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the registry from disk and begins to follow its source; does not wait for a control plane. Rejects with an
 * error of one line when the data directory or the copy in it cannot be used, or the configuration is refused.
 */
export async function startRegistry(options: StartRegistryOptions): Promise<RunningRegistry> {
  const { dataDir, control, log } = options;
  const providers = [...(options.otherProviders ?? [])];
  if (options.keyFile !== null) providers.push(localKeyProvider(options.keyFile));
  const registry = await Registry.open({
    dataDir,
    providers,
    log,
    onDamage: control === null ? 'refuse' : 'set_aside',
    ...(options.checkRouting ? { checkRouting: options.checkRouting } : {}),
  });
  const audit = new KeyAudit(dataDir === null ? null : join(dataDir, 'audit', 'keys.ndjson'), log);
  let source: ControlSource | null = null;
  if (control === null) await registry.declare(options.declared ?? []);
  else {
    source = new ControlSource({
      registry,
      ...control,
      gateway: await nameGateway(dataDir),
      version: options.version,
      log,
      onPurge: options.onPurge,
      ...options.timing,
    });
    source.start();
  }
  return {
    registry,
    readiness: () => {
      if (control !== null && !registry.isFilled) return 'no registry has come from the control plane yet';
      return registry.isSealed ? 'no data key can be opened; the key provider is away' : null;
    },
    health: () => ({
      registry: {
        source: control === null ? 'file' : 'control_plane',
        revision: registry.revision,
        applied_revision: registry.appliedRevision,
        ...(source === null
          ? {}
          : {
              connected: source.status.connected,
              error: source.status.error,
              refused: source.status.refused,
            }),
        unopened_data_keys: registry.unopenedDataKeys,
      },
    }),
    metrics: () => registryMetrics(registry, source?.status ?? null),
    adminHandlers: {
      privileged: [keyAdmin({ registry, audit, standAlone: control === null })],
      open:
        control === null && options.portalWebhookSecret
          ? [portalWebhook({ registry, audit, secret: options.portalWebhookSecret })]
          : [],
    },
    declare: (objects) => (control === null ? registry.declare(objects) : Promise.resolve()),
    close: async () => {
      await source?.close();
      await registry.close();
    },
  };
}

/** A name that stays over restarts where there is a data directory. */
async function nameGateway(dataDir: string | null): Promise<string> {
  const fresh = `${hostname()}-${randomBytes(4).toString('hex')}`;
  if (dataDir === null) return fresh;
  const path = join(dataDir, 'gateway.id');
  const known = await readFile(path, 'utf8').catch(() => '');
  if (known.trim() !== '') return known.trim();
  await writeFile(path, `${fresh}\n`, { mode: 0o600 });
  return fresh;
}
