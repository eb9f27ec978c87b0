import type { Environment, KeyKind } from '#contract/keys.ts';
import { findApp } from '../apps/queries.ts';
import type { AuditOrigin } from '../audit/record.ts';
import type { Context } from '../context.ts';
import { notFound, ProblemError } from '../http/problem.ts';
import { publishEvent } from '../webhooks/publish.ts';
import { findKey, insertKey, type KeyRow, type NewKey, storeRevocation, storeRotation } from './queries.ts';
import { makeSecret, mintKey, presentKey, renewedExpiry, rotateSecrets } from './rules.ts';
import type { KeyReply } from './schema.ts';

/** A key as it is told to its creator, the only time with its secret. */
export type IssuedKey = KeyReply & { secret: string };

export interface KeyRequest extends Omit<NewKey, 'key_id' | 'secrets' | 'kind' | 'environment'> {
  readonly kind: KeyKind;
  readonly environment: Environment;
}

/** Makes a key for an app that the account may see. */
export async function createKey(
  context: Context,
  origin: AuditOrigin,
  accountId: string | null,
  wanted: KeyRequest,
): Promise<IssuedKey> {
  const keyId = mintKey(wanted.environment);
  const { secret, stored } = await makeSecret(context.secrets, keyId, wanted.kind, wanted.environment);
  return await context.db.transaction(async (tx) => {
    const app = wanted.app_id === null ? undefined : await findApp(tx, wanted.app_id, accountId, true);
    if (!app) throw notFound('app');
    await insertKey(tx, { ...wanted, key_id: keyId, secrets: [stored] });
    const reply = presentKey((await findKey(tx, keyId, null))!, context.now());
    await publishEvent(tx, {
      type: 'key.created',
      accountId: app.account_id,
      payload: {
        key_id: keyId,
        app_id: app.id,
        environment: wanted.environment,
        expires_at: reply.expires_at,
      },
    });
    await context.audit.record(tx, origin, {
      action: 'key.create',
      accountId: app.account_id,
      target: { key_id: keyId, app_id: app.id },
      after: reply,
    });
    return { ...reply, secret };
  });
}

/** Gives a key a new secret; the old one stays valid for the grace period. */
export async function rotateKey(
  context: Context,
  origin: AuditOrigin,
  accountId: string | null,
  keyId: string,
  graceMs: number,
): Promise<IssuedKey> {
  const known = await findKey(context.db, keyId, accountId);
  if (!known) throw notFound('key');
  const { secret, stored } = await makeSecret(context.secrets, keyId, known.kind, known.environment);
  return await context.db.transaction(async (tx) => {
    const row = await lockActive(context, tx, keyId, accountId);
    const now = context.now();
    const secrets = rotateSecrets(row.secrets, stored, row.expires_at, graceMs, now.getTime());
    await storeRotation(tx, keyId, secrets, renewedExpiry(row.lifetime_days, now.getTime()));
    const reply = presentKey((await findKey(tx, keyId, null))!, now);
    if (row.account_id !== null) {
      await publishEvent(tx, {
        type: 'key.rotated',
        accountId: row.account_id,
        payload: { key_id: keyId, app_id: row.app_id, expires_at: reply.expires_at },
      });
    }
    await context.audit.record(tx, origin, {
      action: 'key.rotate',
      accountId: row.account_id,
      target: { key_id: keyId, app_id: row.app_id },
      before: presentKey(row, now),
      after: reply,
    });
    return { ...reply, secret };
  });
}

/** Revokes a key at once. Revoking it again changes nothing. */
export async function revokeKey(
  context: Context,
  origin: AuditOrigin,
  accountId: string | null,
  keyId: string,
  reason: string | null,
): Promise<KeyReply> {
  return await context.db.transaction(async (tx) => {
    const row = await findKey(tx, keyId, accountId, true);
    if (!row) throw notFound('key');
    if (row.status === 'revoked') return presentKey(row, context.now());
    await storeRevocation(tx, keyId, reason);
    const reply = presentKey((await findKey(tx, keyId, null))!, context.now());
    if (row.account_id !== null) {
      await publishEvent(tx, {
        type: 'key.revoked',
        accountId: row.account_id,
        payload: { key_id: keyId, app_id: row.app_id, reason },
      });
    }
    await context.audit.record(tx, origin, {
      action: 'key.revoke',
      accountId: row.account_id,
      target: { key_id: keyId, app_id: row.app_id },
      before: presentKey(row, context.now()),
      after: reply,
    });
    return reply;
  });
}

async function lockActive(
  context: Context,
  tx: Parameters<typeof findKey>[0],
  keyId: string,
  accountId: string | null,
): Promise<KeyRow> {
  const row = await findKey(tx, keyId, accountId, true);
  if (!row) throw notFound('key');
  if (row.status === 'revoked') throw new ProblemError('conflict', 'The key is revoked.');
  if (row.expires_at !== null && row.expires_at <= context.now()) {
    throw new ProblemError('conflict', 'The key has expired; create a new one.');
  }
  return row;
}
