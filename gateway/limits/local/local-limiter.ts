import { hashLow, hashPair, mix } from '../hash.ts';
import {
  Decision,
  type Limiter,
  type LimitSet,
  type PreparedLimit,
  type Subjects,
  type ThresholdSink,
  thresholdEvent,
} from '../limiter.ts';
import { CounterTable, kinds, never } from '../memory/counter-table.ts';
import type { LimiterMemory } from '../memory/memory.ts';
import { UtcPeriod } from '../utc-period.ts';
import { addToStep, advance, forgottenUs, stepUs, windowRetryUs } from './sliding-window.ts';
import { bucketRemaining, bucketRetryUs, debtAt, microTokens, refillUs } from './token-bucket.ts';

const concurrencyRetryMs = 1000;

/** A counter of the request being decided. */
interface Place {
  segment: number;
  low: number;
  high: number;
  slot: number;
  /** Bucket: debt. Window: total. Quota: used. Concurrency: in use. Before this request. */
  value: number;
  /** Window: the step under way. */
  step: number;
  fits: boolean;
}

/**
 * The in-process engine: exact over all workers that share `memory`. Answers at once; the decision is the same object
 * on every call.
 */
export class LocalLimiter implements Limiter {
  readonly table: CounterTable;
  readonly #decision = new Decision();
  readonly #places: Place[] = [];
  readonly #locked: number[] = [];
  readonly #day = new UtcPeriod('day');
  readonly #month = new UtcPeriod('month');
  readonly #seedHigh: number;
  readonly #seedLow: number;
  readonly #onThreshold: ThresholdSink | null;
  /** Marks set by the decision under way: index of the limit, per cent. Told once the locks are given back. */
  readonly #marks: number[] = [];

  /** `member` names this worker: 1 to 65,535, no two living workers alike; `reclaimMember` frees it. */
  constructor(memory: LimiterMemory, member: number, onThreshold: ThresholdSink | null = null) {
    this.#onThreshold = onThreshold;
    this.table = new CounterTable(memory, member);
    this.#seedHigh = memory.seedHigh;
    this.#seedLow = memory.seedLow;
  }

