import Type from 'typebox';
import { findApp } from '../apps/queries.ts';
import { originOf } from '../audit/record.ts';
import type { Feature } from '../context.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { notFound } from '../http/problem.ts';
import { requireRole, visibleAccount } from '../identity/caller.ts';
import { findKey } from '../keys/queries.ts';
import { keyParams } from '../keys/schema.ts';
import { rotateDueKeys, waitingSubject } from './rotation.ts';
import { tidy } from './upkeep.ts';

const rotationIntervalMs = 60_000;
const upkeepIntervalMs = 3_600_000;

const appParams = Type.Object({ appId: Type.String({ minLength: 1, maxLength: 128 }) });
const policySchema = Type.Object(
  {
    every_days: Type.Integer({ minimum: 1, maximum: 3650, examples: [30] }),
    grace_days: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 30, description: 'How long old secrets stay valid. Default: 7.' }),
    ),
  },
  { additionalProperties: false },
);

/** Rotation by schedule, and what is done regularly. */
export const automation: Feature = (app, context) => {
  const { db, audit, auth, secrets, log } = context;
  const common = { tags: ['developer'], security: callers.developer };

  const repeat = (name: string, intervalMs: number, work: () => Promise<unknown>): void => {
    let running: Promise<unknown> | null = null;
    const timer = setInterval(() => {
      running ??= work()
        .catch((error: unknown) => log.error({ err: error }, `${name} failed`))
        .finally(() => {
          running = null;
        });
    }, intervalMs);
    timer.unref();
    context.onClose(async () => {
      clearInterval(timer);
      await running;
    });
  };
  repeat('scheduled rotation', rotationIntervalMs, () => rotateDueKeys(context));
  repeat('upkeep', upkeepIntervalMs, () => tidy(context));

  app.get(
    '/api/dev/apps/:appId/rotation',
    {
      onRequest: auth.developer,
      schema: {
        ...common,
        operationId: 'getRotationPolicy',
        summary: 'Get the rotation schedule of an app',
        params: appParams,
        response: { 200: policySchema, ...problemReplies('credentials_invalid', 'not_found') },
      },
    },
    async (request) => {
      const found = await findApp(db, request.params.appId, visibleAccount(request));
      const [policy] = found
        ? await db.query<{ every_days: number; grace_days: number }>(
            'SELECT every_days, grace_days FROM dev_rotation_policies WHERE app_id = $1',
            [found.id],
          )
        : [];
      if (!policy) throw notFound(found ? 'schedule' : 'app');
      return policy;
    },
  );

  app.put(
    '/api/dev/apps/:appId/rotation',
    {
      onRequest: auth.developer,
      schema: {
        ...common,
        operationId: 'setRotationPolicy',
        summary: 'Rotate the keys of an app by schedule',
        description:
          'Each key gets a new secret every so many days; `key.rotated` tells of it, and `POST /api/dev/keys/{keyId}/claim` gives it out, once.',
        params: appParams,
        body: policySchema,
        response: {
          200: policySchema,
          ...problemReplies('credentials_invalid', 'forbidden', 'not_found', 'validation_failed'),
        },
      },
    },
    async (request) => {
      requireRole(request, 'developer');
      const policy = { every_days: request.body.every_days, grace_days: request.body.grace_days ?? 7 };
      return await db.transaction(async (tx) => {
        const found = await findApp(tx, request.params.appId, visibleAccount(request), true);
        if (!found) throw notFound('app');
        await tx.execute(
          `INSERT INTO dev_rotation_policies (app_id, every_days, grace_days) VALUES ($1, $2, $3)
           ON CONFLICT (app_id) DO UPDATE SET every_days = excluded.every_days, grace_days = excluded.grace_days`,
          [found.id, policy.every_days, policy.grace_days],
        );
        await audit.record(tx, originOf(request), {
          action: 'rotation.set',
          accountId: found.account_id,
          target: { app_id: found.id },
          after: policy,
        });
        return policy;
      });
    },
  );

  app.delete(
    '/api/dev/apps/:appId/rotation',
    {
      onRequest: auth.developer,
      schema: {
        ...common,
        operationId: 'removeRotationPolicy',
        summary: 'Stop rotating by schedule',
        params: appParams,
        response: {
          204: Type.Null({ description: 'Stopped.' }),
          ...problemReplies('credentials_invalid', 'forbidden', 'not_found'),
        },
      },
    },
    async (request, reply) => {
      requireRole(request, 'developer');
      await db.transaction(async (tx) => {
        const found = await findApp(tx, request.params.appId, visibleAccount(request), true);
        if (!found) throw notFound('app');
        await tx.execute('DELETE FROM dev_rotation_policies WHERE app_id = $1', [found.id]);
        await audit.record(tx, originOf(request), {
          action: 'rotation.remove',
          accountId: found.account_id,
          target: { app_id: found.id },
        });
      });
      return reply.code(204).send(null);
    },
  );

  app.post(
    '/api/dev/keys/:keyId/claim',
    {
      onRequest: auth.developer,
      schema: {
        ...common,
        operationId: 'claimSecret',
        summary: 'Fetch the secret that a schedule has made, once',
        params: keyParams,
        response: {
          200: Type.Object({ key_id: Type.String(), secret: Type.String() }),
          ...problemReplies('credentials_invalid', 'forbidden', 'not_found'),
        },
      },
    },
    async (request, reply) => {
      requireRole(request, 'developer');
      const key = await findKey(db, request.params.keyId, visibleAccount(request));
      const [held] = key
        ? await db.query<{ data_key: string; box: string }>(
            'SELECT data_key, box FROM dev_waiting_secrets WHERE key_id = $1',
            [key.key_id],
          )
        : [];
      if (!key || !held) throw notFound(key ? 'waiting secret' : 'key');
      const secret = await secrets.open(waitingSubject(key.key_id), held.data_key, held.box);
      await db.transaction(async (tx) => {
        const taken = await tx.execute('DELETE FROM dev_waiting_secrets WHERE key_id = $1 AND box = $2', [
          key.key_id,
          held.box,
        ]);
        if (taken === 0 || secret === null) throw notFound('waiting secret');
        await audit.record(tx, originOf(request), {
          action: 'key.claim',
          accountId: key.account_id,
          target: { key_id: key.key_id, app_id: key.app_id },
        });
      });
      void reply.header('cache-control', 'no-store');
      return { key_id: key.key_id, secret: secret! };
    },
  );

  app.post(
    '/admin/v1/rotations',
    {
      onRequest: auth.operator,
      schema: {
        operationId: 'rotateDueKeys',
        tags: ['operator'],
        security: callers.operator,
        summary: 'Rotate now what the schedules ask for',
        response: {
          200: Type.Object({ rotated: Type.Integer() }),
          ...problemReplies('credentials_invalid', 'forbidden', 'unavailable'),
        },
      },
    },
    async () => ({ rotated: await rotateDueKeys(context) }),
  );
};
