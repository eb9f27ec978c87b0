import type { Database } from '../database/database.ts';
import type { EventType } from '../webhooks/event-types.ts';
import { publishEvent } from '../webhooks/publish.ts';

/** The account of what concerns the operator. */
export const operatorAccount = 'operator';

/** Something that an account is to be told of, once for each mark. */
export interface Alert {
  /** Names the occasion, for example a key, a period and a threshold. */
  readonly mark: string;
  readonly type: EventType;
  readonly accountId: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** Publishes those alerts whose occasion has not been told of before, by any instance; tells how many. */
export async function raiseAlerts(db: Database, alerts: readonly Alert[]): Promise<number> {
  let raised = 0;
  for (const { mark, ...event } of alerts) {
    await db.transaction(async (tx) => {
      const fresh = await tx.execute('INSERT INTO alert_marks (name) VALUES ($1) ON CONFLICT DO NOTHING', [
        mark,
      ]);
      if (fresh === 0) return;
      await publishEvent(tx, event);
      raised++;
    });
  }
  return raised;
}
