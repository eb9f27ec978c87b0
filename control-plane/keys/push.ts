import Type from 'typebox';
import { keyBatchSchema, keyPushSchema, parseKeyBatch, parseKeyPush } from '#contract/key-push.ts';
import type { Key } from '#contract/registry.ts';
import { originOf } from '../audit/record.ts';
import type { Feature } from '../context.ts';
import type { Queryable } from '../database/database.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { invalid, notFound } from '../http/problem.ts';
import { findKey, type KeyRow } from './queries.ts';
import { presentKey } from './rules.ts';
import { keyReply } from './schema.ts';

/** The account that owns the apps which external portals name. */
const externalAccount = { id: 'acc_external', email: 'external@tollgate.invalid', name: 'External portal' };

interface PushedKey {
  readonly key: Key;
  readonly name: string;
}

/** Keys that an external portal pushes in, as hashes only. */
export const keyPush: Feature = (app, context) => {
  const { db, audit, auth } = context;
  const tags = ['operator'];
  const security = callers.operator;
  const params = Type.Object({ keyId: Type.String({ minLength: 3, maxLength: 128 }) });

  app.put(
    '/admin/v1/keys/:keyId',
    {
      onRequest: auth.operator,
      schema: {
        operationId: 'putKey',
        tags,
        security,
        summary: 'Push a hashed key in',
        params,
        body: keyPushSchema,
        response: {
          200: keyReply,
          201: keyReply,
          ...problemReplies('credentials_invalid', 'forbidden', 'conflict', 'validation_failed'),
        },
      },
    },
    async (request, reply) => {
      const { keyId } = request.params;
      const parsed = parseKeyPush(keyId, request.body);
      if (!parsed.ok) throw invalid(parsed.errors);
      const stored = await db.transaction(async (tx) => {
        const before = await findKey(tx, keyId, null, true);
        await putKeys(tx, [{ key: parsed.value, name: request.body.name ?? '' }]);
        const after = (await findKey(tx, keyId, null))!;
        await audit.record(tx, originOf(request), {
          action: 'key.put',
          accountId: after.account_id,
          target: { key_id: keyId, app_id: after.app_id },
          ...(before ? { before: presentKey(before, context.now()) } : {}),
          after: presentKey(after, context.now()),
        });
        return { created: !before, row: after };
      });
      return reply.code(stored.created ? 201 : 200).send(presentKey(stored.row, context.now()));
    },
  );

  app.get(
    '/admin/v1/keys/:keyId',
    {
      onRequest: auth.operator,
      schema: {
        operationId: 'readKey',
        tags,
        security,
        summary: 'Get any key',
        params,
        response: { 200: keyReply, ...problemReplies('credentials_invalid', 'forbidden', 'not_found') },
      },
    },
    async (request) => {
      const row = await findKey(db, request.params.keyId, null);
      if (!row) throw notFound('key');
      return presentKey(row, context.now());
    },
  );

  app.delete(
    '/admin/v1/keys/:keyId',
    {
      onRequest: auth.operator,
      schema: {
        operationId: 'deleteKey',
        tags,
        security,
        summary: 'Remove a key',
        params,
        response: {
          204: Type.Null({ description: 'Removed.' }),
          ...problemReplies('credentials_invalid', 'forbidden', 'not_found'),
        },
      },
    },
    async (request, reply) => {
      await db.transaction(async (tx) => {
        const row = await findKey(tx, request.params.keyId, null, true);
        if (!row) throw notFound('key');
        await deleteKeys(tx, [row.key_id]);
        await audit.record(tx, originOf(request), {
          action: 'key.delete',
          accountId: row.account_id,
          target: { key_id: row.key_id, app_id: row.app_id },
          before: presentKey(row, context.now()),
        });
      });
      return reply.code(204).send(null);
    },
  );

  app.post(
    '/admin/v1/keys::batch',
    {
      onRequest: auth.operator,
      bodyLimit: 16 << 20,
      schema: {
        operationId: 'putKeys',
        tags,
        security,
        summary: 'Push and remove many keys, all or none',
        body: keyBatchSchema,
        response: {
          200: Type.Object({ put: Type.Integer(), deleted: Type.Integer() }),
          ...problemReplies('credentials_invalid', 'forbidden', 'conflict', 'validation_failed'),
        },
      },
    },
    async (request) => {
      const parsed = parseKeyBatch(request.body);
      if (!parsed.ok) throw invalid(parsed.errors);
      const last = new Map(parsed.value.map((entry) => [entry.keyId, entry]));
      const pushed: PushedKey[] = [];
      const removed: string[] = [];
      for (const entry of last.values()) {
        if (entry.key) pushed.push({ key: entry.key, name: entry.name ?? '' });
        else removed.push(entry.keyId);
      }
      return await db.transaction(async (tx) => {
        const deleted = removed.length > 0 ? await deleteKeys(tx, removed) : 0;
        if (pushed.length > 0) await putKeys(tx, pushed);
        await audit.record(tx, originOf(request), {
          action: 'key.batch',
          target: { put: pushed.length, deleted },
          after: { put: pushed.map(({ key }) => key.id), deleted: removed },
        });
        return { put: pushed.length, deleted };
      });
    },
  );
};

