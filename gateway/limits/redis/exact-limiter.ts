import {
  copyDecision,
  Decision,
  type Limiter,
  type LimitSet,
  type Subjects,
  type ThresholdSink,
  thresholdEvent,
} from '../limiter.ts';
import type { AwayPolicy } from './away-policy.ts';
import { type BatchEntry, CallBatcher } from './call-batch.ts';
import { ledgerKey, ledgerTag, slotOf } from './ledger-keys.ts';
import type { LedgerLink } from './redis-link.ts';

export interface RedisLimiterOptions {
  readonly link: LedgerLink;
  readonly away: AwayPolicy;
  /** Names this limiter in the ledger; no two living ones alike. Letters, digits, `-` and `_`. */
  readonly holder: string;
  /** How long a decision may wait for Redis. Default: 25. */
  readonly budgetMs?: number;
  /** How long the ledger believes in a holder that says nothing. Default: 5000. */
  readonly leaseMs?: number;
  readonly onThreshold?: ThresholdSink;
  /** The ledger's clock in microseconds; for tests. Default: that of Redis. */
  readonly ledgerNowUs?: () => number;
}

interface Waiting {
  readonly startedAt: number;
  expire(): void;
  settled: boolean;
}

/** How long closing waits for Redis. */
const closeMs = 1000;

const overages = [null, 'warn', 'charge'] as const;

/** The limits of a request whose counters are in one slot. */
interface Part {
  readonly tag: string;
  readonly indexes: readonly number[];
}

/** Every decision in Redis; those of one turn of the event loop share a call. */
export class ExactLimiter implements Limiter {
  /** Decisions that Redis made, and those that could not wait for it. */
  decided = 0;
  expired = 0;
  readonly #options: RedisLimiterOptions;
  readonly #budgetMs: number;
  readonly #takes: CallBatcher;
  readonly #corrections: CallBatcher;
  readonly #returns: CallBatcher;
  readonly #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | null = null;
  /** Concurrency slots that this holder has, by ledger key, so that they can be kept alive. */
  readonly #held = new Map<string, { count: number; tag: string; args: readonly string[] }>();
  readonly #renewal: NodeJS.Timeout;
  #sequence = 1;
  #failuresSeen = 0;
  readonly #renewals: CallBatcher;

