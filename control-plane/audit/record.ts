import type { FastifyRequest } from 'fastify';
import type { Queryable } from '../database/database.ts';

export interface AuditEntry {
  /** For example `key.create`. */
  readonly action: string;
  readonly accountId?: string | null;
  /** What it was done to, by ids: `{ key_id, app_id }`. Never a secret. */
  readonly target: Readonly<Record<string, unknown>>;
  readonly before?: unknown;
  readonly after?: unknown;
}

/** Who did it and from where. */
export interface AuditOrigin {
  readonly actor: string;
  readonly ip: string | null;
  readonly requestId: string | null;
}

/**
 * Appends to `dev_portal_audit`, in the transaction of the change itself and as its last statement: entries are
 * chained one after the other, so the chain is held until commit.
 */
export class AuditLog {
  async record(tx: Queryable, origin: AuditOrigin, entry: AuditEntry): Promise<void> {
    await tx.execute(
      `INSERT INTO dev_portal_audit (actor, action, account_id, target, before, after, ip, request_id)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [
        origin.actor,
        entry.action,
        entry.accountId ?? null,
        JSON.stringify(entry.target),
        entry.before === undefined ? null : JSON.stringify(entry.before),
        entry.after === undefined ? null : JSON.stringify(entry.after),
        origin.ip,
        origin.requestId,
      ],
    );
  }
}

/** The origin of what a request does. */
export function originOf(request: FastifyRequest): AuditOrigin {
  return { actor: request.caller?.actor ?? 'anonymous', ip: request.ip, requestId: request.id };
}

export function systemOrigin(name: string): AuditOrigin {
  return { actor: `system:${name}`, ip: null, requestId: null };
}
