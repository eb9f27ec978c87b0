import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { UsageSettings } from '#contract/usage-settings.ts';
import type { AddressPolicy } from './client-address.ts';
import type { TransportOptions } from './emission.ts';
import type { SpoolOptions } from './spool.ts';

/** How a gateway process emits usage; plain data, so that workers can be handed it. */
export interface UsageConfig {
  readonly gateway: string;
  readonly transport: TransportOptions;
  readonly spool: SpoolOptions;
  readonly flushIntervalMs: number;
  readonly clientAddress: AddressPolicy;
  readonly addressHashKey: string;
  readonly countryHeader: string | null;
  readonly countryDatabase: string | null;
  /** How long a stopping gateway tries to deliver; what is left then is on disk. */
  readonly drainTimeoutMs: number;
}

export interface UsageSurroundings {
  readonly dataDir: string | null;
  readonly control: { readonly url: string; readonly token: string } | null;
  readonly redisUrl: string | null;
}

/**
 * Resolves the `usage` settings and `TOLLGATE_USAGE_TRANSPORT`, `TOLLGATE_KAFKA_BROKERS`, `TOLLGATE_USAGE_HASH_KEY`,
 * `TOLLGATE_GATEWAY_ID`, `TOLLGATE_COUNTRY_DATABASE`. Null: usage goes nowhere and is not recorded. Adds what is wrong to `errors`.
 */
export function resolveUsage(
  settings: UsageSettings,
  environment: Readonly<Record<string, string | undefined>>,
  surroundings: UsageSurroundings,
  errors: string[],
): UsageConfig | null {
  const text = (name: string): string | undefined => environment[name] || undefined;
  const wanted =
    text('TOLLGATE_USAGE_TRANSPORT') ?? settings.transport ?? (surroundings.control ? 'http' : 'none');
  if (wanted === 'none') return null;
  const { control, redisUrl, dataDir } = surroundings;
  let transport: TransportOptions | null = null;
  if (wanted === 'http') {
    if (control) transport = { kind: 'http', ...control };
    else errors.push('gateway.usage.transport: http needs a control plane (TOLLGATE_CONTROL_URL)');
  } else if (wanted === 'redis') {
    if (redisUrl)
      transport = { kind: 'redis', url: redisUrl, ...(settings.stream ? { stream: settings.stream } : {}) };
    else errors.push('gateway.usage.transport: redis needs gateway.redisUrl (REDIS_URL)');
  } else if (wanted === 'kafka') {
    const brokers =
      text('TOLLGATE_KAFKA_BROKERS')
        ?.split(/[\s,]+/)
        .filter(Boolean) ?? settings.brokers;
    if (brokers) transport = { kind: 'kafka', brokers, ...(settings.topic ? { topic: settings.topic } : {}) };
    else errors.push('gateway.usage.transport: kafka needs gateway.usage.brokers (TOLLGATE_KAFKA_BROKERS)');
  } else
    errors.push(
      `TOLLGATE_USAGE_TRANSPORT: must be http, redis, kafka or none, not ${JSON.stringify(wanted)}`,
    );
  const clientAddress = settings.clientAddress ?? 'truncated';
  const addressHashKey = text('TOLLGATE_USAGE_HASH_KEY') ?? '';
  if (clientAddress === 'hashed' && addressHashKey === '')
    errors.push('gateway.usage.clientAddress: hashed needs TOLLGATE_USAGE_HASH_KEY');
  if (transport === null) return null;
  return {
    gateway: text('TOLLGATE_GATEWAY_ID') ?? hostname(),
    transport,
    spool: {
      // Without a data directory the spool bridges outages, not restarts.
      directory: dataDir ? join(dataDir, 'usage') : join(tmpdir(), `tollgate-usage-${process.pid}`),
      ...(settings.maxSpoolBytes === undefined ? {} : { maxBytes: settings.maxSpoolBytes }),
      ...(settings.fsync === undefined ? {} : { fsync: settings.fsync }),
    },
    flushIntervalMs: settings.flushIntervalMs ?? 500,
    clientAddress,
    addressHashKey,
    countryHeader: settings.countryHeader ?? null,
    countryDatabase: text('TOLLGATE_COUNTRY_DATABASE') ?? settings.countryDatabase ?? null,
    drainTimeoutMs: 10_000,
  };
}
