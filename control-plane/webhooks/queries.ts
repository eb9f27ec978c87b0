import type { Queryable } from '../database/database.ts';

export interface SealedSecret {
  readonly dataKey: string;
  readonly box: string;
  /** Milliseconds since the epoch; absent: does not expire. */
  readonly expiresAt?: number;
}

export interface EndpointRow {
  id: string;
  account_id: string;
  url: string;
  description: string;
  event_types: string[];
  secrets: SealedSecret[];
  status: 'enabled' | 'disabled';
  disabled_reason: string | null;
  failing_since: Date | null;
  created_at: Date;
  updated_at: Date;
}

export interface DeliveryRow {
  id: string;
  event_id: string;
  endpoint_id: string;
  status: 'pending' | 'delivered' | 'failed';
  attempts: number;
  next_attempt_at: Date | null;
  created_at: Date;
  finished_at: Date | null;
  type: string;
}

export interface AttemptRow {
  attempted_at: Date;
  duration_ms: number;
  status_code: number | null;
  error: string | null;
  request_excerpt: string;
  response_excerpt: string | null;
}

export async function findEndpoint(
  db: Queryable,
  id: string,
  accountId: string | null,
  lock = false,
): Promise<EndpointRow | undefined> {
  const [row] = await db.query<EndpointRow>(
    `SELECT * FROM webhook_endpoints WHERE id = $1 AND ($2::text IS NULL OR account_id = $2)${lock ? ' FOR UPDATE' : ''}`,
    [id, accountId],
  );
  return row;
}

export async function listEndpoints(db: Queryable, accountId: string | null): Promise<EndpointRow[]> {
  return await db.query<EndpointRow>(
    `SELECT * FROM webhook_endpoints WHERE $1::text IS NULL OR account_id = $1 ORDER BY created_at, id LIMIT 500`,
    [accountId],
  );
}

export async function insertEndpoint(
  tx: Queryable,
  endpoint: Pick<EndpointRow, 'id' | 'account_id' | 'url' | 'description' | 'event_types' | 'secrets'>,
): Promise<EndpointRow> {
  const [row] = await tx.query<EndpointRow>(
    `INSERT INTO webhook_endpoints (id, account_id, url, description, event_types, secrets)
     VALUES ($1, $2, $3, $4, $5, $6) RETURNING *`,
    [
      endpoint.id,
      endpoint.account_id,
      endpoint.url,
      endpoint.description,
      endpoint.event_types,
      JSON.stringify(endpoint.secrets),
    ],
  );
  return row!;
}

export async function updateEndpoint(tx: Queryable, row: EndpointRow): Promise<EndpointRow> {
  const [updated] = await tx.query<EndpointRow>(
    `UPDATE webhook_endpoints SET url = $2, description = $3, event_types = $4, secrets = $5, status = $6,
       disabled_reason = $7, failing_since = $8, updated_at = now() WHERE id = $1 RETURNING *`,
    [
      row.id,
      row.url,
      row.description,
      row.event_types,
      JSON.stringify(row.secrets),
      row.status,
      row.disabled_reason,
      row.failing_since,
    ],
  );
  return updated!;
}

export async function listDeliveries(
  db: Queryable,
  endpointId: string,
  before: readonly string[] | null,
  limit: number,
): Promise<DeliveryRow[]> {
  return await db.query<DeliveryRow>(
    `SELECT d.*, e.type FROM webhook_deliveries d JOIN events e ON e.id = d.event_id
     WHERE d.endpoint_id = $1 AND ($2::timestamptz IS NULL OR (d.created_at, d.id) < ($2, $3))
     ORDER BY d.created_at DESC, d.id DESC LIMIT $4`,
    [endpointId, before?.[0] ?? null, before?.[1] ?? null, limit],
  );
}

export async function findDelivery(
  db: Queryable,
  endpointId: string,
  deliveryId: string,
): Promise<(DeliveryRow & { payload: object }) | undefined> {
  const [row] = await db.query<DeliveryRow & { payload: object }>(
    `SELECT d.*, e.type, e.payload FROM webhook_deliveries d JOIN events e ON e.id = d.event_id
     WHERE d.id = $1 AND d.endpoint_id = $2`,
    [deliveryId, endpointId],
  );
  return row;
}

export async function listAttempts(db: Queryable, deliveryId: string): Promise<AttemptRow[]> {
  return await db.query<AttemptRow>('SELECT * FROM webhook_attempts WHERE delivery_id = $1 ORDER BY id', [
    deliveryId,
  ]);
}

export interface DueDelivery {
  id: string;
  event_id: string;
  endpoint_id: string;
  attempts: number;
  created_at: Date;
  payload: object;
}

/**
 * Takes due deliveries for one attempt each. Until `leaseMs` have passed nobody else takes them; if this process dies
 * meanwhile, they are due again then.
 */
export async function claimDue(
  db: Queryable,
  now: Date,
  leaseMs: number,
  limit: number,
): Promise<DueDelivery[]> {
  return await db.query<DueDelivery>(
    `WITH due AS (
       SELECT d.id FROM webhook_deliveries d JOIN webhook_endpoints w ON w.id = d.endpoint_id
       WHERE d.status = 'pending' AND d.next_attempt_at <= $1 AND w.status = 'enabled'
       ORDER BY d.next_attempt_at LIMIT $3 FOR UPDATE OF d SKIP LOCKED
     ), taken AS (
       UPDATE webhook_deliveries d SET next_attempt_at = $2 FROM due WHERE d.id = due.id
       RETURNING d.id, d.event_id, d.endpoint_id, d.attempts, d.created_at
     )
     SELECT taken.*, e.payload FROM taken JOIN events e ON e.id = taken.event_id`,
    [now, new Date(now.getTime() + leaseMs), limit],
  );
}