  constructor(options: RedisLimiterOptions) {
    this.#options = options;
    this.#budgetMs = options.budgetMs ?? 25;
    const now = (): string => String(options.ledgerNowUs?.() ?? 0);
    const leaseMs = options.leaseMs ?? 5000;
    const { link, holder } = options;
    this.#takes = new CallBatcher({ link, script: 'take', leading: () => [now(), holder, String(leaseMs)] });
    this.#renewals = new CallBatcher({
      link,
      script: 'lease',
      leading: () => [now(), holder, String(leaseMs)],
    });
    this.#corrections = new CallBatcher({ link, script: 'quota', leading: () => [now(), holder] });
    this.#returns = new CallBatcher({ link, script: 'return', leading: () => [now(), holder] });
    this.#renewal = setInterval(() => this.#renew(), leaseMs / 3);
    this.#renewal.unref();
  }

  take(set: LimitSet, subjects: Subjects, cost: number, nowMs: number): Decision | Promise<Decision> {
    const { link, away } = this.#options;
    const parts = this.#partsOf(set, subjects);
    for (const { tag } of parts) if (link.isAway(tag)) return away.take(set, subjects, cost, nowMs);
    const request = new ExactRequest(this, set, subjects.slice(), cost, nowMs, parts.length);
    this.#await(request);
    for (const part of parts) this.#takes.add(part.tag, new TakeEntry(request, part));
    return request.result;
  }

  adjust(set: LimitSet, subjects: Subjects, difference: number): null {
    const kept = subjects.slice();
    for (const part of this.#partsOf(set, kept)) this.correct(set, part, kept, difference);
    return null;
  }

  correct(set: LimitSet, { tag, indexes }: Part, subjects: Subjects, difference: number): void {
    for (const i of indexes) {
      const prepared = set.limits[i]!;
      if (prepared.limit.kind === 'concurrency') continue;
      this.#corrections.add(tag, {
        writeTo: (keys, args) => {
          keys.push(ledgerKey(tag, prepared));
          args.push(...prepared.ledgerArguments, String(difference));
        },
        readFrom: (reply, at) => {
          this.tell(set, i, subjects, reply[at + 3]!, Date.now());
          return at + 4;
        },
        fail: () => undefined,
      });
    }
  }

  /** Decides a request by the policy for Redis being away. */
  decideAlone(set: LimitSet, subjects: Subjects, cost: number, nowMs: number): Decision {
    return copyDecision(this.#options.away.take(set, subjects, cost, nowMs), set.limits.length);
  }

  hold(key: string, tag: string, args: readonly string[]): void {
    const held = this.#held.get(key);
    if (held === undefined) this.#held.set(key, { count: 1, tag, args });
    else held.count++;
  }

  release(key: string): void {
    const held = this.#held.get(key);
    if (held === undefined) return;
    if (--held.count === 0) this.#held.delete(key);
    this.#returns.add(held.tag, {
      writeTo: (keys, args) => {
        keys.push(key);
        args.push(...held.args, '0', '1', '0', '0');
      },
      readFrom: (_reply, at) => at + 1,
      fail: () => undefined,
    });
  }

  tell(set: LimitSet, i: number, subjects: Subjects, percent: number, nowMs: number): void {
    if (percent === 0) return;
    const prepared = set.limits[i]!;
    const event = thresholdEvent(prepared, subjects[prepared.scope]!, percent, nowMs);
    if (event !== null) this.#options.onThreshold?.(event);
  }

  async close(): Promise<void> {
    clearInterval(this.#renewal);
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const request of this.#waiting.splice(0)) if (!request.settled) request.expire();
    await Promise.all(
      [this.#takes, this.#corrections, this.#returns].map((batcher) => batcher.drain(closeMs)),
    );
    await this.#options.link.close();
  }

  /** Limits by the slot that their counters are in; without a cluster all are one part. */
  #partsOf(set: LimitSet, subjects: Subjects): readonly Part[] {
    const { limits } = set;
    const first = ledgerTag(subjects[limits[0]!.scope]!);
    const all = allIndexes(limits.length);
    if (!this.#options.link.isCluster || (set.scopeBits & (set.scopeBits - 1)) === 0) {
      return [{ tag: first, indexes: all }];
    }
    const bySlot = new Map<number, { tag: string; indexes: number[] }>();
    for (const i of all) {
      const tag = ledgerTag(subjects[limits[i]!.scope]!);
      const part = bySlot.get(slotOf(tag));
      if (part === undefined) bySlot.set(slotOf(tag), { tag, indexes: [i] });
      else part.indexes.push(i);
    }
    return [...bySlot.values()];
  }

  /** Requests have the same budget, so the oldest expires first and one timer serves them all. */
  #await(request: Waiting): void {
    this.#waiting.push(request);
    if (this.#timer === null) this.#timer = setTimeout(() => this.#expire(), this.#budgetMs);
  }

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
      if (!request.settled) {
        this.expired++;
        request.expire();
      }
      done++;
    }
    waiting.splice(0, done);
  }

  /**
   * Keeps slots alive whose requests take long. Their number is the ledger's, unless answers have been lost: then it is
   * set right as soon as nothing is under way that would change it.
   */
  #renew(): void {
    const { link } = this.#options;
    const quiet = this.#takes.idle && this.#returns.idle;
    const correct = quiet && link.failures !== this.#failuresSeen;
    if (correct) this.#failuresSeen = link.failures;
    for (const [key, { tag, args, count }] of this.#held) {
      this.#renewals.add(tag, {
        writeTo: (keys, list) => {
          keys.push(key);
          list.push(...args, String(++this.#sequence), String(correct ? count : -1 - count), '0', '0', '0');
        },
        readFrom: (_reply, at) => at + 8,
        fail: () => undefined,
      });
    }
  }
}

/** A request that waits for its parts. */
class ExactRequest implements Waiting {
  readonly result: Promise<Decision>;
  readonly startedAt = performance.now();
  readonly decision = new Decision();
  readonly limiter: ExactLimiter;
  readonly set: LimitSet;
  readonly subjects: Subjects;
  readonly cost: number;
  readonly nowMs: number;
  settled = false;
  #resolve!: (decision: Decision) => void;
  #open: number;
  #failed = false;
  readonly #admittedParts: Part[] = [];
  readonly #slots: string[] = [];