async function deleteKeys(tx: Queryable, keyIds: readonly string[]): Promise<number> {
  return await tx.execute('DELETE FROM dev_app_keys WHERE key_id = ANY($1)', [keyIds]);
}

/** Sets keys whole. Apps that are not known yet are made under the account of external portals. */
export async function putKeys(tx: Queryable, pushed: readonly PushedKey[]): Promise<void> {
  const apps = [...new Set(pushed.map(({ key }) => key.app).filter((id) => id !== undefined))];
  if (apps.length > 0) {
    await tx.execute(
      'INSERT INTO dev_accounts (id, email, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING',
      [externalAccount.id, externalAccount.email, externalAccount.name],
    );
    await tx.execute(
      `INSERT INTO dev_apps (id, account_id, name) SELECT id, $2, id FROM unnest($1::text[]) AS named (id)
       ON CONFLICT DO NOTHING`,
      [apps, externalAccount.id],
    );
  }
  const rows = pushed.map(({ key, name }) => ({
    key_id: key.id,
    app_id: key.app ?? null,
    kind: key.kind,
    environment: key.environment,
    name,
    secrets: key.secrets,
    scopes: key.scopes ?? null,
    addresses: key.addresses ?? null,
    api_version: key.version ?? null,
    plan: key.plan ?? null,
    expires_at: key.expiresAt === undefined ? null : new Date(key.expiresAt).toISOString(),
    burst_limit: key.quota?.burst ?? null,
    sustained_limit: key.quota?.sustainedPerMinute ?? null,
    daily_quota: key.quota?.daily ?? null,
    overage_action: key.quota?.overage ?? null,
  })) satisfies (Partial<Omit<KeyRow, 'expires_at'>> & Record<string, unknown>)[];
  const text = JSON.stringify(rows);
  await tx.execute(
    `INSERT INTO dev_app_keys
       (key_id, app_id, kind, environment, name, secrets, scopes, addresses, api_version, plan, expires_at)
     SELECT key_id, app_id, kind, environment, name, secrets, scopes, addresses, api_version, plan, expires_at
     FROM jsonb_to_recordset($1::jsonb) AS pushed (
       key_id text, app_id text, kind text, environment text, name text, secrets jsonb, scopes text[],
       addresses jsonb, api_version text, plan text, expires_at timestamptz)
     ON CONFLICT (key_id) DO UPDATE SET
       app_id = excluded.app_id, kind = excluded.kind, environment = excluded.environment, name = excluded.name,
       secrets = excluded.secrets, scopes = excluded.scopes, addresses = excluded.addresses,
       api_version = excluded.api_version, plan = excluded.plan, expires_at = excluded.expires_at,
       public_key = NULL, status = 'active', revoked_at = NULL, revoked_reason = NULL, updated_at = now()`,
    [text],
  );
  await tx.execute(
    `INSERT INTO api_key_quotas (key_id, burst_limit, sustained_limit, daily_quota, overage_action)
     SELECT key_id, burst_limit, sustained_limit, daily_quota, overage_action
     FROM jsonb_to_recordset($1::jsonb) AS pushed (
       key_id text, burst_limit integer, sustained_limit integer, daily_quota bigint, overage_action text)
     ON CONFLICT (key_id) DO UPDATE SET
       burst_limit = excluded.burst_limit, sustained_limit = excluded.sustained_limit,
       daily_quota = excluded.daily_quota, overage_action = excluded.overage_action`,
    [text],
  );
}
