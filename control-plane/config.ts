import type { Declaration } from '#contract/declaration.ts';
import { type AlertsConfig, defaultAlerts, readAlertsConfig } from './alerts/config.ts';
import type { OidcSettings } from './identity/oidc.ts';
import type { OnboardingSettings } from './onboarding/settings.ts';
import { defaultSecrets, readSecretsConfig, type SecretsConfig } from './secrets/open-providers.ts';
import { defaultUsage, readUsageConfig, type UsageConfig } from './usage/config.ts';
import { defaultWebhooks, readWebhooksConfig, type WebhooksConfig } from './webhooks/config.ts';

/** How the control plane runs; every member is decided. */
export interface ControlPlaneConfig {
  readonly host: string;
  readonly port: number;
  readonly dataDir: string | null;
  readonly databaseUrl: string | null;
  /** Runs in one process group with its gateway: allows the built-in issuer of developer tokens. */
  readonly embedded: boolean;
  readonly operatorToken: string | null;
  readonly gatewayToken: string | null;
  /** Where people reach it, without a slash at the end. */
  readonly publicUrl: string | null;
  readonly trustedProxies: readonly string[];
  readonly maxBodyBytes: number;
  readonly usage: UsageConfig;
  readonly throttle: Throttle;
  readonly webhooks: WebhooksConfig;
  readonly secrets: SecretsConfig;
  /** The organisation's identity provider. */
  readonly oidc: OidcSettings | null;
  readonly alerts: AlertsConfig;
  readonly onboarding: OnboardingSettings;
}

/** Limits on the control plane's own endpoints, as token buckets. */
export interface Throttle {
  /** Requests of one caller. */
  readonly requests: { readonly burst: number; readonly perMinute: number };
  /** Failed authentications from one address. */
  readonly failures: { readonly burst: number; readonly perMinute: number };
}

const defaultThrottle: Throttle = {
  requests: { burst: 600, perMinute: 1200 },
  failures: { burst: 60, perMinute: 30 },
};

export interface ControlPlaneOptions extends Partial<Omit<ControlPlaneConfig, 'host' | 'port'>> {
  readonly host?: string;
  /** 0: any free port. */
  readonly port?: number;
  /** Applied when it differs from the one applied last. */
  readonly declaration?: Declaration | null;
}

export class ConfigError extends Error {
  readonly errors: readonly string[];
  constructor(errors: readonly string[]) {
    super(errors.join('\n'));
    this.errors = errors;
  }
}