  take(set: LimitSet, subjects: Subjects, cost: number, nowMs: number): Decision {
    const nowUs = Math.floor(nowMs * 1000);
    const limits = set.limits;
    const decision = this.#decision;
    decision.clear(limits.length);
    if (!this.#enter(set, subjects, nowUs)) {
      this.#leave();
      decision.admitted = false;
      decision.unavailable = true;
      return decision;
    }
    try {
      for (let i = 0; i < limits.length; i++) this.#check(limits[i]!, i, cost, nowUs);
      const admitted = decision.admitted;
      for (let i = 0; i < limits.length; i++) {
        const spend = admitted && this.#places[i]!.fits;
        if (spend) this.#spend(limits[i]!, this.#places[i]!, cost, nowUs);
        if (limits[i]!.limit.kind === 'quota') this.#mark(limits[i]!, i);
        this.#describe(limits[i]!, i, spend ? cost : 0, nowUs);
      }
    } finally {
      this.#leave();
    }
    if (this.#marks.length > 0) this.#tellMarks(set, subjects, nowMs);
    if (decision.admitted) {
      decision.retryAfterMs = 0;
      if (set.hasConcurrency) decision.release = this.#releaser(set);
    }
    return decision;
  }

  adjust(set: LimitSet, subjects: Subjects, difference: number, nowMs: number): Decision | null {
    const nowUs = Math.floor(nowMs * 1000);
    const limits = set.limits;
    this.#decision.clear(limits.length);
    if (!this.#enter(set, subjects, nowUs)) {
      this.#leave();
      return null;
    }
    try {
      for (let i = 0; i < limits.length; i++) {
        const place = this.#places[i]!;
        this.#check(limits[i]!, i, 0, nowUs);
        if (limits[i]!.limit.kind !== 'concurrency') this.#spend(limits[i]!, place, difference, nowUs);
        if (limits[i]!.limit.kind === 'quota') this.#mark(limits[i]!, i);
        this.#describe(limits[i]!, i, difference, nowUs);
      }
    } finally {
      this.#leave();
    }
    if (this.#marks.length > 0) this.#tellMarks(set, subjects, nowMs);
    this.#decision.admitted = true;
    return this.#decision;
  }

  /** Raises counters to what is known to have been spent elsewhere: for each limit an amount, 0 for none. */
  seed(set: LimitSet, subjects: Subjects, spent: readonly number[], nowMs: number): void {
    const nowUs = Math.floor(nowMs * 1000);
    this.#decision.clear(set.limits.length);
    const room = this.#enter(set, subjects, nowUs);
    try {
      for (let i = 0; room && i < set.limits.length; i++) {
        const prepared = set.limits[i]!;
        this.#check(prepared, i, 0, nowUs);
        const place = this.#places[i]!;
        if (prepared.limit.kind === 'concurrency') continue;
        const counted = prepared.limit.kind === 'token_bucket' ? place.value / microTokens : place.value;
        const missing = Math.ceil(spent[i]! - counted);
        if (missing > 0) this.#spend(prepared, place, missing, nowUs);
      }
    } finally {
      this.#leave();
    }
    this.#marks.length = 0;
  }

  #tellMarks(set: LimitSet, subjects: Subjects, nowMs: number): void {
    const marks = this.#marks.splice(0);
    for (let at = 0; at < marks.length; at += 2) {
      const prepared = set.limits[marks[at]!]!;
      const event = thresholdEvent(prepared, subjects[prepared.scope]!, marks[at + 1]!, nowMs);
      if (event !== null) this.#onThreshold?.(event);
    }
  }

  /** Finds the places of all limits and locks their segments, in ascending order. False when there is no room. */
  #enter(set: LimitSet, subjects: Subjects, nowUs: number): boolean {
    const { table } = this;
    const places = this.#places;
    const locked = this.#locked;
    const limits = set.limits;
    let lastScope = -1;
    let high = 0;
    let low = 0;
    locked.length = 0;
    for (let i = 0; i < limits.length; i++) {
      const limit = limits[i]!;
      if (limit.scope !== lastScope) {
        lastScope = limit.scope;
        high = hashPair(subjects[lastScope]!, this.#seedHigh ^ lastScope, this.#seedLow);
        low = hashLow;
      }
      let place = places[i];
      if (place === undefined) {
        place = { segment: 0, low: 0, high: 0, slot: -1, value: 0, step: 0, fits: true };
        places.push(place);
      }
      place.segment = table.segmentOf(high);
      place.low = mix(low ^ limit.identityHash);
      place.high = mix(high ^ Math.imul(limit.identityHash, 0x9e3779b1)) | 1;
      addSorted(locked, place.segment);
    }
    const nowSeconds = Math.floor(nowUs / 1e6);
    let room = true;
    for (let i = 0; i < locked.length; i++) {
      table.lock(locked[i]!);
      room = table.makeRoom(locked[i]!, limits.length * 2, nowSeconds) && room;
    }
    return room;
  }

  #leave(): void {
    const locked = this.#locked;
    for (let i = locked.length - 1; i >= 0; i--) this.table.unlock(locked[i]!);
  }

