import type { AddressRules } from '#contract/access.ts';
import type { Environment, KeyKind } from '#contract/keys.ts';
import type { Secret } from '#contract/registry.ts';
import type { Queryable } from '../database/database.ts';

export interface KeyRow {
  key_id: string;
  app_id: string | null;
  account_id: string | null;
  kind: KeyKind;
  environment: Environment;
  name: string;
  status: 'active' | 'revoked';
  secrets: Secret[];
  public_key: string | null;
  scopes: string[] | null;
  addresses: AddressRules | null;
  api_version: string | null;
  plan: string | null;
  lifetime_days: number | null;
  expires_at: Date | null;
  created_at: Date;
  updated_at: Date;
  rotated_at: Date | null;
  revoked_at: Date | null;
  revoked_reason: string | null;
  last_used_at: Date | null;
}

export type NewKey = Pick<KeyRow, 'key_id' | 'app_id' | 'kind' | 'environment' | 'name' | 'secrets'> &
  Partial<
    Pick<
      KeyRow,
      'public_key' | 'scopes' | 'addresses' | 'api_version' | 'plan' | 'lifetime_days' | 'expires_at'
    >
  >;

const columns = 'k.*, a.account_id';
const source = 'dev_app_keys k LEFT JOIN dev_apps a ON a.id = k.app_id';

/** A key the account may see; `accountId` null sees all. With `lock` it is held until the transaction ends. */
export async function findKey(
  db: Queryable,
  keyId: string,
  accountId: string | null,
  lock = false,
): Promise<KeyRow | undefined> {
  const [row] = await db.query<KeyRow>(
    `SELECT ${columns} FROM ${source}
     WHERE k.key_id = $1 AND ($2::text IS NULL OR a.account_id = $2)${lock ? ' FOR UPDATE OF k' : ''}`,
    [keyId, accountId],
  );
  return row;
}

export async function listKeys(
  db: Queryable,
  appId: string,
  after: readonly string[] | null,
  limit: number,
): Promise<KeyRow[]> {
  return await db.query<KeyRow>(
    `SELECT ${columns} FROM ${source}
     WHERE k.app_id = $1
       AND ($2::timestamptz IS NULL OR (date_trunc('milliseconds', k.created_at), k.key_id) > ($2, $3))
     ORDER BY date_trunc('milliseconds', k.created_at), k.key_id LIMIT $4`,
    [appId, after?.[0] ?? null, after?.[1] ?? null, limit],
  );
}

/** Inserts a key with its row of quotas, in which nothing overrides the plan. */
export async function insertKey(tx: Queryable, key: NewKey): Promise<void> {
  await tx.execute(
    `INSERT INTO dev_app_keys
       (key_id, app_id, kind, environment, name, secrets, public_key, scopes, addresses, api_version, plan,
        lifetime_days, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
    [
      key.key_id,
      key.app_id,
      key.kind,
      key.environment,
      key.name,
      JSON.stringify(key.secrets),
      key.public_key ?? null,
      key.scopes ?? null,
      key.addresses ? JSON.stringify(key.addresses) : null,
      key.api_version ?? null,
      key.plan ?? null,
      key.lifetime_days ?? null,
      key.expires_at ?? null,
    ],
  );
  await tx.execute('INSERT INTO api_key_quotas (key_id) VALUES ($1)', [key.key_id]);
}

export async function storeRotation(
  tx: Queryable,
  keyId: string,
  secrets: readonly Secret[],
  expiresAt: Date | null,
): Promise<void> {
  await tx.execute(
    `UPDATE dev_app_keys SET secrets = $2, expires_at = $3, rotated_at = now(), updated_at = now()
     WHERE key_id = $1`,
    [keyId, JSON.stringify(secrets), expiresAt],
  );
}

export async function storeRevocation(tx: Queryable, keyId: string, reason: string | null): Promise<void> {
  await tx.execute(
    `UPDATE dev_app_keys SET status = 'revoked', revoked_at = now(), revoked_reason = $2, updated_at = now()
     WHERE key_id = $1`,
    [keyId, reason],
  );
}