/** Decides every member, or throws a ConfigError that lists all that is wrong. */
export function decideConfig(options: ControlPlaneOptions): ControlPlaneConfig {
  const errors: string[] = [];
  const config: ControlPlaneConfig = {
    host: options.host ?? '127.0.0.1',
    port: options.port ?? 8140,
    dataDir: options.dataDir ?? null,
    databaseUrl: options.databaseUrl ?? null,
    embedded: options.embedded ?? false,
    operatorToken: options.operatorToken ?? null,
    gatewayToken: options.gatewayToken ?? null,
    publicUrl: options.publicUrl?.replace(/\/+$/, '') ?? null,
    trustedProxies: options.trustedProxies ?? [],
    maxBodyBytes: options.maxBodyBytes ?? 1 << 20,
    usage: options.usage ?? defaultUsage,
    throttle: options.throttle ?? defaultThrottle,
    webhooks: options.webhooks ?? defaultWebhooks,
    secrets: options.secrets ?? defaultSecrets,
    oidc: options.oidc ?? null,
    alerts: options.alerts ?? defaultAlerts,
    onboarding: options.onboarding ?? {},
  };
  if (config.dataDir === null && config.databaseUrl === null) {
    errors.push('set DATABASE_URL, or TOLLGATE_DATA_DIR for the embedded database');
  }
  if (config.databaseUrl !== null && !/^postgres(?:ql)?:\/\//.test(config.databaseUrl)) {
    errors.push('DATABASE_URL must begin with postgres://');
  }
  for (const [name, token] of [
    ['TOLLGATE_OPERATOR_TOKEN', config.operatorToken],
    ['TOLLGATE_GATEWAY_TOKEN', config.gatewayToken],
  ] as const) {
    if (token !== null && token.length < 16) errors.push(`${name} must have at least 16 characters`);
  }
  if (config.publicUrl !== null && !/^https?:\/\/[^/?#\s]+(?:\/[^?#\s]*)?$/.test(config.publicUrl)) {
    errors.push('TOLLGATE_PUBLIC_URL must be an http or https address');
  }
  if (config.oidc !== null && !/^https?:\/\/[^\s]+$/.test(config.oidc.issuer)) {
    errors.push('OAUTH_PROVIDER_URL must be an http or https address');
  }
  if (config.oidc?.issuer.startsWith('http:') && config.publicUrl !== null) {
    errors.push('OAUTH_PROVIDER_URL must be an https address where TOLLGATE_PUBLIC_URL is set');
  }
  if (errors.length > 0) throw new ConfigError(errors);
  return Object.freeze(config);
}

/** Reads the options of a control plane of its own from the environment. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): ControlPlaneOptions {
  const errors: string[] = [];
  const text = (name: string): string | undefined => env[name]?.trim() || undefined;
  const integer = (name: string, minimum: number, maximum: number): number | undefined => {
    const value = text(name);
    if (value === undefined) return undefined;
    const number = Number(value);
    if (/^\d+$/.test(value) && number >= minimum && number <= maximum) return number;
    errors.push(`${name} must be an integer from ${minimum} to ${maximum}, not ${JSON.stringify(value)}`);
    return undefined;
  };
  const requestsPerMinute = integer('TOLLGATE_REQUESTS_PER_MINUTE', 1, 1_000_000);
  const given = {
    throttle:
      requestsPerMinute === undefined
        ? undefined
        : {
            ...defaultThrottle,
            requests: { burst: Math.max(1, Math.ceil(requestsPerMinute / 2)), perMinute: requestsPerMinute },
          },
    host: text('HOST'),
    port: integer('PORT', 0, 65_535),
    dataDir: text('TOLLGATE_DATA_DIR'),
    databaseUrl: text('DATABASE_URL'),
    operatorToken: text('TOLLGATE_OPERATOR_TOKEN'),
    gatewayToken: text('TOLLGATE_GATEWAY_TOKEN') ?? text('TOLLGATE_OPERATOR_TOKEN'),
    publicUrl: text('TOLLGATE_PUBLIC_URL'),
    trustedProxies: text('TOLLGATE_TRUSTED_PROXIES')
      ?.split(',')
      .map((part) => part.trim())
      .filter(Boolean),
    maxBodyBytes: integer('TOLLGATE_MAX_BODY_BYTES', 1024, 1 << 30),
    usage: readUsageConfig(env, errors),
    webhooks: readWebhooksConfig(env, errors),
    secrets: readSecretsConfig(env, errors),
    oidc: readOidc(text, errors),
    alerts: readAlertsConfig(env, errors),
  };
  if (given.operatorToken === undefined) errors.push('TOLLGATE_OPERATOR_TOKEN is not set');
  if (errors.length > 0) throw new ConfigError(errors);
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function readOidc(text: (name: string) => string | undefined, errors: string[]): OidcSettings | undefined {
  const issuer = text('OAUTH_PROVIDER_URL');
  if (issuer === undefined) return undefined;
  const clientId = text('OAUTH_CLIENT_ID');
  if (clientId === undefined) {
    errors.push('OAUTH_CLIENT_ID is not set, but OAUTH_PROVIDER_URL is');
    return undefined;
  }
  return {
    issuer,
    clientId,
    clientSecret: text('OAUTH_CLIENT_SECRET') ?? null,
    audience: text('OAUTH_AUDIENCE') ?? 'tollgate',
    administratorRole: text('OAUTH_ADMIN_ROLE') ?? 'tollgate-admin',
  };
}