  constructor(
    limiter: ExactLimiter,
    set: LimitSet,
    subjects: Subjects,
    cost: number,
    nowMs: number,
    parts: number,
  ) {
    this.limiter = limiter;
    this.set = set;
    this.subjects = subjects;
    this.cost = cost;
    this.nowMs = nowMs;
    this.#open = parts;
    this.decision.clear(set.limits.length);
    this.result = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** The budget is spent: whatever Redis answers later is given back. */
  expire(): void {
    this.settled = true;
    this.#resolve(this.limiter.decideAlone(this.set, this.subjects, this.cost, this.nowMs));
  }

  conclude(part: Part, admitted: boolean, slots: readonly string[]): void {
    if (admitted) {
      this.#admittedParts.push(part);
      this.#slots.push(...slots);
    } else this.decision.admitted = false;
    this.#finish();
  }

  fail(): void {
    this.#failed = true;
    this.#finish();
  }

  #finish(): void {
    if (--this.#open > 0) return;
    const { decision } = this;
    if (this.settled || this.#failed || !decision.admitted) this.#giveBack();
    if (this.settled) return;
    if (this.#failed) {
      this.expire();
      return;
    }
    this.settled = true;
    this.limiter.decided++;
    if (decision.admitted && this.#slots.length > 0) {
      const slots = this.#slots;
      decision.release = () => {
        for (const key of slots.splice(0)) this.limiter.release(key);
      };
    }
    this.#resolve(decision);
  }

  /** Slots in use would stay in use; what was spent in one slot is not owed when another refuses. */
  #giveBack(): void {
    for (const key of this.#slots) this.limiter.release(key);
    if (this.settled || this.#failed) return;
    for (const part of this.#admittedParts) this.limiter.correct(this.set, part, this.subjects, -this.cost);
  }
}

class TakeEntry implements BatchEntry {
  readonly #request: ExactRequest;
  readonly #part: Part;

  constructor(request: ExactRequest, part: Part) {
    this.#request = request;
    this.#part = part;
  }

  writeTo(keys: string[], args: string[]): void {
    const { set, subjects, cost } = this.#request;
    const { indexes } = this.#part;
    args.push(String(cost), String(indexes.length));
    for (const i of indexes) {
      const prepared = set.limits[i]!;
      keys.push(ledgerKey(ledgerTag(subjects[prepared.scope]!), prepared));
      const given = prepared.ledgerArguments;
      for (let k = 0; k < given.length; k++) args.push(given[k]!);
    }
  }

  readFrom(reply: readonly number[], from: number): number {
    const { decision, set, subjects, limiter, nowMs } = this.#request;
    const admitted = reply[from] === 1;
    const retryMs = reply[from + 1]! / 1000;
    if (retryMs > decision.retryAfterMs) decision.retryAfterMs = retryMs;
    const overage = overages[reply[from + 2]!] ?? null;
    if (overage === 'charge' || decision.overage === null) decision.overage = overage;
    if (reply[from + 3] === 1) decision.shadowed = true;
    let at = from + 4;
    const slots: string[] = [];
    for (const i of this.#part.indexes) {
      const prepared = set.limits[i]!;
      decision.remaining[i] = reply[at]!;
      decision.resetMs[i] = reply[at + 1]! / 1000;
      decision.violated[i] = reply[at + 2]!;
      limiter.tell(set, i, subjects, reply[at + 3]!, nowMs);
      if (admitted && prepared.limit.kind === 'concurrency' && reply[at + 2] === 0) {
        const tag = ledgerTag(subjects[prepared.scope]!);
        const key = ledgerKey(tag, prepared);
        limiter.hold(key, tag, prepared.ledgerArguments);
        slots.push(key);
      }
      at += 4;
    }
    this.#request.conclude(this.#part, admitted, slots);
    return at;
  }

  fail(): void {
    this.#request.fail();
  }
}

const indexLists: number[][] = [];
function allIndexes(count: number): readonly number[] {
  for (let size = indexLists.length; size <= count; size++) {
    indexLists.push(Array.from({ length: size }, (_, i) => i));
  }
  return indexLists[count]!;
}
