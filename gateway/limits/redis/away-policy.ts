import { Decision, type Limiter, type LimitSet, type Subjects } from '../limiter.ts';

/** What is decided while Redis is away: enforce a share locally, admit everything, or refuse everything (503). */
export type AwayAction = 'local' | 'open' | 'closed';

export interface AwayPolicyOptions {
  readonly action: AwayAction;
  /** Decides with shares of the limits. */
  readonly local: Limiter & {
    seed(set: LimitSet, subjects: Subjects, spent: readonly number[], nowMs: number): void;
  };
  /** How many gateways share the limits, this one included. */
  readonly liveGateways: () => number;
}

/** Decides without Redis, at once. */
export class AwayPolicy {
  /** Decisions made this way. */
  decisions = 0;
  readonly action: AwayAction;
  readonly #options: AwayPolicyOptions;

  constructor(options: AwayPolicyOptions) {
    this.action = options.action;
    this.#options = options;
  }

  take(set: LimitSet, subjects: Subjects, cost: number, nowMs: number): Decision {
    this.decisions++;
    if (this.action === 'local')
      return this.#options.local.take(this.#share(set), subjects, cost, nowMs) as Decision;
    const decision = new Decision();
    decision.clear(set.limits.length);
    if (this.action === 'closed') {
      decision.admitted = false;
      decision.unavailable = true;
    } else {
      set.limits.forEach(({ limit }, i) => {
        decision.remaining[i] = limit.kind === 'token_bucket' ? limit.capacity : limit.limit;
      });
    }
    return decision;
  }

  /** Brings the local counters to where the ledger was last known to be: for each limit what was left, -1 unknown. */
  seed(set: LimitSet, subjects: Subjects, left: readonly number[], nowMs: number): void {
    if (this.action !== 'local') return;
    const parts = Math.max(1, this.#options.liveGateways());
    const share = this.#share(set);
    const spent = share.limits.map(({ limit }, i) => {
      const size = limit.kind === 'token_bucket' ? limit.capacity : limit.limit;
      return left[i]! < 0 ? 0 : Math.max(0, size - Math.floor(left[i]! / parts));
    });
    this.#options.local.seed(share, subjects, spent, nowMs);
  }

  #share(set: LimitSet): LimitSet {
    return set.share(Math.max(1, this.#options.liveGateways()));
  }
}
