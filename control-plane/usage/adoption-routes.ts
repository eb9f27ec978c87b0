import Type from 'typebox';
import type { App, Context } from '../context.ts';
import { problemReplies } from '../http/openapi.ts';
import { visibleAccount } from '../identity/caller.ts';
import { readAdoption, readInactive, readMigrations } from './adoption.ts';
import { dayMs } from './aggregate.ts';
import { forDevelopers } from './schema.ts';

const nullableText = Type.Union([Type.String(), Type.Null()]);
const day = Type.String({ examples: ['2025-01-15'] });
const daysQuery = (fallback: number) =>
  Type.Object({ days: Type.Optional(Type.Integer({ minimum: 1, maximum: 1095, default: fallback })) });

/** Who uses which version, who has stopped calling, and how migrations get on. Developers see their own account. */
export function addAdoptionRoutes(app: App, { db, auth, now }: Context): void {
  const since = (days: number): string => new Date(now().getTime() - days * dayMs).toISOString().slice(0, 10);
  const tags = ['operator'];
  const security = forDevelopers;
  const refusals = problemReplies('credentials_invalid', 'forbidden', 'invalid_parameter');

  app.get(
    '/api/dev/usage/adoption',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'getVersionAdoption',
        tags,
        security,
        summary: 'Calls and calling apps of each version by day',
        querystring: daysQuery(90),
        response: {
          200: Type.Array(
            Type.Object({ day, version: nullableText, calls: Type.Integer(), apps: Type.Integer() }),
          ),
          ...refusals,
        },
      },
    },
    async (request) => {
      const points = await readAdoption(db, since((request.query.days ?? 90) - 1), visibleAccount(request));
      return points.map((point) => ({ ...point }));
    },
  );

  app.get(
    '/api/dev/usage/inactive',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'getInactiveApps',
        tags,
        security,
        summary: 'Apps without a call for some days, longest first',
        querystring: daysQuery(30),
        response: {
          200: Type.Array(
            Type.Object({
              app_id: Type.String(),
              name: Type.String(),
              account_id: Type.String(),
              owner: Type.String({ description: 'E-mail address.' }),
              created_at: Type.String({ format: 'date-time' }),
              last_call: Type.Union([day, Type.Null()], { description: 'Null: never.' }),
            }),
          ),
          ...refusals,
        },
      },
    },
    async (request) => {
      const apps = await readInactive(db, since(request.query.days ?? 30), visibleAccount(request));
      return apps.map((entry) => ({ ...entry, created_at: entry.created_at.toISOString() }));
    },
  );

  app.get(
    '/admin/v1/usage/migrations',
    {
      onRequest: auth.operator,
      schema: {
        operationId: 'getMigrations',
        tags,
        security: [{ operator: [] }],
        summary: 'How far each deprecated version has been left, and whose apps still call it',
        querystring: daysQuery(30),
        response: {
          200: Type.Array(
            Type.Object({
              version: Type.String(),
              state: Type.String(),
              deprecated_at: nullableText,
              sunset_at: nullableText,
              successor: nullableText,
              calls: Type.Integer(),
              successor_calls: Type.Integer(),
              migrated: Type.Union([Type.Number(), Type.Null()]),
              apps: Type.Array(
                Type.Object({
                  app_id: Type.String(),
                  name: nullableText,
                  account_id: Type.String(),
                  owner: nullableText,
                  calls: Type.Integer(),
                  last_call: day,
                }),
              ),
            }),
          ),
          ...refusals,
        },
      },
    },
    async (request) => (await readMigrations(db, since(request.query.days ?? 30))) as never,
  );
}
