import type { Context } from '../context.ts';

/** Forgets what is of no use any more. Safe to run at any time and by several instances. */
export async function tidy({ db }: Context): Promise<void> {
  await db.execute(`DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours'`);
  await db.execute('DELETE FROM dev_sessions WHERE expires_at < now()');
  await db.execute(`DELETE FROM dev_invitations WHERE expires_at < now() - interval '30 days'`);
  await db.execute(`DELETE FROM gateways WHERE last_seen_at < now() - interval '90 days'`);
  // Objects that are gone are kept in the list of changes until every gateway of the last 30 days knows of it.
  await db.query(
    `SELECT registry_compact(coalesce(
       (SELECT min(revision) FROM gateways WHERE last_seen_at > now() - interval '30 days'), 0))`,
  );
}
