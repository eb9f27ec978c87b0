import type { Context } from '../context.ts';
import type { Queryable } from '../database/database.ts';
import type { AttemptOutcome, AttemptTarget } from './attempt.ts';
import { publishEvent } from './publish.ts';
import { claimDue, type DueDelivery, type EndpointRow, findEndpoint } from './queries.ts';
import { nextDelayMs, retryDelaysMs } from './schedule.ts';

export interface DispatcherOptions {
  readonly attempt: (target: AttemptTarget, messageId: string, body: string) => Promise<AttemptOutcome>;
  /** The longest that an attempt takes. */
  readonly timeoutMs: number;
  readonly now: () => Date;
  readonly retryDelaysMs?: readonly number[];
  readonly pollMs?: number;
  readonly concurrency?: number;
}

/**
 * Delivers what is due. Rows of `webhook_deliveries` are the queue; any number of instances take from it. Deliveries
 * are at least once and in no promised order.
 */
export class Dispatcher {
  readonly #context: Context;
  readonly #options: DispatcherOptions;
  readonly #concurrency: number;
  readonly #timer: NodeJS.Timeout;
  readonly #underWay = new Set<Promise<void>>();
  #looking: Promise<void> | null = null;
  #lookAgain = false;
  #stopped = false;

  constructor(context: Context, options: DispatcherOptions) {
    this.#context = context;
    this.#options = options;
    this.#concurrency = options.concurrency ?? 20;
    this.#timer = setInterval(() => this.wake(), options.pollMs ?? 1000);
    this.#timer.unref();
  }

  /** Looks for due deliveries now. */
  wake(): void {
    if (this.#stopped) return;
    this.#lookAgain = true;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#looking;
    await Promise.all(this.#underWay);
  }

  async #look(): Promise<void> {
    const { db, log } = this.#context;
    while (this.#lookAgain && !this.#stopped) {
      this.#lookAgain = false;
      const room = this.#concurrency - this.#underWay.size;
      if (room <= 0) return;
      try {
        const due = await claimDue(db, this.#options.now(), this.#options.timeoutMs + 60_000, room);
        for (const delivery of due) this.#begin(delivery);
      } catch (error) {
        log.error({ err: error }, 'webhook deliveries cannot be read');
        return;
      }
    }
  }

  #begin(delivery: DueDelivery): void {
    const work = this.#deliver(delivery)
      .catch((error: unknown) => {
        this.#context.log.error({ err: error, delivery: delivery.id }, 'webhook delivery');
      })
      .finally(() => {
        this.#underWay.delete(work);
        this.wake();
      });
    this.#underWay.add(work);
  }

  async #deliver(delivery: DueDelivery): Promise<void> {
    const { db } = this.#context;
    const endpoint = await findEndpoint(db, delivery.endpoint_id, null);
    if (!endpoint) return;
    const secrets = await this.#openSecrets(endpoint);
    const target = { url: endpoint.url, secrets };
    const outcome = await this.#options.attempt(target, delivery.event_id, JSON.stringify(delivery.payload));
    await db.transaction((tx) => this.#settle(tx, delivery, outcome));
  }

  async #openSecrets(endpoint: EndpointRow): Promise<string[]> {
    const now = this.#options.now().getTime();
    const opened: string[] = [];
    for (const { dataKey, box, expiresAt } of endpoint.secrets) {
      if (expiresAt !== undefined && expiresAt <= now) continue;
      const secret = await this.#context.secrets.open(endpoint.id, dataKey, box);
      if (secret) opened.push(secret);
    }
    return opened;
  }

  async #settle(tx: Queryable, delivery: DueDelivery, outcome: AttemptOutcome): Promise<void> {
    const now = this.#options.now();
    const endpoint = await findEndpoint(tx, delivery.endpoint_id, null, true);
    if (!endpoint) return;
    await tx.execute(
      `INSERT INTO webhook_attempts (delivery_id, attempted_at, duration_ms, status_code, error, request_excerpt,
         response_excerpt) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
      [
        delivery.id,
        now,
        outcome.durationMs,
        outcome.status,
        outcome.error,
        outcome.requestExcerpt,
        outcome.responseExcerpt,
      ],
    );
    const attempts = delivery.attempts + 1;
    const delivered = outcome.status !== null && outcome.status >= 200 && outcome.status < 300;
    const delays = this.#options.retryDelaysMs ?? retryDelaysMs;
    const delayMs =
      delivered || outcome.status === 410 ? null : nextDelayMs(attempts, outcome.retryAfterMs, delays);
    await tx.execute(
      `UPDATE webhook_deliveries SET attempts = $2, status = $3, next_attempt_at = $4, finished_at = $5 WHERE id = $1`,
      [
        delivery.id,
        attempts,
        delivered ? 'delivered' : delayMs === null ? 'failed' : 'pending',
        delayMs === null ? null : new Date(now.getTime() + delayMs),
        delayMs === null ? now : null,
      ],
    );
    if (delivered) {
      if (endpoint.failing_since) {
        await tx.execute('UPDATE webhook_endpoints SET failing_since = NULL WHERE id = $1', [endpoint.id]);
      }
      return;
    }
    const failingSince = endpoint.failing_since ?? now;
    if (!endpoint.failing_since) {
      await tx.execute('UPDATE webhook_endpoints SET failing_since = $2 WHERE id = $1', [endpoint.id, now]);
    }
    if (endpoint.status === 'disabled') return;
    if (outcome.status === 410) await this.#disable(tx, endpoint, 'The endpoint answered 410 Gone.');
    else if (
      delayMs === null &&
      attempts > delays.length &&
      failingSince.getTime() <= firstAttempt(delivery, now)
    ) {
      const since = failingSince.toISOString();
      await this.#disable(tx, endpoint, `No delivery has succeeded since ${since}.`);
    }
  }

  /** Ends what is pending and tells the account, by its other endpoints and by e-mail. */
  async #disable(tx: Queryable, endpoint: EndpointRow, reason: string): Promise<void> {
    await tx.execute(
      `UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = $2, updated_at = now() WHERE id = $1`,
      [endpoint.id, reason],
    );
    await tx.execute(
      `UPDATE webhook_deliveries SET status = 'failed', next_attempt_at = NULL, finished_at = $2
       WHERE endpoint_id = $1 AND status = 'pending'`,
      [endpoint.id, this.#options.now()],
    );
    await publishEvent(tx, {
      type: 'webhook.disabled',
      accountId: endpoint.account_id,
      payload: { endpoint_id: endpoint.id, url: endpoint.url, reason },
    });
  }
}

/** The whole time of a delivery that used up its attempts has to lie within the time of failing. */
function firstAttempt(delivery: DueDelivery, now: Date): number {
  return Math.min(now.getTime(), delivery.created_at.getTime() + 60_000);
}
