import type { IssuedCredentials } from './provisioning.ts';
import type { OnboardingRow } from './queries.ts';
import type { ProvisionReply, StartReply, StatusReply } from './schema.ts';
import { fullDomain, type Onboarding, publicUrl } from './settings.ts';

/** Times as the API shows them: UTC, whole seconds. */
export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}

export function presentStart(onboarding: Onboarding, row: OnboardingRow): StartReply {
  return {
    success: true,
    uuid: row.uuid,
    subdomain: row.subdomain,
    full_domain: fullDomain(onboarding, row.subdomain),
    url: publicUrl(onboarding, row.subdomain),
    email: row.email,
    organization_name: row.organization_name,
    onboarding_status: row.status as StartReply['onboarding_status'],
    ...(row.custom_domain === null ? {} : { custom_domain: row.custom_domain }),
  };
}

function presentMetadata(row: OnboardingRow): StatusReply['metadata'] {
  const ready = row.status === 'activated' || row.status === 'completed';
  return {
    created_at: formatTime(row.created_at),
    updated_at: formatTime(row.updated_at),
    dns_configured: row.dns_configured,
    ssl_configured: row.ssl_configured,
    infrastructure_status: (ready ? 'ready' : row.status) as StatusReply['metadata']['infrastructure_status'],
    api_key_generated: row.api_key_generated,
    provisioning_attempts: row.attempts,
  };
}

export function presentProvision(
  row: OnboardingRow,
  credentials: IssuedCredentials | null,
  isIdempotent: boolean,
): ProvisionReply {
  return {
    success: true,
    uuid: row.uuid,
    subdomain: row.subdomain,
    email: row.email,
    organization_name: row.organization_name,
    onboarding_status: row.status as ProvisionReply['onboarding_status'],
    api_key: credentials?.api_key ?? null,
    api_secret: credentials?.api_secret ?? null,
    metadata: { ...presentMetadata(row), is_idempotent: isIdempotent },
  };
}

export function presentStatus(onboarding: Onboarding, row: OnboardingRow): StatusReply {
  return {
    ...presentStart(onboarding, row),
    failure_reason: row.failure_reason,
    completed_at: row.completed_at === null ? null : formatTime(row.completed_at),
    metadata: presentMetadata(row),
  };
}
