import type { Database, Queryable } from '../database/database.ts';
import { type Alert, operatorAccount } from './raise.ts';
import { composeDigest, composeNotice, type NoticeText } from './texts.ts';

/** Sends one e-mail; rejects when the server did not take it. */
export type SendMail = (to: string, notice: NoticeText) => Promise<void>;

const retryMs = [1, 5, 15, 60, 180, 360, 720].map((minutes) => minutes * 60_000);

interface EventRow {
  id: string;
  type: string;
  account_id: string;
  payload: { data: Alert['payload'] };
  mode: 'immediate' | 'digest' | 'off' | null;
  address: string | null;
  muted_types: string[] | null;
  account_email: string | null;
}

/** When the next digest goes out. */
export function nextDigestAt(now: Date, hour: number): Date {
  const today = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate(), hour);
  return new Date(today > now.getTime() ? today : today + 86_400_000);
}

/** Makes the notices of events that have none yet, as their accounts prefer. */
export async function makeNotices(
  db: Database,
  now: Date,
  operatorAddress: string | null,
  digestHour: number,
): Promise<void> {
  await db.transaction(async (tx) => {
    const events = await tx.query<EventRow>(
      `SELECT e.id, e.type, e.account_id, e.payload, p.email AS mode, p.address, p.muted_types,
         a.email AS account_email
       FROM events e LEFT JOIN dev_accounts a ON a.id = e.account_id
         LEFT JOIN notice_preferences p ON p.account_id = e.account_id
       WHERE NOT e.noticed ORDER BY e.created_at LIMIT 500 FOR UPDATE OF e SKIP LOCKED`,
    );
    for (const event of events) {
      await tx.execute('UPDATE events SET noticed = true WHERE id = $1', [event.id]);
      const mode = event.mode ?? 'immediate';
      const address =
        event.account_id === operatorAccount ? operatorAddress : (event.address ?? event.account_email);
      if (mode === 'off' || address === null || event.muted_types?.includes(event.type)) continue;
      if (composeNotice(event.type, event.payload.data) === null) continue;
      const digest = mode === 'digest';
      await tx.execute(
        `INSERT INTO notices (event_id, account_id, address, digest, next_attempt_at) VALUES ($1, $2, $3, $4, $5)`,
        [event.id, event.account_id, address, digest, digest ? nextDigestAt(now, digestHour) : now],
      );
    }
  });
}

interface DueNotice {
  id: number;
  address: string;
  digest: boolean;
  attempts: number;
  type: string;
  payload: { data: Alert['payload'] };
}

/**
 * Sends what is due, digests as one e-mail for each address; tells how many e-mails were sent. A notice is sent twice
 * only if the process dies between the server's acceptance and the note of it.
 */
export async function sendNotices(db: Database, now: Date, send: SendMail): Promise<number> {
  const due = await takeDue(db, now);
  const mails = new Map<string, DueNotice[]>();
  for (const notice of due) {
    const name = notice.digest ? `digest ${notice.address}` : `one ${notice.id}`;
    mails.set(name, [...(mails.get(name) ?? []), notice]);
  }
  let sent = 0;
  for (const notices of mails.values()) {
    const texts = notices.flatMap(({ type, payload }) => composeNotice(type, payload.data) ?? []);
    let error: string | null = null;
    try {
      await send(notices[0]!.address, composeDigest(texts));
      sent++;
    } catch (failure) {
      error = (failure as Error).message.slice(0, 500);
    }
    for (const notice of notices) await settle(db, notice, now, error);
  }
  return sent;
}

/** Nobody else takes them for ten minutes. */
async function takeDue(db: Queryable, now: Date): Promise<DueNotice[]> {
  return await db.query<DueNotice>(
    `WITH due AS (
       SELECT id FROM notices WHERE next_attempt_at <= $1 ORDER BY next_attempt_at LIMIT 500 FOR UPDATE SKIP LOCKED
     ), taken AS (
       UPDATE notices n SET next_attempt_at = $2 FROM due WHERE n.id = due.id
       RETURNING n.id, n.address, n.digest, n.attempts, n.event_id
     )
     SELECT taken.id, taken.address, taken.digest, taken.attempts, e.type, e.payload
     FROM taken JOIN events e ON e.id = taken.event_id ORDER BY taken.id`,
    [now, new Date(now.getTime() + 600_000)],
  );
}

async function settle(db: Queryable, notice: DueNotice, now: Date, error: string | null): Promise<void> {
  const pauseMs = error === null ? undefined : retryMs[notice.attempts];
  await db.execute(
    'UPDATE notices SET attempts = attempts + 1, sent_at = $2, last_error = $3, next_attempt_at = $4 WHERE id = $1',
    [
      notice.id,
      error === null ? now : null,
      error,
      pauseMs === undefined ? null : new Date(now.getTime() + pauseMs),
    ],
  );
}
