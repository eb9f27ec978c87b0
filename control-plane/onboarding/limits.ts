import type { Database, Queryable } from '../database/database.ts';

/** At most `limit` requests in any `windowMs`, for one subject. */
export interface WindowLimit {
  readonly subject: string;
  readonly limit: number;
  readonly windowMs: number;
}

export interface WindowDecision {
  readonly admitted: boolean;
  /** Of the tightest limit, after this request. */
  readonly limit: number;
  readonly remaining: number;
  /** Until the window of the tightest limit frees a request. */
  readonly resetMs: number;
  /** Until this request could be admitted; 0 when it was. */
  readonly retryAfterMs: number;
}

interface Window {
  readonly limit: WindowLimit;
  readonly hits: readonly number[];
}

/** The hits that still count, oldest first. */
function live(hits: readonly number[], windowMs: number, nowMs: number): number[] {
  return hits.filter((hit) => hit > nowMs - windowMs);
}

/** Judges windows together: admitted only if all admit. Pure. */
export function judge(windows: readonly Window[], nowMs: number): WindowDecision {
  let admitted = true;
  let retryAfterMs = 0;
  for (const { limit, hits } of windows) {
    if (hits.length < limit.limit) continue;
    admitted = false;
    const freeing = hits[hits.length - limit.limit]!;
    retryAfterMs = Math.max(retryAfterMs, freeing + limit.windowMs - nowMs);
  }
  let tightest: WindowDecision | null = null;
  for (const { limit, hits } of windows) {
    const remaining = Math.max(0, limit.limit - hits.length - (admitted ? 1 : 0));
    if (tightest !== null && tightest.remaining <= remaining) continue;
    const oldest = hits[0] ?? nowMs;
    tightest = {
      admitted,
      limit: limit.limit,
      remaining,
      resetMs: oldest + limit.windowMs - nowMs,
      retryAfterMs,
    };
  }
  return tightest ?? { admitted: true, limit: 0, remaining: 0, resetMs: 0, retryAfterMs: 0 };
}

/**
 * Sliding windows in the database, so that they hold over all instances. Requests of one subject are decided one after
 * the other; a request that one limit refuses counts for none.
 */
export class WindowLimiter {
  readonly #db: Database;
  readonly #now: () => number;

  constructor(db: Database, now: () => number) {
    this.#db = db;
    this.#now = now;
  }

  /** Decides, and counts the request when it is admitted and `count` is not false. */
  take(limits: readonly WindowLimit[], count = true): Promise<WindowDecision> {
    return this.#db.transaction((tx) => this.takeWithin(tx, limits, count));
  }

  async takeWithin(tx: Queryable, limits: readonly WindowLimit[], count = true): Promise<WindowDecision> {
    const nowMs = this.#now();
    // In one order everywhere, so that two requests never wait for each other.
    const ordered = [...limits].sort((a, b) => (a.subject < b.subject ? -1 : 1));
    const windows: Window[] = [];
    for (const limit of ordered) {
      const [row] = await tx.query<{ hits: (number | string)[] }>(
        `INSERT INTO onboarding_limits (subject, forget_at) VALUES ($1, $2)
         ON CONFLICT (subject) DO UPDATE SET forget_at = greatest(onboarding_limits.forget_at, excluded.forget_at)
         RETURNING hits`,
        [limit.subject, new Date(nowMs + limit.windowMs)],
      );
      windows.push({ limit, hits: live(row!.hits.map(Number), limit.windowMs, nowMs) });
    }
    const decision = judge(windows, nowMs);
    if (decision.admitted && count) {
      for (const { limit, hits } of windows) {
        await tx.execute('UPDATE onboarding_limits SET hits = $2::bigint[] WHERE subject = $1', [
          limit.subject,
          `{${[...hits, nowMs].join(',')}}`,
        ]);
      }
    }
    return decision;
  }

  /** Forgets subjects whose windows have passed. */
  async sweep(): Promise<void> {
    await this.#db.execute('DELETE FROM onboarding_limits WHERE forget_at < $1', [new Date(this.#now())]);
  }
}
