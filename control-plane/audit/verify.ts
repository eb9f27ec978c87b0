import { createHash } from 'node:crypto';
import { type Database, readInBatches } from '../database/database.ts';

export interface AuditProblem {
  readonly id: number;
  readonly problem: 'changed' | 'gap' | 'reordered' | 'missing_end';
}

export interface AuditVerification {
  readonly entries: number;
  readonly head: { readonly id: number; readonly hash: string };
  /** The first ones, at most 100. Empty: the log is whole. */
  readonly problems: readonly AuditProblem[];
}

interface ChainRow {
  id: number;
  micros: string;
  actor: string;
  action: string;
  account_id: string | null;
  target: string;
  before: string | null;
  after: string | null;
  ip: string | null;
  request_id: string | null;
  previous_hash: string;
  hash: string;
}

const maxProblems = 100;
const zero = '0'.repeat(64);

/**
 * Recomputes the hash chain of `dev_portal_audit`, without trusting anything that the database computes: any entry
 * that was changed, removed, added aside or reordered shows. `anchor`, a head noted earlier, shows a rewritten past.
 */
export async function verifyAudit(
  db: Database,
  anchor: { readonly id: number; readonly hash: string } | null = null,
): Promise<AuditVerification> {
  return await db.transaction(async (tx) => {
    const problems: AuditProblem[] = [];
    const note = (id: number, problem: AuditProblem['problem']): void => {
      if (problems.length < maxProblems) problems.push({ id, problem });
    };
    const [head] = await tx.query<{ id: number; hash: string }>('SELECT id, hash FROM audit_head');
    let last = { id: 0, hash: zero };
    let entries = 0;
    const batches = readInBatches<ChainRow>(
      tx,
      `SELECT id, (extract(epoch FROM created_at) * 1000000)::bigint::text AS micros, actor, action, account_id,
              target::text, before::text, after::text, ip, request_id, previous_hash, hash
       FROM dev_portal_audit ORDER BY id`,
      [],
      1000,
    );
    for await (const rows of batches) {
      for (const row of rows) {
        entries++;
        if (row.id !== last.id + 1) note(row.id, 'gap');
        else if (row.previous_hash !== last.hash) note(row.id, 'reordered');
        if (hashEntry(row) !== row.hash) note(row.id, 'changed');
        if (anchor?.id === row.id && anchor.hash !== row.hash) note(row.id, 'changed');
        last = { id: row.id, hash: row.hash };
      }
    }
    if (head!.id !== last.id || head!.hash !== last.hash) note(head!.id, 'missing_end');
    if (anchor !== null && anchor.id > last.id) note(anchor.id, 'missing_end');
    return { entries, head: { id: last.id, hash: last.hash }, problems };
  }, 'repeatable read');
}

function hashEntry(row: ChainRow): string {
  const fields = [
    row.previous_hash,
    String(row.id),
    row.micros,
    row.actor,
    row.action,
    row.account_id,
    row.target,
    row.before,
    row.after,
    row.ip,
    row.request_id,
  ];
  const hash = createHash('sha256');
  for (const field of fields)
    hash.update(field === null ? '-' : `${Buffer.byteLength(field)}:${field}`, 'utf8');
  return hash.digest('hex');
}
