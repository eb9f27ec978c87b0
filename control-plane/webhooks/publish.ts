import { randomBytes } from 'node:crypto';
import type { Queryable } from '../database/database.ts';
import { type EventType, payloadVersion } from './event-types.ts';

export interface PublishedEvent {
  readonly type: EventType;
  /** Whose endpoints and preferences decide who is told. */
  readonly accountId: string;
  /** snake_case; never a secret. */
  readonly payload: Readonly<Record<string, unknown>>;
}

/**
 * Publishes an event within the transaction of the change it tells of: endpoints and e-mail get it if and only if that
 * transaction commits. `key.created`, for example, carries `{ key_id, app_id, environment }`. Returns the event's id.
 */
export async function publishEvent(tx: Queryable, event: PublishedEvent): Promise<string> {
  const id = mintMessageId();
  const body = {
    id,
    type: event.type,
    version: payloadVersion,
    timestamp: new Date().toISOString(),
    data: event.payload,
  };
  await tx.execute('INSERT INTO events (id, type, account_id, payload) VALUES ($1, $2, $3, $4)', [
    id,
    event.type,
    event.accountId,
    JSON.stringify(body),
  ]);
  const created = await tx.execute(
    `INSERT INTO webhook_deliveries (id, event_id, endpoint_id, next_attempt_at)
     SELECT 'dlv_' || substr(md5($1 || e.id), 1, 24), $1, e.id, now() FROM webhook_endpoints e
     WHERE e.account_id = $2 AND e.status = 'enabled' AND (e.event_types = '{}' OR $3 = ANY (e.event_types))`,
    [id, event.accountId, event.type],
  );
  await tx.query(`SELECT pg_notify('events', $1)`, [created > 0 ? 'webhooks' : 'notices']);
  return id;
}

export function mintMessageId(): string {
  return `msg_${randomBytes(12).toString('hex')}`;
}
