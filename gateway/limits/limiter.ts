import type { Limit, LimitScope, Overage, ThresholdEvent } from '#contract/limits.ts';
import { hashText } from './hash.ts';

/** A plan's limit of scope route counts each caller on each route. */
export const callerOnRoute = 6;
export const scopeIndex = {
  key: 0,
  app: 1,
  account: 2,
  route: 3,
  ip: 4,
  subject: 5,
} as const satisfies Record<LimitScope, number>;

/** Whom a request counts for, by `scopeIndex` and `callerOnRoute`; empty where the set does not ask for it. */
export type Subjects = string[];

/** A limit with everything decided that does not depend on the request. */
export interface PreparedLimit {
  readonly limit: Limit;
  /** Index into `Subjects`. */
  readonly scope: number;
  /**
   * The counter within its subject, for example `b/burst`: kind, the route for limits of a route, name. Limits with
   * one identity share a counter, so that a plan's change keeps what has been spent.
   */
  readonly identity: string;
  readonly identityHash: number;
  readonly shadow: boolean;
  readonly overage: Overage;
  /** The counter's key in Redis after its subject. */
  readonly ledgerSuffix: string;
  /** What the scripts are told of the limit: kind, three parameters, shadow. */
  readonly ledgerArguments: readonly string[];
}

const scopeLetters = ['k', 'a', 'c', 'r', 'i', 's', 'x'] as const;
const kindLetters = { token_bucket: 'b', sliding_window: 'w', quota: 'q', concurrency: 'c' } as const;

function prepare(limit: Limit, owner: string): PreparedLimit {
  const letter = kindLetters[limit.kind];
  const period = limit.kind === 'quota' ? (limit.period === 'day' ? 'd' : 'm') : '';
  const identity = `${letter}${period}/${owner === '' ? '' : `${owner}/`}${limit.name}`;
  const scope = owner === '' && limit.scope === 'route' ? callerOnRoute : scopeIndex[limit.scope ?? 'key'];
  return {
    limit,
    scope,
    identity,
    identityHash: hashText(identity, 0x2545f491),
    shadow: limit.shadow === true,
    overage: limit.kind === 'quota' ? (limit.overage ?? 'block') : 'block',
    ledgerSuffix: `}:${scopeLetters[scope]}:${identity}`,
    ledgerArguments: ledgerArguments(limit),
  };
}

const overageNumbers = { block: 0, warn: 1, charge: 2 } as const;

function ledgerArguments(limit: Limit): string[] {
  const shadow = limit.shadow === true ? '1' : '0';
  switch (limit.kind) {
    case 'token_bucket':
      return ['b', String(limit.capacity), String(limit.refill), String(limit.intervalMs), shadow];
    case 'sliding_window':
      return ['w', String(limit.limit), String(limit.windowMs), '0', shadow];
    case 'quota': {
      const overage = overageNumbers[limit.overage ?? 'block'];
      return ['q', String(limit.limit), limit.period === 'day' ? 'd' : 'm', String(overage), shadow];
    }
    case 'concurrency':
      return ['c', String(limit.limit), '0', '0', shadow];
  }
}

/** A limit's share when `parts` gateways each enforce it on their own. */
function shareOf(limit: Limit, parts: number): Limit {
  if (limit.kind === 'token_bucket') {
    // The refill is divided exactly by taking longer for it.
    const capacity = Math.max(1, Math.floor(limit.capacity / parts));
    return { ...limit, capacity, intervalMs: limit.intervalMs * parts };
  }
  return { ...limit, limit: Math.max(1, Math.floor(limit.limit / parts)) };
}

/** Limits that are decided together, all or nothing. Made once for a plan on a route, not per request. */
export class LimitSet {
  readonly limits: readonly PreparedLimit[];
  /** Which scopes occur: bits by `scopeIndex` and `callerOnRoute`. */
  readonly scopeBits: number;
  readonly hasConcurrency: boolean;
  readonly #source: readonly [readonly Limit[], readonly Limit[], string];
  #share: LimitSet | null = null;
  #shareParts = 1;
  #withoutQuotas: LimitSet | null = null;

