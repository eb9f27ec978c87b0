import type { Service } from '#contract/registry.ts';
import type { Upstream } from './client.ts';

/** One target and what this worker knows of its health. */
export class Target {
  readonly upstream: Upstream;
  readonly weight: number;
  pending = 0;
  /** Failures in a row; a success clears them. */
  failures = 0;
  /** Skipped until then (`performance.now()`), while others can serve. */
  ejectedUntil = 0;

  constructor(upstream: Upstream, weight: number) {
    this.upstream = upstream;
    this.weight = weight;
  }

  succeed(): void {
    this.failures = 0;
    this.ejectedUntil = 0;
  }

  /** After `threshold` failures in a row the target rests, twice as long each further time, up to a minute. */
  fail(now: number, threshold: number): void {
    this.failures++;
    if (this.failures >= threshold) {
      this.ejectedUntil = now + Math.min(60_000, 1000 * 2 ** Math.min(6, this.failures - threshold));
    }
  }
}

/**
 * Chooses targets: smooth weighted round robin, or the fewest pending requests for their weight. Targets that rest
 * after failures are passed over; when all rest, the one that has rested longest is tried.
 */
export class Balancer {
  readonly targets: readonly Target[];
  readonly #leastPending: boolean;
  readonly #current: number[];
  readonly #total: number;

  constructor(targets: readonly Target[], strategy: 'round_robin' | 'least_pending') {
    this.targets = targets.filter((target) => target.weight > 0);
    this.#leastPending = strategy === 'least_pending';
    this.#current = this.targets.map(() => 0);
    this.#total = this.targets.reduce((sum, target) => sum + target.weight, 0);
  }

  /** Null when there is no target. `avoid` is not chosen while there is another. */
  choose(now: number, avoid: Target | null): Target | null {
    const { targets } = this;
    if (targets.length < 2) return targets[0] ?? null;
    const chosen = this.#leastPending ? this.#fewest(now, avoid) : this.#next(now, avoid);
    if (chosen) return chosen;
    let best: Target | null = null;
    for (const target of targets) {
      if (target !== avoid && (best === null || target.ejectedUntil < best.ejectedUntil)) best = target;
    }
    return best;
  }

  #next(now: number, avoid: Target | null): Target | null {
    const { targets } = this;
    const current = this.#current;
    let best = -1;
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i]!;
      const score = current[i]! + target.weight;
      current[i] = score;
      if (target === avoid || target.ejectedUntil > now) continue;
      if (best < 0 || score > current[best]!) best = i;
    }
    if (best < 0) return null;
    current[best] = current[best]! - this.#total;
    return targets[best]!;
  }

  #fewest(now: number, avoid: Target | null): Target | null {
    let best: Target | null = null;
    for (const target of this.targets) {
      if (target === avoid || target.ejectedUntil > now) continue;
      if (best === null || target.pending / target.weight < best.pending / best.weight) best = target;
    }
    return best;
  }
}

const defaults = { connectTimeoutMs: 2000, responseTimeoutMs: 30_000, idleTimeoutMs: 30_000 };

/** The upstream that a target's origin and its service's settings describe. */
export function describeUpstream(origin: string, service: Service): Upstream {
  const url = new URL(origin);
  const secure = url.protocol === 'https:';
  return {
    origin: url.origin,
    secure,
    hostname: url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname,
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
    authority: url.host,
    http2: service.http2 ?? false,
    connectTimeoutMs: service.connectTimeoutMs ?? defaults.connectTimeoutMs,
    responseTimeoutMs: service.responseTimeoutMs ?? defaults.responseTimeoutMs,
    idleTimeoutMs: service.idleTimeoutMs ?? defaults.idleTimeoutMs,
  };
}
