import {
  copyDecision,
  Decision,
  type Limiter,
  type LimitSet,
  type Subjects,
  thresholdEvent,
} from '../limiter.ts';
import { CallBatcher } from './call-batch.ts';
import type { RedisLimiterOptions } from './exact-limiter.ts';
import type { Lease, LeaseWaiter } from './lease.ts';
import { checkEveryMs, LeaseBook } from './lease-book.ts';

export interface LeasedLimiterOptions extends RedisLimiterOptions {
  /** A clock that only goes forward, in milliseconds. Default: `performance.now`. */
  readonly monotonicMs?: () => number;
  /** A lease that was not used for so long is returned. Default: 1500. */
  readonly idleMs?: number;
}

/** How long closing waits for Redis. */
const closeMs = 1000;

type Verdict = 'spend' | 'refuse' | 'wait';

/**
 * Spends from leases: tokens that the ledger has set aside for this gateway. It decides at once as long as they last,
 * asks for more when half is gone, and waits for Redis only without any.
 */
export class LeasedLimiter implements Limiter {
  /** Decisions taken at once, after waiting for Redis, and without it. */
  immediate = 0;
  waited = 0;
  alone = 0;
  readonly #options: LeasedLimiterOptions;
  readonly #clock: () => number;
  readonly #budgetMs: number;
  readonly #leaseMs: number;
  readonly #idleMs: number;
  readonly #book = new LeaseBook();
  readonly #decision = new Decision();
  readonly #asks: CallBatcher;
  readonly #returns: CallBatcher;
  readonly #waiting: WaitingRequest[] = [];
  #timer: NodeJS.Timeout | null = null;
  readonly #checks: NodeJS.Timeout;
  #sequence = 0;

