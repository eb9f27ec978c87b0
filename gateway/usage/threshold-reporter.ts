import { setTimeout as delay } from 'node:timers/promises';
import type { ThresholdEvent } from '#contract/limits.ts';

export interface ThresholdReporterOptions {
  /** Origin of the control plane. */
  readonly url: string;
  /** The gateway's token. */
  readonly token: string;
  readonly onFailure?: (error: Error) => void;
  readonly minBackoffMs?: number;
}

const maxWaiting = 1000;
const timeoutMs = 10_000;

/**
 * Tells the control plane that quotas have reached a threshold, so that accounts hear of it before the usage events are
 * counted. What cannot be told is tried again; beyond a thousand the oldest is given up, since counting finds it too.
 */
export class ThresholdReporter {
  readonly #options: ThresholdReporterOptions;
  readonly #stopping = new AbortController();
  #waiting: ThresholdEvent[] = [];
  #sending: Promise<void> | null = null;

  constructor(options: ThresholdReporterOptions) {
    this.#options = options;
  }

  report(event: ThresholdEvent): void {
    if (this.#waiting.length >= maxWaiting) this.#waiting.shift();
    this.#waiting.push(event);
    this.#sending ??= this.#send().finally(() => {
      this.#sending = null;
    });
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    await this.#sending;
  }

  async #send(): Promise<void> {
    const { signal } = this.#stopping;
    // Events of one turn go together.
    await Promise.resolve();
    for (let attempt = 0; this.#waiting.length > 0 && !signal.aborted; ) {
      const events = this.#waiting;
      this.#waiting = [];
      try {
        const response = await fetch(new URL('/usage/v1/thresholds', this.#options.url), {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${this.#options.token}` },
          body: JSON.stringify(events),
          signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
        });
        await response.arrayBuffer();
        if (!response.ok) throw new Error(`the control plane answered ${response.status} to thresholds`);
        attempt = 0;
      } catch (error) {
        if (signal.aborted) return;
        this.#options.onFailure?.(error as Error);
        this.#waiting = [...events, ...this.#waiting].slice(-maxWaiting);
        const pauseMs = Math.min(60_000, (this.#options.minBackoffMs ?? 500) * 2 ** Math.min(attempt++, 10));
        await delay(pauseMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {});
      }
    }
  }
}
