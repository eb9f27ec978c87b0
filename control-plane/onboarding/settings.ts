import Type, { type Static } from 'typebox';
import { routeSchema } from '#contract/registry.ts';

/** The `onboarding:` section of tollgate.yaml; everything has a default. */

const closed = { additionalProperties: false } as const;
const domain = Type.String({
  pattern: '^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$',
  maxLength: 200,
});
const seconds = (fallback: number, maximum = 86_400) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum, description: `Default: ${fallback}.` }));
const perWindow = (fallback: number) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000, description: `Default: ${fallback}.` }));
const secret = Type.String({ minLength: 1, description: 'Give it as ${NAME}.' });

const dnsSchema = Type.Union([
  Type.Object(
    {
      provider: Type.Literal('localhost', {
        description: 'Names below localhost need no records (RFC 6761).',
      }),
    },
    closed,
  ),
  Type.Object(
    {
      provider: Type.Literal('manual', {
        description: 'Someone else makes the records; they are waited for.',
      }),
    },
    closed,
  ),
  Type.Object(
    {
      provider: Type.Literal('rfc2136'),
      host: Type.String({ minLength: 1 }),
      port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535, description: 'Default: 53.' })),
      zone: Type.Optional(domain),
      keyName: Type.Optional(Type.String({ minLength: 1 })),
      keyAlgorithm: Type.Optional(
        Type.Union([Type.Literal('hmac-sha256'), Type.Literal('hmac-sha384'), Type.Literal('hmac-sha512')]),
      ),
      keySecret: Type.Optional({ ...secret, description: 'Base64; give it as ${NAME}.' }),
      ttlSeconds: seconds(300),
    },
    closed,
  ),
  Type.Object(
    {
      provider: Type.Literal('powerdns'),
      apiUrl: Type.String({ pattern: '^https?://' }),
      apiKey: secret,
      server: Type.Optional(Type.String({ minLength: 1, description: 'Default: localhost.' })),
      zone: Type.Optional(domain),
      ttlSeconds: seconds(300),
    },
    closed,
  ),
]);

const tlsSchema = Type.Union([
  Type.Object({ issuer: Type.Literal('self-signed') }, closed),
  Type.Object(
    {
      issuer: Type.Literal('acme'),
      directoryUrl: Type.String({ pattern: '^https://' }),
      email: Type.Optional(Type.String({ pattern: '^[^@\\s]+@[^@\\s]+$' })),
      caFile: Type.Optional(Type.String({ description: 'Root to trust for the directory itself.' })),
      settleSeconds: Type.Optional(
        Type.Integer({
          minimum: 0,
          maximum: 600,
          description: 'Until all name servers have a challenge. Default: 0.',
        }),
      ),
    },
    closed,
  ),
]);

export const onboardingSettingsSchema = Type.Object(
  {
    baseDomain: Type.Optional({ ...domain, description: 'Default: tenants.localhost.' }),
    publicPort: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 65_535, description: 'Where gateways serve HTTPS. Default: 443.' }),
    ),
    targets: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description: 'Addresses of the gateways, or one host name. Default: 127.0.0.1.',
      }),
    ),
    dns: Type.Optional(dnsSchema),
    tls: Type.Optional(tlsSchema),
    route: Type.Optional(
      Type.Partial(Type.Omit(routeSchema, ['id', 'hosts']), {
        ...closed,
        description: 'What the route of a tenant is; `service` has to be given for tenants to be served.',
      }),
    ),
    registrationToken: Type.Optional({ ...secret, description: 'Asked for when applications register.' }),
    limits: Type.Optional(
      Type.Object(
        {
          startPerHour: perWindow(10),
          provisionPerDay: perWindow(1),
          statusPerHour: perWindow(100),
          addressPerHour: perWindow(50),
        },
        closed,
      ),
    ),
  },
  closed,
);
export type OnboardingSettings = Static<typeof onboardingSettingsSchema>;
export type DnsSettings = Static<typeof dnsSchema>;
export type TlsSettings = Static<typeof tlsSchema>;

/** Settings with everything decided. */
export interface Onboarding {
  readonly baseDomain: string;
  readonly publicPort: number;
  readonly targets: readonly string[];
  readonly dns: DnsSettings;
  readonly tls: TlsSettings;
  readonly route: NonNullable<OnboardingSettings['route']>;
  readonly registrationToken: string | null;
  readonly limits: {
    readonly startPerHour: number;
    readonly provisionPerDay: number;
    readonly statusPerHour: number;
    readonly addressPerHour: number;
  };
}

export function decideOnboarding(settings: OnboardingSettings): Onboarding {
  return {
    baseDomain: settings.baseDomain ?? 'tenants.localhost',
    publicPort: settings.publicPort ?? 443,
    targets: settings.targets ?? ['127.0.0.1'],
    dns: settings.dns ?? { provider: 'localhost' },
    tls: settings.tls ?? { issuer: 'self-signed' },
    route: settings.route ?? {},
    registrationToken: settings.registrationToken ?? null,
    limits: {
      startPerHour: settings.limits?.startPerHour ?? 10,
      provisionPerDay: settings.limits?.provisionPerDay ?? 1,
      statusPerHour: settings.limits?.statusPerHour ?? 100,
      addressPerHour: settings.limits?.addressPerHour ?? 50,
    },
  };
}

/** The name tenants are reached by. */
export function fullDomain(onboarding: Onboarding, subdomain: string): string {
  return `${subdomain}.${onboarding.baseDomain}`;
}

export function publicUrl(onboarding: Onboarding, subdomain: string): string {
  const port = onboarding.publicPort === 443 ? '' : `:${onboarding.publicPort}`;
  return `https://${fullDomain(onboarding, subdomain)}${port}`;
}
