import { systemOrigin } from '../audit/record.ts';
import type { Context } from '../context.ts';
import { findKey, storeRotation } from '../keys/queries.ts';
import { makeSecret, presentKey, renewedExpiry, rotateSecrets } from '../keys/rules.ts';
import { publishEvent } from '../webhooks/publish.ts';

interface DueKey {
  key_id: string;
  grace_days: number;
  since: Date;
}

const dayMs = 86_400_000;
const batchSize = 100;

/**
 * Gives every key whose rotation is due a new secret, which waits sealed until a developer fetches it. Any number of
 * instances may run this at once: a key is rotated by the one that finds it still due under its lock.
 *
 * @returns how many keys were rotated.
 */
export async function rotateDueKeys(context: Context): Promise<number> {
  let rotated = 0;
  for (;;) {
    const due = await context.db.query<DueKey>(
      `SELECT k.key_id, p.grace_days, coalesce(k.rotated_at, k.created_at) AS since
       FROM dev_rotation_policies p
       JOIN dev_app_keys k ON k.app_id = p.app_id
       WHERE k.status = 'active' AND (k.expires_at IS NULL OR k.expires_at > $1)
         AND coalesce(k.rotated_at, k.created_at) <= $1::timestamptz - p.every_days * interval '1 day'
       ORDER BY since, k.key_id LIMIT $2`,
      [context.now(), batchSize],
    );
    let done = 0;
    for (const key of due) if (await rotateIfDue(context, key)) done++;
    rotated += done;
    if (due.length < batchSize || done === 0) return rotated;
  }
}

async function rotateIfDue(context: Context, due: DueKey): Promise<boolean> {
  const known = await findKey(context.db, due.key_id, null);
  if (!known) return false;
  const { secret, stored } = await makeSecret(context.secrets, known.key_id, known.kind, known.environment);
  const waiting = await context.secrets.seal(waitingSubject(known.key_id), secret);
  return await context.db.transaction(async (tx) => {
    const row = await findKey(tx, due.key_id, null, true);
    const since = row?.rotated_at ?? row?.created_at;
    if (row?.status !== 'active' || since?.getTime() !== due.since.getTime()) return false;
    const now = context.now();
    const secrets = rotateSecrets(row.secrets, stored, row.expires_at, due.grace_days * dayMs, now.getTime());
    await storeRotation(tx, row.key_id, secrets, renewedExpiry(row.lifetime_days, now.getTime()));
    await tx.execute(
      `INSERT INTO dev_waiting_secrets (key_id, data_key, box) VALUES ($1, $2, $3)
       ON CONFLICT (key_id) DO UPDATE SET data_key = excluded.data_key, box = excluded.box, created_at = now()`,
      [row.key_id, waiting.dataKey, waiting.box],
    );
    const after = presentKey((await findKey(tx, row.key_id, null))!, now);
    if (row.account_id !== null) {
      await publishEvent(tx, {
        type: 'key.rotated',
        accountId: row.account_id,
        payload: {
          key_id: row.key_id,
          app_id: row.app_id,
          environment: row.environment,
          expires_at: after.expires_at,
          scheduled: true,
        },
      });
    }
    await context.audit.record(tx, systemOrigin('rotation'), {
      action: 'key.rotate',
      accountId: row.account_id,
      target: { key_id: row.key_id, app_id: row.app_id },
      before: presentKey(row, now),
      after,
    });
    return true;
  });
}

/** What a waiting secret is sealed for: not the key itself, so that boxes cannot be exchanged. */
export function waitingSubject(keyId: string): string {
  return `waiting ${keyId}`;
}
