import Type from 'typebox';
import { toSections } from '#contract/sections.ts';
import { originOf } from '../audit/record.ts';
import type { Feature } from '../context.ts';
import { sendTagged } from '../http/entity-tag.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { makePage, pageQuery, parseCursor } from '../http/pagination.ts';
import { notFound } from '../http/problem.ts';
import { applyConfiguration } from './apply.ts';
import {
  findConfiguration,
  listConfigurations,
  readConfigurationRevision,
  readResources,
} from './queries.ts';
import { parseResources } from './routes.ts';
import {
  applyBody,
  applyReply,
  configurationReply,
  historyList,
  historyReply,
  revisionParams,
  rollbackBody,
} from './schema.ts';

/** The configuration as a whole: apply, export, history, rollback. */
export const configuration: Feature = (app, context) => {
  const { db, audit, auth } = context;
  const common = { tags: ['operator'], security: callers.operator };

  app.get(
    '/admin/v1/configuration',
    {
      onRequest: auth.operator,
      schema: {
        ...common,
        operationId: 'getConfiguration',
        summary: 'Get all services, routes, versions and plans',
        response: { 200: configurationReply, ...problemReplies('credentials_invalid', 'forbidden') },
      },
    },
    async (request, reply) => {
      const state = await db.transaction(async (tx) => ({
        revision: await readConfigurationRevision(tx),
        resources: toSections(await readResources(tx)),
      }));
      return sendTagged(request, reply, state);
    },
  );

  app.post(
    '/admin/v1/configuration::apply',
    {
      onRequest: auth.operator,
      bodyLimit: 32 << 20,
      schema: {
        ...common,
        operationId: 'applyConfiguration',
        summary: 'Make the configuration what is listed',
        description:
          'All or nothing. With `expected_revision`, only if no one else has changed it since that revision.',
        body: applyBody,
        response: {
          200: applyReply,
          ...problemReplies('credentials_invalid', 'forbidden', 'precondition_failed', 'validation_failed'),
        },
      },
    },
    async (request) => {
      const { resources, prune = false, dry_run: dryRun = false, message = '' } = request.body;
      const { expected_revision: expectedRevision = null } = request.body;
      const applied = await db.transaction(async (tx) => {
        const wanted = parseResources(resources, prune ? [] : await readResources(tx));
        return await applyConfiguration(tx, audit, originOf(request), {
          wanted,
          prune,
          dryRun,
          message,
          expectedRevision,
        });
      });
      return { revision: applied.revision, dry_run: dryRun, changes: [...applied.changes] };
    },
  );

  app.get(
    '/admin/v1/configurations',
    {
      onRequest: auth.operator,
      schema: {
        ...common,
        operationId: 'listConfigurations',
        summary: 'List what the configuration has been, newest first',
        querystring: Type.Object(pageQuery),
        response: {
          200: historyList,
          ...problemReplies('invalid_parameter', 'credentials_invalid', 'forbidden'),
        },
      },
    },
    async (request) => {
      const { limit = 50, cursor } = request.query;
      const below = parseCursor(cursor, ['number']);
      const rows = await listConfigurations(db, below ? Number(below[0]) : null, limit + 1);
      return makePage(
        rows,
        limit,
        (row) => ({ ...row, created_at: row.created_at.toISOString() }),
        (row) => [String(row.revision)],
      );
    },
  );

  app.get(
    '/admin/v1/configurations/:revision',
    {
      onRequest: auth.operator,
      schema: {
        ...common,
        operationId: 'getConfigurationRevision',
        summary: 'Get the configuration of a revision',
        params: revisionParams,
        response: {
          200: historyReply,
          ...problemReplies('invalid_parameter', 'credentials_invalid', 'forbidden', 'not_found'),
        },
      },
    },
    async (request) => {
      const row = await findConfiguration(db, request.params.revision);
      if (!row) throw notFound('revision');
      const { sections, created_at: createdAt, ...rest } = row;
      return { ...rest, created_at: createdAt.toISOString(), resources: sections };
    },
  );

  app.post(
    '/admin/v1/configurations/:revision/rollback',
    {
      onRequest: auth.operator,
      schema: {
        ...common,
        operationId: 'rollBackConfiguration',
        summary: 'Make the configuration what it was at a revision',
        params: revisionParams,
        body: rollbackBody,
        response: {
          200: applyReply,
          ...problemReplies(
            'invalid_parameter',
            'credentials_invalid',
            'forbidden',
            'not_found',
            'validation_failed',
          ),
        },
      },
    },
    async (request) => {
      const { dry_run: dryRun = false, message } = request.body;
      const { revision } = request.params;
      const applied = await db.transaction(async (tx) => {
        const row = await findConfiguration(tx, revision);
        if (!row) throw notFound('revision');
        return await applyConfiguration(tx, audit, originOf(request), {
          wanted: parseResources(row.sections, []),
          prune: true,
          dryRun,
          message: message ?? `Roll back to revision ${revision}`,
          expectedRevision: null,
        });
      });
      return { revision: applied.revision, dry_run: dryRun, changes: [...applied.changes] };
    },
  );
};
