import type { TokenBucket } from '#contract/limits.ts';

/**
 * A bucket is kept as its debt: micro-tokens that have been spent and not yet refilled, as of an instant. A bucket
 * nobody has used, one that is full again and one that has been forgotten are the same thing, and a change of capacity
 * or refill takes effect at once without forgetting what was spent. All values are integers below 2^53.
 */
export const microTokens = 1_000_000;

/** The debt at `nowUs` of a bucket whose debt was `debt` at `atUs`; refill is rounded down. */
export function debtAt(limit: TokenBucket, debt: number, atUs: number, nowUs: number): number {
  if (debt === 0 || nowUs <= atUs) return debt;
  const refilled = Math.floor(((nowUs - atUs) * limit.refill * 1000) / limit.intervalMs);
  return refilled >= debt ? 0 : debt - refilled;
}

/** Microseconds until `debt` is refilled. */
export function refillUs(limit: TokenBucket, debt: number): number {
  return debt <= 0 ? 0 : Math.ceil((debt * limit.intervalMs) / (limit.refill * 1000));
}

export function bucketRemaining(limit: TokenBucket, debt: number): number {
  const left = Math.floor((limit.capacity * microTokens - debt) / microTokens);
  return left < 0 ? 0 : left;
}

/** Microseconds until `cost` fits; until the bucket is full when it never does. */
export function bucketRetryUs(limit: TokenBucket, debt: number, cost: number): number {
  const room = (limit.capacity - cost) * microTokens;
  return refillUs(limit, room < 0 ? debt : debt - room);
}
