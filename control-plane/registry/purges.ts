import Type from 'typebox';
import { type Purge, parsePurge, purgeRequestSchema } from '#contract/purge.ts';
import { originOf } from '../audit/record.ts';
import type { App, Context } from '../context.ts';
import type { Database } from '../database/database.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { invalid } from '../http/problem.ts';
import type { RegistryStream } from './stream.ts';

interface PurgeRow {
  /** A bigint, as text. */
  readonly id: string;
  readonly purge: Purge;
}

function lineOf({ id, purge }: PurgeRow): string {
  return `${JSON.stringify({ type: 'purge', id: Number(id), purge })}\n`;
}

/** Tells a gateway that has just connected what was purged in the last day. */
export async function replayPurges(db: Database, stream: RegistryStream): Promise<void> {
  const rows = await db.query<PurgeRow>(
    "SELECT id, purge FROM cache_purges WHERE created_at > now() - interval '1 day' ORDER BY id",
  );
  for (const row of rows) stream.note(lineOf(row));
}

/** Purges of the response caches of all gateways: kept for a day, and told to every stream of every instance. */
export function purges(app: App, context: Context, streams: ReadonlyMap<RegistryStream, unknown>): void {
  const { db, audit, auth, log } = context;
  let told = 0;

  const tell = async (): Promise<void> => {
    const rows = await db.query<PurgeRow>('SELECT id, purge FROM cache_purges WHERE id > $1 ORDER BY id', [
      told,
    ]);
    for (const row of rows) {
      told = Math.max(told, Number(row.id));
      for (const stream of streams.keys()) stream.note(lineOf(row));
    }
  };
  let telling = Promise.resolve();
  const poke = (): Promise<void> => {
    telling = telling
      .then(tell)
      .catch((error: unknown) => log.error({ err: error }, 'cannot read the purges'));
    return telling;
  };
  app.addHook('onReady', async () => {
    const [row] = await db.query<{ last: string | null }>('SELECT max(id) AS last FROM cache_purges');
    told = Number(row?.last ?? 0);
    context.onClose(await db.listen('cache_purges', () => void poke()));
  });
  context.onClose(() => telling);

  app.post(
    '/admin/v1/cache/purge',
    {
      onRequest: auth.operator,
      schema: {
        operationId: 'purgeCache',
        tags: ['operator'],
        summary: 'Purge the response caches of all gateways',
        description:
          'Exactly one of `url`, `prefix`, `key` and `all`. Gateways that are away are told when they are back.',
        security: callers.operator,
        body: purgeRequestSchema,
        response: {
          202: Type.Object({
            id: Type.Integer(),
            soft: Type.Boolean(),
            gateways: Type.Integer({ description: 'Streams of this instance that have been told.' }),
          }),
          ...problemReplies('credentials_invalid', 'forbidden', 'validation_failed'),
        },
      },
    },
    async (request, reply) => {
      const parsed = parsePurge(request.body);
      if (!parsed.ok) throw invalid(parsed.errors);
      const id = await db.transaction(async (tx) => {
        await tx.execute("DELETE FROM cache_purges WHERE created_at < now() - interval '1 day'");
        const [row] = await tx.query<{ id: string }>(
          'INSERT INTO cache_purges (purge) VALUES ($1) RETURNING id',
          [JSON.stringify(parsed.value)],
        );
        await tx.query("SELECT pg_notify('cache_purges', $1)", [String(row!.id)]);
        await audit.record(tx, originOf(request), { action: 'cache.purge', target: { ...parsed.value } });
        return Number(row!.id);
      });
      await poke();
      return reply.code(202).send({ id, soft: parsed.value.soft, gateways: streams.size });
    },
  );
}
