import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { hashSecret } from '#contract/key-push.ts';
import { type Environment, type KeyKind, mintKeyId, mintSecret } from '#contract/keys.ts';
import type { FieldError } from '#contract/problems.ts';
import type { Secret } from '#contract/registry.ts';
import type { SecretBox } from '../secrets/secret-box.ts';
import type { KeyRow } from './queries.ts';
import { defaultLifetimeDays, type KeyBody, type KeyReply, maxLifetimeDays } from './schema.ts';

const dayMs = 86_400_000;

export function mintKey(environment: Environment): string {
  return mintKeyId(environment, randomBytes(16));
}

/** Makes a secret and the form it is stored in: sealed for keys that sign, a digest for bearer keys. */
export async function makeSecret(
  secrets: SecretBox,
  keyId: string,
  kind: KeyKind,
  environment: Environment,
): Promise<{ secret: string; stored: Secret }> {
  const secret = mintSecret(environment, randomBytes(32));
  if (kind === 'bearer') return { secret, stored: { sha256: hashSecret(secret) } };
  return { secret, stored: await secrets.seal(keyId, secret) };
}

/** When a new key expires, and the lifetime that a rotation renews. */
export function lifetimeOf(
  body: KeyBody,
  now: Date,
): { expiresAt: Date | null; lifetimeDays: number | null } | FieldError[] {
  if (body.expires_at !== undefined && body.expires_in_days !== undefined) {
    return [{ pointer: '/expires_in_days', detail: 'cannot be given together with "expires_at"' }];
  }
  if (body.expires_at === null) return { expiresAt: null, lifetimeDays: null };
  if (body.expires_at !== undefined) {
    const expiresAt = new Date(body.expires_at);
    const lifetimeMs = expiresAt.getTime() - now.getTime();
    if (!(lifetimeMs > 0)) return [{ pointer: '/expires_at', detail: 'must be in the future' }];
    if (lifetimeMs > maxLifetimeDays * dayMs) {
      return [{ pointer: '/expires_at', detail: `must be within ${maxLifetimeDays} days` }];
    }
    return { expiresAt, lifetimeDays: Math.ceil(lifetimeMs / dayMs) };
  }
  const lifetimeDays = body.expires_in_days ?? defaultLifetimeDays;
  return { expiresAt: new Date(now.getTime() + lifetimeDays * dayMs), lifetimeDays };
}

/** What is wrong with the address rules of a key. */
export function checkAddresses(addresses: KeyBody['addresses']): FieldError[] {
  const errors: FieldError[] = [];
  for (const list of ['allow', 'deny'] as const) {
    addresses?.[list]?.forEach((block, index) => {
      const [address, prefix, ...rest] = block.split('/');
      const bits = isIP(address ?? '') === 4 ? 32 : isIP(address ?? '') === 6 ? 128 : 0;
      const valid =
        bits > 0 &&
        rest.length === 0 &&
        (prefix === undefined || (/^\d{1,3}$/.test(prefix) && +prefix <= bits));
      if (!valid)
        errors.push({ pointer: `/addresses/${list}/${index}`, detail: 'must be an address or CIDR block' });
    });
  }
  return errors;
}

/**
 * The secrets of a key after a rotation: the new one, then the older ones that are valid for the grace period, none
 * beyond its own end nor beyond the expiry that the key had.
 */
export function rotateSecrets(
  current: readonly Secret[],
  fresh: Secret,
  keyExpiresAt: Date | null,
  graceMs: number,
  now: number,
): Secret[] {
  const end = Math.min(now + graceMs, keyExpiresAt?.getTime() ?? Number.POSITIVE_INFINITY);
  const older = current
    .map((secret) => ({ ...secret, expiresAt: Math.min(secret.expiresAt ?? end, end) }))
    .filter((secret) => secret.expiresAt > now);
  return [fresh, ...older];
}

/** When a rotated key expires: it gets its lifetime anew. */
export function renewedExpiry(lifetimeDays: number | null, now: number): Date | null {
  return lifetimeDays === null ? null : new Date(now + lifetimeDays * dayMs);
}

export function presentKey(row: KeyRow, now: Date): KeyReply {
  const expired = row.expires_at !== null && row.expires_at <= now;
  return {
    key_id: row.key_id,
    app_id: row.app_id,
    key_type: row.kind,
    kind: row.kind,
    environment: row.environment,
    name: row.name,
    status: row.status === 'revoked' ? 'revoked' : expired ? 'expired' : 'active',
    scopes: row.scopes ?? [],
    addresses: (row.addresses as KeyReply['addresses']) ?? null,
    version: row.api_version,
    plan: row.plan,
    public_key: row.public_key,
    expires_at: row.expires_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
    rotated_at: row.rotated_at?.toISOString() ?? null,
    revoked_at: row.revoked_at?.toISOString() ?? null,
    revoked_reason: row.revoked_reason,
    last_used_at: row.last_used_at?.toISOString() ?? null,
    previous_secrets: (row.status === 'revoked' ? [] : row.secrets)
      .slice(1)
      .filter((secret) => (secret.expiresAt ?? 0) > now.getTime())
      .map((secret) => ({ expires_at: new Date(secret.expiresAt!).toISOString() })),
  };
}
