import type { Limit } from '#contract/limits.ts';
import type { Decision, LimitSet } from './limiter.ts';

/**
 * The fields that tell a client where it stands: `RateLimit-Policy` and `RateLimit`
 * (draft-ietf-httpapi-ratelimit-headers-10) for every limit that is enforced, and the older `X-RateLimit-*` for the one
 * with the least left. `X-RateLimit-Reset` is in seconds from now.
 */
export class HeaderFields {
  readonly #policy: string;
  /** Indexes of the limits shown. */
  readonly #shown: readonly number[];
  readonly #prefixes: readonly string[];
  readonly #sizes: readonly string[];

  constructor(set: LimitSet) {
    const shown = set.limits.map((_, i) => i).filter((i) => !set.limits[i]!.shadow);
    const names = uniqueNames(shown.map((i) => set.limits[i]!.limit.name));
    this.#shown = shown;
    this.#prefixes = names.map((name) => `"${name}";r=`);
    this.#sizes = shown.map((i) => String(sizeOf(set.limits[i]!.limit)));
    this.#policy = shown.map((i, at) => policyItem(set.limits[i]!.limit, names[at]!)).join(', ');
  }

  /** Flat header lines, with `Retry-After` when refused; empty when nothing is to be shown. */
  write(decision: Decision, random: number): string[] {
    const shown = this.#shown;
    if (shown.length === 0) return [];
    let items = '';
    let least = 0;
    for (let at = 0; at < shown.length; at++) {
      const i = shown[at]!;
      const remaining = decision.remaining[i]!;
      if (remaining < decision.remaining[shown[least]!]!) least = at;
      if (at > 0) items += ', ';
      items += this.#prefixes[at]! + remaining;
      const resetMs = decision.resetMs[i]!;
      if (resetMs > 0) items += `;t=${Math.ceil(resetMs / 1000)}`;
    }
    const i = shown[least]!;
    const lines = [
      'RateLimit-Policy',
      this.#policy,
      'RateLimit',
      items,
      'X-RateLimit-Limit',
      this.#sizes[least]!,
      'X-RateLimit-Remaining',
      String(decision.remaining[i]),
      'X-RateLimit-Reset',
      String(Math.ceil(decision.resetMs[i]! / 1000)),
    ];
    if (!decision.admitted) lines.push('Retry-After', retryAfter(decision.retryAfterMs, random));
    return lines;
  }
}

/**
 * Seconds until a retry can succeed, spread by up to a tenth (at least a second, at most a minute), so that those who
 * were refused together do not come back together. `random` is in [0, 1).
 */
export function retryAfter(retryAfterMs: number, random: number): string {
  const spreadMs = Math.min(60_000, Math.max(1000, retryAfterMs / 10));
  return String(Math.max(1, Math.ceil((retryAfterMs + random * spreadMs) / 1000)));
}

/** How much a limit admits in `windowSeconds`. */
function sizeOf(limit: Limit): number {
  return limit.kind === 'token_bucket' ? limit.capacity : limit.limit;
}

function policyItem(limit: Limit, name: string): string {
  const item = `"${name}";q=${sizeOf(limit)}`;
  switch (limit.kind) {
    case 'token_bucket':
      return `${item};w=${Math.ceil((limit.capacity * limit.intervalMs) / (limit.refill * 1000))}`;
    case 'sliding_window':
      return `${item};w=${Math.ceil(limit.windowMs / 1000)}`;
    case 'quota':
      return `${item};w=${limit.period === 'day' ? 86_400 : 2_678_400}`;
    case 'concurrency':
      return `${item};qu="concurrent-requests"`;
  }
}

function uniqueNames(names: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return names.map((name) => {
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count === 1 ? name : `${name}-${count}`;
  });
}
