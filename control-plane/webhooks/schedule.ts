const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

/** Pauses between the attempts of a delivery, as Standard Webhooks recommends: ten attempts in about three days. */
export const retryDelaysMs: readonly number[] = [
  5 * second,
  5 * minute,
  30 * minute,
  2 * hour,
  5 * hour,
  10 * hour,
  14 * hour,
  20 * hour,
  24 * hour,
];
const maxRetryAfterMs = 24 * hour;

/**
 * When to try again after `attempts` failed ones, in milliseconds; null: no more. Up to a fifth is added at random, so
 * that what failed together does not come back together. A longer wish of the receiver (`Retry-After`) is honoured.
 */
export function nextDelayMs(
  attempts: number,
  retryAfterMs: number | null,
  delays: readonly number[] = retryDelaysMs,
  random: () => number = Math.random,
): number | null {
  const planned = delays[attempts - 1];
  if (planned === undefined) return null;
  const wished = Math.min(retryAfterMs ?? 0, maxRetryAfterMs);
  return Math.max(planned * (1 + random() / 5), wished);
}

/** Milliseconds that a `Retry-After` asks for: seconds or a date; null when there is none or it is not valid. */
export function parseRetryAfter(value: string | undefined, now: number): number | null {
  if (value === undefined) return null;
  const text = value.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * second;
  const date = Date.parse(text);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}
