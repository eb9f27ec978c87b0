import type { Key } from '#contract/registry.ts';
import type { Queryable } from '../database/database.ts';
import { plainArray, textArray } from '../usage/array-literals.ts';

/** The account that owns the apps which external portals name. */
const externalAccount = { id: 'acc_external', email: 'external@tollgate.invalid', name: 'External portal' };

export interface PushedKey {
  readonly key: Key;
  readonly name: string;
}

/** Sets keys whole, each named once. Apps that are not known yet are made under the account of external portals. */
export async function putKeys(tx: Queryable, pushed: readonly PushedKey[]): Promise<void> {
  await ensureApps(tx, new Set(pushed.map(({ key }) => key.app).filter((id) => id !== undefined)));
  const text = (of: (entry: PushedKey) => string | null | undefined): string =>
    textArray(pushed.map((entry) => of(entry) ?? null));
  const number = (of: (entry: PushedKey) => number | undefined): string =>
    plainArray(pushed.map((entry) => of(entry) ?? null));
  const ids = text(({ key }) => key.id);
  await tx.execute(
    `INSERT INTO dev_app_keys
       (key_id, app_id, kind, environment, name, secrets, scopes, addresses, api_version, plan, expires_at)
     SELECT key_id, app_id, kind, environment, name, secrets::jsonb, scopes::text[], addresses::jsonb, api_version,
            plan, to_timestamp(expires_ms / 1000.0)
     FROM unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::text[],
                 $6::text::text[], $7::text::text[], $8::text::text[], $9::text::text[], $10::text::text[],
                 $11::text::bigint[])
       AS pushed (key_id, app_id, kind, environment, name, secrets, scopes, addresses, api_version, plan, expires_ms)
     ON CONFLICT (key_id) DO UPDATE SET
       app_id = excluded.app_id, kind = excluded.kind, environment = excluded.environment, name = excluded.name,
       secrets = excluded.secrets, scopes = excluded.scopes, addresses = excluded.addresses,
       api_version = excluded.api_version, plan = excluded.plan, expires_at = excluded.expires_at,
       public_key = NULL, lifetime_days = NULL, status = 'active', revoked_at = NULL, revoked_reason = NULL,
       updated_at = now()`,
    [
      ids,
      text(({ key }) => key.app),
      text(({ key }) => key.kind),
      text(({ key }) => key.environment),
      text(({ name }) => name),
      text(({ key }) => JSON.stringify(key.secrets)),
      text(({ key }) => key.scopes && textArray(key.scopes)),
      text(({ key }) => key.addresses && JSON.stringify(key.addresses)),
      text(({ key }) => key.version),
      text(({ key }) => key.plan),
      number(({ key }) => key.expiresAt),
    ],
  );
  await tx.query(`SELECT set_config('tollgate.keys_noted', pg_current_xact_id()::text, true)`);
  await tx.execute(
    `INSERT INTO api_key_quotas (key_id, burst_limit, sustained_limit, daily_quota, overage_action)
     SELECT * FROM unnest($1::text::text[], $2::text::integer[], $3::text::integer[], $4::text::bigint[],
                          $5::text::text[])
     ON CONFLICT (key_id) DO UPDATE SET
       burst_limit = excluded.burst_limit, sustained_limit = excluded.sustained_limit,
       daily_quota = excluded.daily_quota, overage_action = excluded.overage_action`,
    [
      ids,
      number(({ key }) => key.quota?.burst),
      number(({ key }) => key.quota?.sustainedPerMinute),
      number(({ key }) => key.quota?.daily),
      text(({ key }) => key.quota?.overage),
    ],
  );
  await tx.query(`SELECT set_config('tollgate.keys_noted', '', true)`);
}

async function ensureApps(tx: Queryable, apps: ReadonlySet<string>): Promise<void> {
  if (apps.size === 0) return;
  await tx.execute('INSERT INTO dev_accounts (id, email, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING', [
    externalAccount.id,
    externalAccount.email,
    externalAccount.name,
  ]);
  await tx.execute(
    `INSERT INTO dev_apps (id, account_id, name) SELECT id, $2, id FROM unnest($1::text[]) AS named (id)
     ON CONFLICT DO NOTHING`,
    [[...apps], externalAccount.id],
  );
}
