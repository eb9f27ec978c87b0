import type { Queryable } from '../database/database.ts';

export interface ApplicationRow {
  id: string;
  name: string;
  account_id: string | null;
}

export type OnboardingStatus = 'pending' | 'provisioning' | 'activated' | 'completed' | 'failed' | 'deleting';

export interface OnboardingRow {
  uuid: string;
  application_id: string;
  email: string;
  organization_name: string;
  subdomain: string;
  custom_domain: string | null;
  status: OnboardingStatus;
  wants_api_key: boolean;
  dns_configured: boolean;
  ssl_configured: boolean;
  route_configured: boolean;
  key_id: string | null;
  api_key_generated: boolean;
  attempts: number;
  failures: number;
  failure_reason: string | null;
  next_attempt_at: Date | null;
  lease_owner: string | null;
  lease_until: Date | null;
  tenant_id: string | null;
  completion: Record<string, unknown> | null;
  completed_at: Date | null;
  created_at: Date;
  updated_at: Date;
}

export async function insertApplication(
  db: Queryable,
  application: ApplicationRow & { masterKeyDigest: string },
): Promise<void> {
  await db.execute(
    'INSERT INTO onboarding_applications (id, name, account_id, master_key_sha256) VALUES ($1, $2, $3, $4)',
    [application.id, application.name, application.account_id, application.masterKeyDigest],
  );
}

export async function findApplication(
  db: Queryable,
  masterKeyDigest: string,
): Promise<ApplicationRow | undefined> {
  const [row] = await db.query<ApplicationRow>(
    'SELECT id, name, account_id FROM onboarding_applications WHERE master_key_sha256 = $1',
    [masterKeyDigest],
  );
  return row;
}

/** Inserts an onboarding; false when its subdomain is taken. */
export async function insertOnboarding(
  db: Queryable,
  row: Pick<
    OnboardingRow,
    'uuid' | 'application_id' | 'email' | 'organization_name' | 'subdomain' | 'custom_domain'
  >,
  now: Date,
): Promise<boolean> {
  const inserted = await db.execute(
    `INSERT INTO onboardings
       (uuid, application_id, email, organization_name, subdomain, custom_domain, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (subdomain) DO NOTHING`,
    [row.uuid, row.application_id, row.email, row.organization_name, row.subdomain, row.custom_domain, now],
  );
  return inserted > 0;
}

/** An onboarding of the application; those of others, and those being deleted, are not found. */
export async function findOnboarding(
  db: Queryable,
  applicationId: string,
  uuid: string,
  lock = false,
): Promise<OnboardingRow | undefined> {
  const [row] = await db.query<OnboardingRow>(
    `SELECT * FROM onboardings WHERE uuid = $1 AND application_id = $2 AND status <> 'deleting'${lock ? ' FOR UPDATE' : ''}`,
    [uuid, applicationId],
  );
  return row;
}

/** What a step has done or an attempt has come to. */
export type OnboardingChange = Partial<
  Pick<
    OnboardingRow,
    | 'status'
    | 'dns_configured'
    | 'ssl_configured'
    | 'route_configured'
    | 'key_id'
    | 'api_key_generated'
    | 'failures'
    | 'failure_reason'
    | 'next_attempt_at'
    | 'lease_owner'
    | 'lease_until'
    | 'tenant_id'
    | 'completed_at'
    | 'email'
    | 'organization_name'
  >
> & { completion?: Record<string, unknown> | null };

/** Changes a row. With `owner` only while that one holds the lease; false when it does not any more. */
export async function changeOnboarding(
  db: Queryable,
  uuid: string,
  change: OnboardingChange,
  now: Date,
  owner: string | null = null,
): Promise<boolean> {
  const entries = Object.entries(change);
  const sets = entries.map(([column], index) => `${column} = $${index + 4}`);
  const changed = await db.execute(
    `UPDATE onboardings SET ${['updated_at = $3', ...sets].join(', ')}
     WHERE uuid = $1 AND ($2::text IS NULL OR lease_owner = $2)`,
    [
      uuid,
      owner,
      now,
      ...entries.map(([column, value]) =>
        column === 'completion' && value !== null ? JSON.stringify(value) : value,
      ),
    ],
  );
  return changed > 0;
}

/**
 * Takes the lease of an onboarding in order to work on it, if its status is among `from` and nobody holds the lease.
 */
export async function leaseOnboarding(
  db: Queryable,
  uuid: string,
  owner: string,
  from: readonly OnboardingStatus[],
  now: Date,
  until: Date,
): Promise<OnboardingRow | undefined> {
  const [row] = await db.query<OnboardingRow>(
    `UPDATE onboardings SET lease_owner = $2, lease_until = $4
     WHERE uuid = $1 AND status = ANY($5::text[]) AND (lease_until IS NULL OR lease_until <= $3) RETURNING *`,
    [uuid, owner, now, until, from],
  );
  return row;
}

/** Onboardings that somebody left in the middle of work, oldest first. */
export async function listAbandoned(db: Queryable, now: Date, limit: number): Promise<OnboardingRow[]> {
  return await db.query<OnboardingRow>(
    `SELECT * FROM onboardings
     WHERE (lease_until IS NULL OR lease_until <= $1)
       AND (status = 'deleting' OR (status = 'provisioning' AND lease_owner IS NOT NULL)
            OR (status = 'failed' AND (dns_configured OR route_configured)))
       AND (next_attempt_at IS NULL OR next_attempt_at <= $1 OR status = 'provisioning')
     ORDER BY updated_at LIMIT $2`,
    [now, limit],
  );
}

export async function deleteOnboarding(db: Queryable, uuid: string): Promise<void> {
  await db.execute('DELETE FROM onboardings WHERE uuid = $1', [uuid]);
}

export async function countByStatus(db: Queryable): Promise<{ status: OnboardingStatus; n: number }[]> {
  return await db.query('SELECT status, count(*)::int AS n FROM onboardings GROUP BY status');
}

/** Puts a route or certificate of a tenant into the registry. */
export async function putTenantResource(
  tx: Queryable,
  kind: 'route' | 'certificate',
  object: { readonly id: string },
): Promise<void> {
  await tx.execute(
    `INSERT INTO tenant_resources (kind, id, object) VALUES ($1, $2, $3)
     ON CONFLICT (kind, id) DO UPDATE SET object = excluded.object
     WHERE tenant_resources.object IS DISTINCT FROM excluded.object`,
    [kind, object.id, JSON.stringify(object)],
  );
}

export async function deleteTenantResource(
  db: Queryable,
  kind: 'route' | 'certificate',
  id: string,
): Promise<void> {
  await db.execute('DELETE FROM tenant_resources WHERE kind = $1 AND id = $2', [kind, id]);
}

/** The account that is told of what happens to an application's onboardings; null when there is none. */
export async function findAccountOf(db: Queryable, applicationId: string): Promise<string | null> {
  const [row] = await db.query<{ account_id: string | null }>(
    'SELECT account_id FROM onboarding_applications WHERE id = $1',
    [applicationId],
  );
  return row?.account_id ?? null;
}
