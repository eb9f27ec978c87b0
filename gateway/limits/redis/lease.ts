import type { PreparedLimit } from '../limiter.ts';
import { ledgerKey } from './ledger-keys.ts';

/** A first slice, before anything is known of the demand: little of a small limit, so that others find the rest. */
function firstSliceOf({ limit }: PreparedLimit): number {
  const size = limit.kind === 'token_bucket' ? limit.capacity : limit.limit;
  return Math.min(8, Math.max(1, Math.floor(size / 64)));
}

/** Slices are sized to last this long. */
const horizonMs = 300;
/** Clocks may differ in speed: a lease is given up before the ledger ends it. */
const validShare = 0.9;

/** Something that waits for a lease to be answered. */
export interface LeaseWaiter {
  readonly cost: number;
  readonly settled: boolean;
  retry(): void;
}

/** What this gateway holds of one counter of the ledger. Times are those of the monotonic clock, in milliseconds. */
export class Lease {
  readonly subject: string;
  readonly tag: string;
  readonly key: string;
  prepared: PreparedLimit;
  /** Tokens (slots, for concurrency) that can be spent without asking. */
  available = 0;
  /** The same, granted beyond a quota whose overage is not `block`. */
  over = 0;
  /** Slots taken and not yet given back. */
  inUse = 0;
  /** Spent without a lease, not yet told to the ledger. */
  extra = 0;
  validUntil = 0;
  /** More is asked for when no more than this is left. */
  lowWater = 0;
  asking = false;
  /** Until then a request of `refusedCost` or more is refused without asking; `retryAt` is what clients are told. */
  refusedUntil = 0;
  refusedCost = 0;
  retryAt = 0;
  /** What the ledger had left for everybody, when it last answered; -1: never. */
  left = -1;
  resetAt = 0;
  usedAt = 0;
  /** Its check is due in the wheel. */
  scheduled = false;
  /** The local counter that stands in while Redis is away has been told what the ledger knew. */
  seeded = false;
  readonly waiters: LeaseWaiter[] = [];
  #want = 1;
  #spent = 0;
  #countedFrom = 0;
  #extraSent = 0;

  constructor(subject: string, tag: string, prepared: PreparedLimit) {
    this.subject = subject;
    this.tag = tag;
    this.prepared = prepared;
    this.key = ledgerKey(tag, prepared);
  }

  get isConcurrency(): boolean {
    return this.prepared.limit.kind === 'concurrency';
  }

  get held(): number {
    return this.available + this.over + this.inUse;
  }

  covers(cost: number, now: number): boolean {
    if (this.isConcurrency) return this.available >= 1 && now < this.validUntil;
    if (cost === 0) return this.left >= 0;
    return this.available + this.over >= cost && now < this.validUntil;
  }

  refuses(cost: number, now: number): boolean {
    return now < this.refusedUntil && cost >= this.refusedCost;
  }

  /** Spends what `covers` has found; says whether some of it lies beyond the quota. */
  spend(cost: number, now: number): boolean {
    this.usedAt = now;
    this.#spent += cost;
    if (this.isConcurrency) {
      this.available--;
      this.inUse++;
      return false;
    }
    const normal = Math.min(cost, this.available);
    this.available -= normal;
    this.over -= cost - normal;
    return cost > normal;
  }

  /** Drops what is not valid any more: the ledger counts it as spent. */
  expire(now: number): void {
    if (now < this.validUntil) return;
    this.available = 0;
    this.over = 0;
  }

  /** The numbers of a call for more: held, want, need, extra. `more` is false when only a report is due. */
  prepareCall(now: number, more: boolean): { held: number; want: number; need: number; extra: number } {
    this.expire(now);
    const have = this.available + this.over;
    let least = Number.POSITIVE_INFINITY;
    let demand = 0;
    for (const { cost, settled } of this.waiters) {
      if (settled) continue;
      const units = this.isConcurrency ? 1 : cost;
      if (units < least) least = units;
      demand += units;
    }
    const need = demand === 0 ? 1 : Math.max(1, least - have);
    let want = 0;
    if (more || demand > 0) {
      // Slots are not held in reserve: their number is small, and they come back to be used again.
      this.#want = this.isConcurrency ? 0 : this.#size(now);
      want = Math.max(need, this.#want + demand - have);
    }
    this.#extraSent = this.extra;
    this.extra = 0;
    return { held: this.held, want, need, extra: this.#extraSent };
  }

  /** Takes in an answer. `sentAt` is when the call was made, which is when the lease begins for this side. */
  accept(
    reply: { granted: number; retryMs: number; left: number; resetMs: number; validMs: number },
    options: { need: number; want: number; overage: boolean; others: boolean; sentAt: number; now: number },
  ): void {
    const { now, need } = options;
    const have = this.available + this.over;
    if (options.overage) this.over += reply.granted;
    else this.available += reply.granted;
    this.left = reply.left;
    this.resetAt = now + reply.resetMs;
    this.validUntil = options.sentAt + reply.validMs * validShare;
    this.seeded = false;
    this.#extraSent = 0;
    if (options.want === 0) return;
    this.lowWater = Math.floor((this.available + this.over) / 2);
    this.#spent = 0;
    this.#countedFrom = now;
    if (reply.granted >= need) {
      this.refusedUntil = 0;
      return;
    }
    this.refusedCost = this.isConcurrency ? 0 : have + need;
    this.retryAt = now + reply.retryMs;
    // What others hold may come back sooner; and nothing is believed for long, since a ledger can be corrected.
    const patienceMs = this.isConcurrency ? 20 : options.others ? 250 : 2000;
    this.refusedUntil = Math.min(this.retryAt, now + patienceMs);
  }

  /** A call was not answered: it may or may not have been carried out. */
  callFailed(): void {
    this.extra += this.#extraSent;
    this.#extraSent = 0;
  }

  /** Enough for a while at the rate of late, at most twice the last size. */
  #size(now: number): number {
    const first = firstSliceOf(this.prepared);
    if (this.#countedFrom === 0) return first;
    // Where there is plenty, a small slice costs nobody anything and saves calls.
    const least = Math.min(first, Math.max(1, Math.floor(this.left / 64)));
    const elapsed = Math.max(1, now - this.#countedFrom);
    const wanted = Math.ceil((this.#spent / elapsed) * horizonMs);
    return Math.max(least, Math.min(wanted, Math.max(first, this.#want * 2)));
  }
}