  /** Reads one counter and says in the decision whether `cost` fits. */
  #check(prepared: PreparedLimit, i: number, cost: number, nowUs: number): void {
    const { table } = this;
    const place = this.#places[i]!;
    const { limit } = prepared;
    const decision = this.#decision;
    const slot = table.find(place.segment, place.low, place.high);
    place.slot = slot;
    const a = (slot + 4) >> 1;
    let retryUs = 0;
    if (limit.kind === 'token_bucket') {
      const debt = slot < 0 ? 0 : debtAt(limit, table.doubles[a]!, table.doubles[a + 1]!, nowUs);
      place.value = debt;
      place.fits = cost === 0 || debt + cost * microTokens <= limit.capacity * microTokens;
      if (!place.fits) retryUs = bucketRetryUs(limit, debt, cost);
    } else if (limit.kind === 'quota') {
      const period = this.#period(limit.period, nowUs);
      const used = slot < 0 || table.doubles[a + 1] !== period.index ? 0 : table.doubles[a]!;
      place.value = used;
      place.fits = cost === 0 || used + cost <= limit.limit;
      if (!place.fits) retryUs = period.endUs - nowUs;
    } else if (limit.kind === 'sliding_window') {
      place.value = 0;
      place.step = Math.floor(nowUs / stepUs(limit));
      if (slot >= 0) {
        place.step = advance(table, place.segment, place.low, place.high, slot, limit, nowUs);
        place.value = table.doubles[a]!;
      }
      place.fits = cost === 0 || place.value + cost <= limit.limit;
      if (!place.fits) retryUs = this.#windowRetryUs(prepared, place, cost, nowUs);
    } else {
      place.value = slot < 0 ? 0 : table.doubles[a]!;
      place.fits = place.value + 1 <= limit.limit;
      if (!place.fits) retryUs = concurrencyRetryMs * 1000;
    }
    decision.violated[i] = place.fits ? 0 : 1;
    if (place.fits) return;
    if (prepared.shadow) decision.shadowed = true;
    else if (prepared.overage !== 'block') {
      place.fits = true;
      if (decision.overage !== 'charge') decision.overage = prepared.overage;
    } else {
      decision.admitted = false;
      if (retryUs / 1000 > decision.retryAfterMs) decision.retryAfterMs = retryUs / 1000;
    }
  }

  #windowRetryUs(prepared: PreparedLimit, place: Place, cost: number, nowUs: number): number {
    const { limit } = prepared;
    if (limit.kind !== 'sliding_window') return 0;
    const { segment, low, high, step, value } = place;
    return windowRetryUs(this.table, segment, low, high, limit, step, value, cost, nowUs);
  }

  /** Counts `cost`; `place.value` becomes what is counted now. */
  #spend(prepared: PreparedLimit, place: Place, cost: number, nowUs: number): void {
    const { table } = this;
    const { limit } = prepared;
    if (cost === 0 && limit.kind !== 'concurrency') return;
    const { segment, low, high } = place;
    const fresh = place.slot < 0;
    if (limit.kind === 'sliding_window') {
      if (fresh) {
        place.slot = table.insert(segment, low, high, kinds.window);
        place.step = advance(table, segment, low, high, place.slot, limit, nowUs);
      }
      addToStep(table, segment, low, high, place.slot, limit, place.step, cost);
      place.value = table.doubles[(place.slot + 4) >> 1]!;
      return;
    }
    if (fresh) place.slot = table.insert(segment, low, high, kindOf[limit.kind]);
    const slot = place.slot;
    const a = (slot + 4) >> 1;
    if (limit.kind === 'token_bucket') {
      place.value = Math.max(0, place.value + cost * microTokens);
      const at = fresh ? nowUs : Math.max(nowUs, table.doubles[a + 1]!);
      // The debt first: whoever dies in between leaves too much of it, never too little.
      table.doubles[a] = place.value;
      table.doubles[a + 1] = at;
      table.setIdle(slot, Math.ceil((at + refillUs(limit, place.value)) / 1e6));
    } else if (limit.kind === 'quota') {
      const period = this.#period(limit.period, nowUs);
      place.value = Math.max(0, place.value + cost);
      // The mark of an earlier period is not this one's.
      if (table.doubles[a + 1] !== period.index) table.words[slot + 2] = kinds.quota;
      table.doubles[a] = place.value;
      table.doubles[a + 1] = period.index;
      table.setIdle(slot, Math.ceil(period.endUs / 1e6));
    } else {
      this.#hold(place, 1);
    }
  }

  /** Notes a threshold that the quota has reached for the first time in its period; its detail holds the last one. */
  #mark({ limit }: PreparedLimit, i: number): void {
    const place = this.#places[i]!;
    if (limit.kind !== 'quota' || place.slot < 0 || place.value * 5 < limit.limit * 4) return;
    const percent = Math.floor((place.value * 100) / limit.limit);
    const reached = percent >= 100 ? 100 : percent >= 90 ? 90 : 80;
    if (percent < 80 || reached <= this.table.words[place.slot + 2]! >>> 4) return;
    this.table.words[place.slot + 2] = kinds.quota | (reached << 4);
    this.#marks.push(i, reached);
  }

  /** Adds to a concurrency counter and to this worker's share of it, which is what a dead worker is relieved of. */
  #hold(place: Place, change: number): void {
    const { table } = this;
    const { segment, low, high } = place;
    const shareLow = low ^ mix(table.member);
    const shareHigh = high ^ 2;
    let share = table.find(segment, shareLow, shareHigh);
    if (share < 0) {
      share = table.insert(segment, shareLow, shareHigh, kinds.share | (table.member << 4));
      // Which counter the share is of.
      table.words[share + 6] = low;
      table.words[share + 7] = high;
    }
    const total = (place.slot + 4) >> 1;
    const held = Math.max(0, table.words[share + 4]! + change);
    place.value = Math.max(0, table.doubles[total]! + change);
    table.words[share + 4] = held;
    table.doubles[total] = place.value;
    table.setIdle(share, held === 0 ? 0 : never);
    table.setIdle(place.slot, place.value === 0 ? 0 : never);
  }

  #describe(prepared: PreparedLimit, i: number, spent: number, nowUs: number): void {
    const decision = this.#decision;
    const { limit } = prepared;
    const place = this.#places[i]!;
    if (limit.kind === 'token_bucket') {
      const debt = place.value;
      decision.remaining[i] = bucketRemaining(limit, debt);
      decision.resetMs[i] = refillUs(limit, debt) / 1000;
      return;
    }
    const left = limit.limit - place.value;
    decision.remaining[i] = left < 0 ? 0 : left;
    if (limit.kind === 'quota') {
      decision.resetMs[i] = (this.#period(limit.period, nowUs).endUs - nowUs) / 1000;
    } else if (limit.kind === 'sliding_window' && (place.value > 0 || spent > 0)) {
      decision.resetMs[i] = (forgottenUs(limit, place.step) - nowUs) / 1000;
    } else decision.resetMs[i] = 0;
  }

  #period(kind: 'day' | 'month', nowUs: number): UtcPeriod {
    return (kind === 'day' ? this.#day : this.#month).moveTo(nowUs);
  }

  /** Only for sets with a concurrency limit: one closure for a request that holds a slot. */
  #releaser(set: LimitSet): (() => void) | null {
    const held: Place[] = [];
    for (let i = 0; i < set.limits.length; i++) {
      const place = this.#places[i]!;
      if (set.limits[i]!.limit.kind === 'concurrency' && place.fits) held.push({ ...place });
    }
    if (held.length === 0) return null;
    return () => {
      for (const place of held.splice(0)) {
        this.table.lock(place.segment);
        try {
          place.slot = this.table.find(place.segment, place.low, place.high);
          if (place.slot >= 0) this.#hold(place, -1);
        } finally {
          this.table.unlock(place.segment);
        }
      }
    };
  }
}

const kindOf = {
  token_bucket: kinds.bucket,
  sliding_window: kinds.window,
  quota: kinds.quota,
  concurrency: kinds.concurrency,
} as const;

function addSorted(sorted: number[], value: number): void {
  let at = sorted.length;
  while (at > 0 && sorted[at - 1]! > value) at--;
  if (at > 0 && sorted[at - 1] === value) return;
  sorted.splice(at, 0, value);
}