  constructor(options: LeasedLimiterOptions) {
    this.#options = options;
    this.#clock = options.monotonicMs ?? (() => performance.now());
    this.#budgetMs = options.budgetMs ?? 25;
    this.#leaseMs = options.leaseMs ?? 5000;
    this.#idleMs = options.idleMs ?? 1500;
    const now = (): string => String(options.ledgerNowUs?.() ?? 0);
    const { link, holder } = options;
    const leaseMs = String(this.#leaseMs);
    this.#asks = new CallBatcher({ link, script: 'lease', leading: () => [now(), holder, leaseMs] });
    this.#returns = new CallBatcher({ link, script: 'return', leading: () => [now(), holder] });
    this.#checks = setInterval(() => this.check(), checkEveryMs);
    this.#checks.unref();
  }

  take(set: LimitSet, subjects: Subjects, cost: number, nowMs: number): Decision | Promise<Decision> {
    const now = this.#clock();
    const leases = this.#book.of(set, subjects);
    const verdict = this.judge(set, leases, cost, now);
    if (verdict !== 'wait') {
      this.immediate++;
      return this.conclude(set, leases, cost, now, verdict, this.#decision);
    }
    const { link } = this.#options;
    for (let i = 0; i < leases.length; i++) {
      if (!leases[i]!.covers(cost, now) && link.isAway(leases[i]!.tag)) {
        return this.decideAlone(set, subjects, leases, cost, nowMs);
      }
    }
    const request = new WaitingRequest(this, set, subjects.slice(), leases.slice(), cost, nowMs);
    this.#waiting.push(request);
    if (this.#timer === null) this.#timer = setTimeout(() => this.#expire(), this.#budgetMs);
    this.askFor(request, now);
    return request.result;
  }

  adjust(set: LimitSet, subjects: Subjects, difference: number): Decision {
    const now = this.#clock();
    const leases = this.#book.of(set, subjects);
    for (const lease of leases) {
      if (lease.isConcurrency) continue;
      lease.extra += difference;
      if (!lease.asking) this.#ask(lease, false);
    }
    this.#decision.clear(leases.length);
    this.#describe(leases, now, this.#decision);
    return this.#decision;
  }

  judge(set: LimitSet, leases: readonly Lease[], cost: number, now: number): Verdict {
    let verdict: Verdict = 'spend';
    for (let i = 0; i < leases.length; i++) {
      const lease = leases[i]!;
      if (lease.covers(cost, now)) continue;
      if (!lease.refuses(cost, now)) verdict = 'wait';
      else if (!set.limits[i]!.shadow) return 'refuse';
    }
    return verdict;
  }

  /** Carries out a verdict and describes it in `decision`. */
  conclude(
    set: LimitSet,
    leases: readonly Lease[],
    cost: number,
    now: number,
    verdict: Verdict,
    decision: Decision,
  ): Decision {
    decision.clear(leases.length);
    decision.admitted = verdict === 'spend';
    for (let i = 0; i < leases.length; i++) {
      const lease = leases[i]!;
      const covered = lease.covers(cost, now);
      decision.violated[i] = covered ? 0 : 1;
      if (!covered) {
        if (set.limits[i]!.shadow) decision.shadowed = true;
        else if (lease.retryAt - now > decision.retryAfterMs && lease.refuses(cost, now)) {
          decision.retryAfterMs = lease.retryAt - now;
        } else if (!lease.refuses(cost, now)) decision.violated[i] = 0;
      } else if (verdict === 'spend') {
        if (lease.spend(cost, now)) {
          decision.violated[i] = 1;
          const { overage } = set.limits[i]!;
          if (overage !== 'block' && decision.overage !== 'charge') decision.overage = overage;
        }
        // A single token is fetched when it is needed: held in advance it would be out of reach for others.
        const low = lease.lowWater > 0 && lease.available + lease.over <= lease.lowWater;
        if (low && !lease.isConcurrency && !lease.asking && now >= lease.refusedUntil && cost > 0) {
          this.#prefetch(lease);
        }
      }
    }
    this.#describe(leases, now, decision);
    if (verdict === 'spend') {
      decision.retryAfterMs = 0;
      if (set.hasConcurrency) decision.release = this.#releaser(leases, decision);
    }
    return decision;
  }

  /** Decides without Redis; what is admitted is told to the ledger once it is back. */
  decideAlone(
    set: LimitSet,
    subjects: Subjects,
    leases: readonly Lease[],
    cost: number,
    nowMs: number,
  ): Decision {
    const { away } = this.#options;
    this.alone++;
    if (leases.some((lease) => !lease.seeded)) {
      away.seed(
        set,
        subjects,
        leases.map((lease) => (lease.left < 0 ? -1 : lease.left)),
        nowMs,
      );
      for (const lease of leases) lease.seeded = true;
    }
    for (const lease of leases) this.#book.schedule(lease, this.#idleMs);
    const decision = away.take(set, subjects, cost, nowMs);
    if (decision.admitted && cost > 0 && away.action !== 'closed') {
      for (const lease of leases) {
        const { kind } = lease.prepared.limit;
        // Letting everything through must not leave a debt that keeps a caller out for hours.
        if (kind === 'concurrency' || (away.action === 'open' && kind !== 'quota')) continue;
        lease.extra += cost;
      }
    }
    return decision;
  }

  /** Asks for what a waiting request lacks. */
  askFor(request: WaitingRequest, now: number): void {
    for (const lease of request.leases) {
      if (lease.covers(request.cost, now) || lease.refuses(request.cost, now)) continue;
      lease.waiters.push(request);
      if (!lease.asking) this.#ask(lease, true);
    }
  }

  /** Looks after the leases that are due: renews what is used, returns what is idle, forgets what is empty. */
  check(): void {
    const now = this.#clock();
    const connected = this.#options.link.isConnected();
    for (const lease of this.#book.advance()) {
      lease.expire(now);
      const idle = now - lease.usedAt >= (lease.isConcurrency ? checkEveryMs : this.#idleMs);
      const empty = lease.held === 0 && lease.extra === 0 && lease.waiters.length === 0;
      if (lease.asking || !connected) {
        if (idle && empty && !lease.asking) this.#book.drop(lease);
        else this.#book.schedule(lease, checkEveryMs * 4);
        continue;
      }
      if (idle && lease.available + lease.over > 0) this.#giveBack(lease);
      const ageing = lease.validUntil - now < this.#leaseMs * 0.6;
      if (lease.extra !== 0 || (lease.held > 0 && ageing)) this.#ask(lease, false);
      else if (lease.held > 0 || now < lease.refusedUntil)
        this.#book.schedule(lease, this.#nextCheckMs(lease));
      else if (idle && empty) this.#book.drop(lease);
      else this.#book.schedule(lease, this.#idleMs);
    }
  }

  /** Tokens and slots that are set aside for this gateway and not spent. */
  stranded(): number {
    let sum = 0;
    for (const lease of this.#book.active()) sum += lease.available + lease.over;
    return sum;
  }

  get activeSubjects(): number {
    return this.#book.subjects;
  }

  /** Returns everything and closes the connection. */
  async close(): Promise<void> {
    clearInterval(this.#checks);
    if (this.#timer !== null) clearTimeout(this.#timer);
    const now = this.#clock();
    for (const request of this.#waiting.splice(0)) if (!request.settled) request.expire();
    for (const lease of this.#book.active()) {
      lease.expire(now);
      if (lease.held > 0 || lease.extra !== 0) this.#giveBack(lease);
    }
    await Promise.all([this.#asks.drain(closeMs), this.#returns.drain(closeMs)]);
    await this.#options.link.close();
  }

  /** A free slot is of more use to others than a token, of which there will be new ones. */
  #nextCheckMs(lease: Lease): number {
    return lease.isConcurrency ? checkEveryMs : this.#leaseMs / 4;
  }

  #prefetch(lease: Lease): void {
    if (!this.#options.link.isAway(lease.tag)) this.#ask(lease, true);
  }

  /** `more` false: only report, and keep what is held. */
  #ask(lease: Lease, more: boolean): void {
    lease.asking = true;
    let sentAt = 0;
    let call = { held: 0, want: 0, need: 0, extra: 0 };
    this.#asks.add(lease.tag, {
      writeTo: (keys, args) => {
        sentAt = this.#clock();
        call = lease.prepareCall(sentAt, more);
        const { held, want, need, extra } = call;
        keys.push(lease.key);
        args.push(...lease.prepared.ledgerArguments);
        args.push(String(++this.#sequence), String(held), String(want), String(need), String(extra));
      },
      readFrom: (reply, at) => {
        const granted = reply[at]!;
        if (granted < 0) this.#failed(lease);
        else {
          lease.accept(
            {
              ...{ granted, retryMs: reply[at + 1]! / 1000, left: reply[at + 2]! },
              ...{ resetMs: reply[at + 3]! / 1000, validMs: reply[at + 4]! / 1000 },
            },
            {
              ...{ need: call.need, want: call.want, overage: reply[at + 6] === 1 },
              ...{ others: reply[at + 7] === 1, sentAt, now: this.#clock() },
            },
          );
          this.#tell(lease, reply[at + 5]!);
          this.#answered(lease);
        }
        return at + 8;
      },
      fail: () => this.#failed(lease),
    });
  }

  #answered(lease: Lease): void {
    lease.asking = false;
    this.#book.schedule(lease, this.#nextCheckMs(lease));
    for (const waiter of lease.waiters.splice(0)) waiter.retry();
  }

  #failed(lease: Lease): void {
    lease.callFailed();
    lease.asking = false;
    this.#book.schedule(lease, checkEveryMs);
    // Who waits is decided without Redis when it is away, and asks again when it is not.
    for (const waiter of lease.waiters.splice(0)) waiter.retry();
  }

  #giveBack(lease: Lease): void {
    const unspent = lease.available + lease.over;
    const { extra } = lease;
    lease.available = 0;
    lease.over = 0;
    lease.extra = 0;
    this.#returns.add(lease.tag, {
      writeTo: (keys, args) => {
        keys.push(lease.key);
        args.push(...lease.prepared.ledgerArguments);
        args.push(String(++this.#sequence), String(unspent), String(lease.inUse), String(extra));
      },
      readFrom: (reply, at) => {
        lease.left = reply[at]!;
        return at + 1;
      },
      fail: () => {
        lease.extra += extra;
        if (extra !== 0) this.#book.schedule(lease, checkEveryMs);
      },
    });
  }

  #tell(lease: Lease, percent: number): void {
    if (percent === 0) return;
    const event = thresholdEvent(lease.prepared, lease.subject, percent, Date.now());
    if (event !== null) this.#options.onThreshold?.(event);
  }

  /** As far as this gateway knows: what the ledger had left and what it holds itself. */
  #describe(leases: readonly Lease[], now: number, decision: Decision): void {
    for (let i = 0; i < leases.length; i++) {
      const lease = leases[i]!;
      decision.remaining[i] = Math.max(0, lease.left + lease.available - lease.extra);
      decision.resetMs[i] = Math.max(0, lease.resetAt - now);
    }
  }

  #releaser(leases: readonly Lease[], decision: Decision): (() => void) | null {
    const taken: Lease[] = [];
    for (let i = 0; i < leases.length; i++) {
      if (leases[i]!.isConcurrency && decision.violated[i] === 0) taken.push(leases[i]!);
    }
    if (taken.length === 0) return null;
    return () => {
      for (const lease of taken.splice(0)) {
        lease.inUse--;
        lease.refusedUntil = 0;
        if (this.#clock() < lease.validUntil) lease.available++;
      }
    };
  }

  /** Requests have the same budget, so the oldest expires first and one timer serves them all. */
  #expire(): void {
    this.#timer = null;
    const now = performance.now();
    const waiting = this.#waiting;
    let done = 0;
    while (done < waiting.length) {
      const request = waiting[done]!;
      const rest = request.startedAt + this.#budgetMs - now;
      if (!request.settled && rest > 0.5) {
        this.#timer = setTimeout(() => this.#expire(), rest);
        break;
      }
      if (!request.settled) request.expire();
      done++;
    }
    waiting.splice(0, done);
  }

  retry(request: WaitingRequest): void {
    const now = this.#clock();
    const verdict = this.judge(request.set, request.leases, request.cost, now);
    if (verdict === 'wait') {
      const { link } = this.#options;
      if (request.leases.some((lease) => !lease.covers(request.cost, now) && link.isAway(lease.tag))) {
        request.expire();
      } else this.askFor(request, now);
      return;
    }
    this.waited++;
    request.settle(this.conclude(request.set, request.leases, request.cost, now, verdict, new Decision()));
  }
}

class WaitingRequest implements LeaseWaiter {
  readonly result: Promise<Decision>;
  readonly startedAt = performance.now();
  readonly limiter: LeasedLimiter;
  readonly set: LimitSet;
  readonly subjects: Subjects;
  readonly leases: readonly Lease[];
  readonly cost: number;
  readonly nowMs: number;
  settled = false;
  #resolve!: (decision: Decision) => void;

  constructor(
    limiter: LeasedLimiter,
    set: LimitSet,
    subjects: Subjects,
    leases: readonly Lease[],
    cost: number,
    nowMs: number,
  ) {
    this.limiter = limiter;
    this.set = set;
    this.subjects = subjects;
    this.leases = leases;
    this.cost = cost;
    this.nowMs = nowMs;
    this.result = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  retry(): void {
    if (!this.settled) this.limiter.retry(this);
  }

  settle(decision: Decision): void {
    this.settled = true;
    this.#resolve(decision);
  }

  /** The budget is spent, or Redis is away. */
  expire(): void {
    const { limiter, set, subjects, leases, cost, nowMs } = this;
    this.settle(copyDecision(limiter.decideAlone(set, subjects, leases, cost, nowMs), set.limits.length));
  }
}
