import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import type { DecisionSettings, GatewaySettings } from '#contract/gateway-settings.ts';
import type { IssuerSettings } from '#contract/issuers.ts';
import type { LimiterSettings } from '#contract/limiter-settings.ts';
import { readVaultSettings, type VaultSettings } from '#contract/vault.ts';
import type { AdminTlsFiles } from './admin/tls.ts';
import { parseAddresses } from './routing/addresses.ts';
import { resolveUsage, type UsageConfig } from './usage/config.ts';

/** Everything a gateway process is told, with defaults filled in. Plain data, so that workers can be handed it. */
export interface GatewayConfig {
  readonly listen: { readonly host: string; readonly port: number };
  readonly tls: {
    readonly host: string;
    readonly port: number;
    /** For names without a certificate in the registry; null: handshakes for such names fail. */
    readonly files: { readonly certificate: string; readonly key: string } | null;
  } | null;
  /** Null: no admin listener. */
  readonly admin: { readonly host: string; readonly port: number; readonly tls: AdminTlsFiles | null } | null;
  /** Where proxies ask before they forward; null: nowhere. */
  readonly decision: DecisionSettings | null;
  readonly workers: number;
  readonly trustedProxies: readonly string[];
  /** Where the registry copy, pushed keys and the usage spool are kept; null keeps nothing. */
  readonly dataDir: string | null;
  /** The control plane to follow; null: stand-alone. */
  readonly control: { readonly url: string; readonly token: string } | null;
  /** Bearer token of the admin listener's privileged endpoints; null refuses them. */
  readonly operatorToken: string | null;
  /** What a portal signs its messages of key changes with; null: no such endpoint. Stand-alone gateways only. */
  readonly portalWebhookSecret: string | null;
  /** The file of the local key provider, which opens sealed secrets. */
  readonly keyFile: string | null;
  /** The vault that has wrapped data keys; null: none. */
  readonly vault: VaultSettings | null;
  readonly redisUrl: string | null;
  readonly cache: { readonly maxBytes: number; readonly redis: boolean };
  readonly limiter: LimiterSettings;
  readonly accessLog: string;
  /** Whose tokens are believed; the one of OAUTH_PROVIDER_URL first. */
  readonly issuers: readonly IssuerSettings[];
  /** Files of own policies, absolute. */
  readonly policies: readonly string[];
  readonly maxSignedBodyBytes: number;
  readonly drainTimeoutMs: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  readonly headTimeoutMs: number;
  readonly bodyIdleTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  /** Null: usage is not recorded. */
  readonly usage: UsageConfig | null;
}

/** What the command line and `npm start` set; it stands above environment and file. */
export interface GatewayOverrides {
  /** What paths in the file are relative to. Default: the working directory. */
  readonly configFolder?: string;
  readonly listenHost?: string;
  readonly listenPort?: number;
  /** Opens the TLS listener. */
  readonly tlsPort?: number;
  readonly adminHost?: string;
  readonly adminPort?: number;
  readonly workers?: number;
  readonly dataDir?: string;
  readonly control?: { readonly url: string; readonly token: string };
  readonly operatorToken?: string;
  readonly keyFile?: string;
  readonly accessLog?: string;
}

export type ConfigResult =
  | { readonly ok: true; readonly config: GatewayConfig }
  | { readonly ok: false; readonly errors: readonly string[] };

/**
 * Puts the configuration together: overrides, then environment (`TOLLGATE_…`, `REDIS_URL`), then the file's `gateway`
 * section, then defaults. Every error is reported, each naming its source.
 */
