import Type from 'typebox';
import { keyBatchSchema, keyPushSchema, parseKeyBatch, parseKeyPush } from '#contract/key-push.ts';
import { originOf } from '../audit/record.ts';
import type { Feature } from '../context.ts';
import type { Queryable } from '../database/database.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { invalid, notFound } from '../http/problem.ts';
import { findKey } from './queries.ts';
import { presentKey } from './rules.ts';
import { keyReply } from './schema.ts';
import { type PushedKey, putKeys } from './store-many.ts';

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
