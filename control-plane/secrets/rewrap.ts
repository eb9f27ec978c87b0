import { isDeepStrictEqual } from 'node:util';
import type { Secret } from '#contract/registry.ts';
import type { AuditOrigin } from '../audit/record.ts';
import type { Context } from '../context.ts';
import type { DataKeyRow } from './secret-box.ts';

export interface Rewrapped {
  readonly dataKeys: number;
  readonly secrets: number;
  readonly newDataKey: string | null;
}

const batchSize = 500;

/**
 * Wraps every data key anew with the current key provider, under the newest version of its key. With `newDataKey`, a
 * new data key is made first and the secrets of all keys are sealed under it. Keys go on working all the while, and an
 * interrupted run is finished by the next.
 */
export async function rewrap(context: Context, origin: AuditOrigin, newDataKey: boolean): Promise<Rewrapped> {
  const { db, secrets, audit } = context;
  const current = newDataKey ? await secrets.rotate() : null;
  const rows = await db.query<DataKeyRow>(
    'SELECT id, provider, wrapped FROM data_keys ORDER BY created_at, id',
  );
  for (const row of rows) {
    const wrapped = await secrets.wrapAgain(row);
    await db.execute('UPDATE data_keys SET provider = $2, wrapped = $3, rewrapped_at = now() WHERE id = $1', [
      row.id,
      secrets.provider.name,
      wrapped,
    ]);
  }
  const resealed = current === null ? 0 : await resealKeys(context, current);
  await db.transaction((tx) =>
    audit.record(tx, origin, {
      action: 'secrets.rewrap',
      target: { provider: secrets.provider.name },
      after: { data_keys: rows.length, secrets: resealed, new_data_key: current },
    }),
  );
  return { dataKeys: rows.length, secrets: resealed, newDataKey: current };
}

/** Seals the secrets of all keys under the data key `current`. */
async function resealKeys({ db, secrets }: Context, current: string): Promise<number> {
  let resealed = 0;
  for (let after = ''; ; ) {
    const rows = await db.query<{ key_id: string; secrets: Secret[] }>(
      `SELECT key_id, secrets FROM dev_app_keys WHERE key_id > $1 AND kind = 'api_key' ORDER BY key_id LIMIT $2`,
      [after, batchSize],
    );
    if (rows.length === 0) return resealed;
    after = rows.at(-1)!.key_id;
    for (const row of rows) {
      const next: Secret[] = [];
      for (const secret of row.secrets) {
        const opened =
          secret.box && secret.dataKey !== current
            ? await secrets.open(row.key_id, secret.dataKey!, secret.box)
            : null;
        next.push(opened === null ? secret : { ...secret, ...(await secrets.seal(row.key_id, opened)) });
      }
      if (isDeepStrictEqual(next, row.secrets)) continue;
      // A key that was rotated meanwhile has its new secret under the new data key already; the next run sees to it.
      resealed += await db.execute(
        'UPDATE dev_app_keys SET secrets = $2 WHERE key_id = $1 AND secrets = $3::jsonb',
        [row.key_id, JSON.stringify(next), JSON.stringify(row.secrets)],
      );
    }
  }
}