export function resolveConfig(
  settings: GatewaySettings,
  environment: Readonly<Record<string, string | undefined>>,
  overrides: GatewayOverrides = {},
): ConfigResult {
  const errors: string[] = [];
  const integer = (name: string, minimum: number, maximum: number): number | undefined => {
    const text = environment[name];
    if (text === undefined || text === '') return undefined;
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < minimum || value > maximum) {
      errors.push(
        `${name}: must be a whole number from ${minimum} to ${maximum}, not ${JSON.stringify(text)}`,
      );
      return undefined;
    }
    return value;
  };
  const text = (name: string): string | undefined => environment[name] || undefined;
  const matching = (name: string, pattern: RegExp, meaning: string): string | undefined => {
    const value = text(name);
    if (value === undefined || pattern.test(value)) return value;
    errors.push(`${name}: must be ${meaning}`);
    return undefined;
  };

  const environmentProxies = text('TOLLGATE_TRUSTED_PROXIES')
    ?.split(/[\s,]+/)
    .filter((entry) => entry !== '');
  const trustedProxies = environmentProxies ?? settings.trustedProxies ?? [];
  for (const invalid of parseAddresses(trustedProxies).invalid) {
    const source = environmentProxies ? 'TOLLGATE_TRUSTED_PROXIES' : 'gateway.trustedProxies';
    errors.push(`${source}: ${JSON.stringify(invalid)} is neither an address nor a CIDR network`);
  }
  const controlUrl = matching('TOLLGATE_CONTROL_URL', /^https?:\/\/[^/]/, 'an http or https address');
  const controlToken = text('TOLLGATE_GATEWAY_TOKEN') ?? text('TOLLGATE_TOKEN');
  let control = overrides.control ?? null;
  if (control === null && controlUrl !== undefined) {
    if (controlToken === undefined)
      errors.push('TOLLGATE_CONTROL_URL: TOLLGATE_GATEWAY_TOKEN must be set with it');
    else control = { url: controlUrl.replace(/\/+$/, ''), token: controlToken };
  }
  const providerUrl = matching('OAUTH_PROVIDER_URL', /^https?:\/\/[^?#\s]+$/, 'an http or https address');
  const adminPort =
    overrides.adminPort ?? integer('TOLLGATE_ADMIN_PORT', 0, 65_535) ?? settings.admin?.port ?? 8081;
  const dataDir = overrides.dataDir ?? text('TOLLGATE_DATA_DIR') ?? null;
  const redisUrl =
    matching('REDIS_URL', /^rediss?:\/\//, 'a redis:// or rediss:// address') ?? settings.redisUrl ?? null;
  const mode = settings.limiter?.mode;
  if ((mode === 'leased' || mode === 'exact') && redisUrl === null) {
    errors.push(`gateway.limiter.mode: ${mode} needs gateway.redisUrl or REDIS_URL`);
  }
  if (settings.cache?.redis === true && redisUrl === null) {
    errors.push('gateway.cache.redis: needs gateway.redisUrl or REDIS_URL');
  }
  if ((settings.tls?.certificate === undefined) !== (settings.tls?.key === undefined)) {
    errors.push('gateway.tls: certificate and key belong together');
  }
  const config: GatewayConfig = {
    listen: {
      host: overrides.listenHost ?? text('TOLLGATE_LISTEN_HOST') ?? settings.listen?.host ?? '0.0.0.0',
      port:
        overrides.listenPort ?? integer('TOLLGATE_LISTEN_PORT', 0, 65_535) ?? settings.listen?.port ?? 8080,
    },
    tls:
      settings.tls || overrides.tlsPort !== undefined
        ? {
            host: settings.tls?.host ?? overrides.listenHost ?? '0.0.0.0',
            port: overrides.tlsPort ?? settings.tls?.port ?? 8443,
            files:
              settings.tls?.certificate !== undefined && settings.tls.key !== undefined
                ? { certificate: settings.tls.certificate, key: settings.tls.key }
                : null,
          }
        : null,
    admin: {
      host: overrides.adminHost ?? text('TOLLGATE_ADMIN_HOST') ?? settings.admin?.host ?? '127.0.0.1',
      port: adminPort,
      tls: settings.admin?.tls
        ? { ...settings.admin.tls, clientCa: settings.admin.tls.clientCa ?? null }
        : null,
    },
    decision: settings.decision ?? null,
    workers:
      overrides.workers ?? integer('TOLLGATE_WORKERS', 1, 256) ?? settings.workers ?? availableParallelism(),
    trustedProxies,
    dataDir,
    control,
    operatorToken: overrides.operatorToken ?? text('TOLLGATE_OPERATOR_TOKEN') ?? null,
    portalWebhookSecret:
      matching(
        'TOLLGATE_PORTAL_WEBHOOK_SECRET',
        /^whsec_(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$/,
        'whsec_ and base64, as of Standard Webhooks',
      ) ?? null,
    keyFile: overrides.keyFile ?? text('TOLLGATE_KEY_FILE') ?? null,
    vault: text('VAULT_ADDR') === undefined ? null : readVaultSettings(environment, errors),
    redisUrl,
    cache: {
      maxBytes:
        integer('TOLLGATE_CACHE_MAX_BYTES', 1 << 20, 2 ** 40) ?? settings.cache?.maxBytes ?? 256 << 20,
      redis: settings.cache?.redis ?? false,
    },
    limiter: settings.limiter ?? {},
    accessLog: overrides.accessLog ?? text('TOLLGATE_ACCESS_LOG') ?? settings.accessLog ?? '-',
    issuers: resolveIssuers(settings.issuers ?? [], providerUrl, text('OAUTH_AUDIENCE'), errors),
    policies: (settings.policies ?? []).map((file) => resolve(overrides.configFolder ?? '.', file)),
    maxSignedBodyBytes: settings.maxSignedBodyBytes ?? 1 << 20,
    drainTimeoutMs: settings.drainTimeoutMs ?? 10_000,
    maxConnections: settings.maxConnections ?? 65_536,
    maxConnectionsPerAddress: settings.maxConnectionsPerAddress ?? 65_536,
    headTimeoutMs: settings.headTimeoutMs ?? 10_000,
    bodyIdleTimeoutMs: settings.bodyIdleTimeoutMs ?? 30_000,
    keepAliveTimeoutMs: settings.keepAliveTimeoutMs ?? 75_000,
    usage: resolveUsage(settings.usage ?? {}, environment, { dataDir, control, redisUrl }, errors),
  };
  return errors.length > 0 ? { ok: false, errors } : { ok: true, config };
}

/** `audience`: one or several, separated by spaces or commas. */
function resolveIssuers(
  configured: readonly IssuerSettings[],
  providerUrl: string | undefined,
  audience: string | undefined,
  errors: string[],
): IssuerSettings[] {
  const seen = new Set<string>();
  for (const { issuer } of configured) {
    if (seen.has(issuer)) errors.push(`gateway.issuers: ${issuer} is listed twice`);
    seen.add(issuer);
  }
  if (audience !== undefined && providerUrl === undefined) {
    errors.push('OAUTH_AUDIENCE: OAUTH_PROVIDER_URL must be set with it');
  }
  if (providerUrl === undefined || seen.has(providerUrl)) return [...configured];
  const audiences = audience?.split(/[\s,]+/).filter((name) => name !== '') ?? [];
  return [{ issuer: providerUrl, ...(audiences.length > 0 ? { audiences } : {}) }, ...configured];
}
