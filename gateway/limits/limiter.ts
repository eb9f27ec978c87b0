import type { Limit } from '#contract/limits.ts';

/** One limit applied to one counter. */
export interface BoundLimit {
  readonly limit: Limit;
  /** What is counted, for example `key:ak_test_…`; limits of one name on one subject share a counter. */
  readonly subject: string;
}

/** The state of one limit after a decision, for headers and problems. */
export interface LimitState {
  readonly limit: Limit;
  /** What is left, in requests (cost units). */
  readonly remaining: number;
  /** Milliseconds until more is available (bucket: full again; window, quota: the period ends). */
  readonly resetMs: number;
  /** This limit refuses (or, in shadow or with overage, would). */
  readonly violated: boolean;
}

export interface Decision {
  readonly admitted: boolean;
  /** Until a request of this cost could be admitted; 0 when admitted. */
  readonly retryAfterMs: number;
  /** Admitted beyond a quota whose overage is `warn` or `charge`. */
  readonly overage: 'warn' | 'charge' | null;
  readonly states: readonly LimitState[];
  /** Gives back concurrency slots; null when none was taken. */
  readonly release: (() => void) | null;
}

/** Decides limits; all of a request together, all or nothing. */
export interface Limiter {
  take(limits: readonly BoundLimit[], cost: number, nowMs: number): Decision | Promise<Decision>;
}