  /** `ofRoute` are the limits that the route `routeId` adds; their counters belong to that route. */
  constructor(ofPlan: readonly Limit[], ofRoute: readonly Limit[], routeId: string) {
    this.#source = [ofPlan, ofRoute, routeId];
    const known = new Set<string>();
    const prepared: PreparedLimit[] = [];
    for (const [limits, owner] of [
      [ofPlan, ''],
      [ofRoute, routeId],
    ] as const) {
      for (const limit of limits) {
        const one = prepare(limit, owner);
        const counter = `${one.scope}:${one.identity}`;
        if (known.has(counter)) continue;
        known.add(counter);
        prepared.push(one);
      }
    }
    this.limits = prepared;
    this.scopeBits = prepared.reduce((bits, one) => bits | (1 << one.scope), 0);
    this.hasConcurrency = prepared.some((one) => one.limit.kind === 'concurrency');
  }

  /** The limits that are not quotas: what a request is under that spends none. */
  withoutQuotas(): LimitSet {
    if (this.#withoutQuotas === null) {
      const [ofPlan, ofRoute, routeId] = this.#source;
      const kept = (limit: Limit): boolean => limit.kind !== 'quota';
      this.#withoutQuotas = new LimitSet(ofPlan.filter(kept), ofRoute.filter(kept), routeId);
    }
    return this.#withoutQuotas;
  }

  /** The share of each of `parts` gateways that cannot reach the common ledger. Limits keep their places. */
  share(parts: number): LimitSet {
    if (parts <= 1) return this;
    if (this.#share === null || this.#shareParts !== parts) {
      const [ofPlan, ofRoute, routeId] = this.#source;
      const part = (limit: Limit): Limit => shareOf(limit, parts);
      this.#share = new LimitSet(ofPlan.map(part), ofRoute.map(part), routeId);
      this.#shareParts = parts;
    }
    return this.#share;
  }
}

/**
 * What was decided. The engines that answer at once fill the same object again on every call: read it before the
 * next one.
 */
export class Decision {
  admitted = true;
  /** The limiter could not decide and its policy is to refuse; nothing was spent. */
  unavailable = false;
  /** Milliseconds until a request of this cost could be admitted; 0 when admitted. */
  retryAfterMs = 0;
  /** Admitted beyond a quota whose overage is `warn` or `charge`. */
  overage: 'warn' | 'charge' | null = null;
  /** A limit in shadow would have refused. */
  shadowed = false;
  /** Gives back concurrency slots, once; null when none was taken. */
  release: (() => void) | null = null;
  /** For each limit of the set what is left, in requests (cost units). */
  readonly remaining: number[] = [];
  /** For each limit the milliseconds until it is whole again (window, quota: until the period ends). */
  readonly resetMs: number[] = [];
  /** For each limit 1 when it refuses (or, in shadow or with overage, would). */
  readonly violated: number[] = [];

  clear(count: number): void {
    this.admitted = true;
    this.unavailable = false;
    this.retryAfterMs = 0;
    this.overage = null;
    this.shadowed = false;
    this.release = null;
    for (let i = this.remaining.length; i < count; i++) {
      this.remaining.push(0);
      this.resetMs.push(0);
      this.violated.push(0);
    }
  }
}

export type ThresholdSink = (event: ThresholdEvent) => void;

/** The event of a mark that an engine has set. A jump past several thresholds tells the highest. */
export function thresholdEvent(
  { limit }: PreparedLimit,
  subject: string,
  percent: number,
  reachedAt: number,
): ThresholdEvent | null {
  if (limit.kind !== 'quota' || (percent !== 80 && percent !== 90 && percent !== 100)) return null;
  const { name: policy, period } = limit;
  return { subject, scope: limit.scope ?? 'key', policy, period, limit: limit.limit, percent, reachedAt };
}

/** The engines that answer at once fill one object again and again; whoever waits needs his own. */
export function copyDecision(decision: Decision, count: number): Decision {
  const copy = new Decision();
  copy.clear(count);
  const { admitted, unavailable, retryAfterMs, overage, shadowed, release } = decision;
  Object.assign(copy, { admitted, unavailable, retryAfterMs, overage, shadowed, release });
  for (let i = 0; i < count; i++) {
    copy.remaining[i] = decision.remaining[i]!;
    copy.resetMs[i] = decision.resetMs[i]!;
    copy.violated[i] = decision.violated[i]!;
  }
  return copy;
}

/** Decides limits; all of a request together, all or nothing. */
export interface Limiter {
  /** `subjects` may be reused by the caller once this has returned. */
  take(set: LimitSet, subjects: Subjects, cost: number, nowMs: number): Decision | Promise<Decision>;
  /**
   * Corrects what an admitted request has spent, when its cost is known only afterwards: `difference` is added,
   * without refusing. Concurrency is not touched. Null when the new state is not known at once.
   */
  adjust(set: LimitSet, subjects: Subjects, difference: number, nowMs: number): Decision | null;
}
