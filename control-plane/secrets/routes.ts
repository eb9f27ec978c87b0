import Type from 'typebox';
import { originOf } from '../audit/record.ts';
import type { Feature } from '../context.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { rewrap } from './rewrap.ts';

const time = Type.String({ format: 'date-time' });

/** The data keys and their renewal. */
export const secretsAdministration: Feature = (app, context) => {
  const { db, auth, secrets } = context;
  const common = { tags: ['operator'], security: callers.operator };

  app.get(
    '/admin/v1/secrets',
    {
      onRequest: auth.operator,
      schema: {
        ...common,
        operationId: 'listDataKeys',
        summary: 'List the data keys, which only their provider can open',
        response: {
          200: Type.Object({
            provider: Type.String({ description: 'The key provider that wraps now.' }),
            data: Type.Array(
              Type.Object({
                data_key_id: Type.String(),
                provider: Type.String(),
                created_at: time,
                rewrapped_at: Type.Union([time, Type.Null()]),
                retired_at: Type.Union([time, Type.Null()]),
              }),
            ),
          }),
          ...problemReplies('credentials_invalid', 'forbidden'),
        },
      },
    },
    async () => {
      const rows = await db.query<{
        id: string;
        provider: string;
        created_at: Date;
        rewrapped_at: Date | null;
        retired_at: Date | null;
      }>('SELECT id, provider, created_at, rewrapped_at, retired_at FROM data_keys ORDER BY created_at, id');
      return {
        provider: secrets.provider.name,
        data: rows.map((row) => ({
          data_key_id: row.id,
          provider: row.provider,
          created_at: row.created_at.toISOString(),
          rewrapped_at: row.rewrapped_at?.toISOString() ?? null,
          retired_at: row.retired_at?.toISOString() ?? null,
        })),
      };
    },
  );

  app.post(
    '/admin/v1/secrets/rewrap',
    {
      onRequest: auth.operator,
      schema: {
        ...common,
        operationId: 'rewrapSecrets',
        summary: 'Wrap all data keys anew',
        description: 'After the key of the provider has a new version, or to move to another provider.',
        body: Type.Object(
          {
            new_data_key: Type.Optional(
              Type.Boolean({ description: 'Also make a new data key and seal all secrets under it.' }),
            ),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            provider: Type.String(),
            data_keys: Type.Integer(),
            secrets: Type.Integer(),
            new_data_key: Type.Union([Type.String(), Type.Null()]),
          }),
          ...problemReplies('credentials_invalid', 'forbidden', 'validation_failed', 'unavailable'),
        },
      },
    },
    async (request) => {
      const done = await rewrap(context, originOf(request), request.body.new_data_key ?? false);
      return {
        provider: secrets.provider.name,
        data_keys: done.dataKeys,
        secrets: done.secrets,
        new_data_key: done.newDataKey,
      };
    },
  );
};
