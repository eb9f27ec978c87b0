import { headWords, type LimiterMemory, lockWord, slotWords, usedWord } from './memory.ts';
import { lock, unlock } from './segment-lock.ts';

/** What a slot holds. */
export const kinds = { bucket: 1, window: 2, quota: 3, concurrency: 4, page: 5, share: 6, lease: 7 } as const;

/** Idle time of a counter that must stay. */
export const never = 0xffffffff;

/**
 * The counters of a host as one worker sees them. A slot is named by the index of its first word. All access to the
 * slots of a segment happens between `lock` and `unlock` of it, and `makeRoom` comes before the first `find`: it alone
 * moves slots.
 */
export class CounterTable {
  readonly words: Int32Array;
  readonly unsigned: Uint32Array;
  readonly doubles: Float64Array;
  readonly segments: number;
  readonly member: number;
  /** Counters that were dropped although they still counted, because a segment was full. */
  displaced = 0;
  readonly #slots: number;
  readonly #segmentWords: number;
  readonly #maxUsed: number;
  readonly #scratch: Int32Array;

  /** `member` names this worker: 1 to 65,535, no two living workers alike. */
  constructor(memory: LimiterMemory, member: number) {
    this.words = new Int32Array(memory.buffer);
    this.unsigned = new Uint32Array(memory.buffer);
    this.doubles = new Float64Array(memory.buffer);
    this.segments = memory.segments;
    this.member = member;
    this.#slots = memory.slotsPerSegment;
    this.#segmentWords = headWords + memory.slotsPerSegment * slotWords;
    this.#maxUsed = memory.slotsPerSegment - (memory.slotsPerSegment >> 3);
    this.#scratch = new Int32Array(memory.slotsPerSegment * slotWords);
  }

  /** The segment of a subject. */
  segmentOf(subjectHigh: number): number {
    return Math.floor(((subjectHigh >>> 0) / 4294967296) * this.segments);
  }

  lock(segment: number): void {
    lock(this.words, segment * this.#segmentWords + lockWord, this.member);
  }

  unlock(segment: number): void {
    unlock(this.words, segment * this.#segmentWords + lockWord, this.member);
  }

  lockIndex(segment: number): number {
    return segment * this.#segmentWords + lockWord;
  }

  /** The slot of this fingerprint, or -1. `high` is not 0. */
  find(segment: number, low: number, high: number): number {
    const words = this.words;
    const first = segment * this.#segmentWords + headWords;
    const mask = this.#slots - 1;
    for (let at = low & mask; ; at = (at + 1) & mask) {
      const slot = first + at * slotWords;
      const found = words[slot + 1]!;
      if (found === high && words[slot] === low) return slot;
      if (found === 0) return -1;
    }
  }

  /** A new slot; room has been made. It holds zeroes and becomes visible with this call. */
  insert(segment: number, low: number, high: number, meta: number): number {
    const words = this.words;
    const head = segment * this.#segmentWords;
    const first = head + headWords;
    const mask = this.#slots - 1;
    let at = low & mask;
    while (words[first + at * slotWords + 1] !== 0) at = (at + 1) & mask;
    const slot = first + at * slotWords;
    words.fill(0, slot + 2, slot + slotWords);
    words[slot] = low;
    words[slot + 2] = meta;
    words[head + usedWord] = words[head + usedWord]! + 1;
    words[slot + 1] = high;
    return slot;
  }

  setIdle(slot: number, idleSeconds: number): void {
    this.unsigned[slot + 3] = idleSeconds > never ? never : idleSeconds;
  }

  /** Makes sure that `count` inserts fit. False when the segment is full of counters that must not be dropped. */
  makeRoom(segment: number, count: number, nowSeconds: number): boolean {
    const used = segment * this.#segmentWords + usedWord;
    if (this.words[used]! + count <= this.#maxUsed) return true;
    this.#keep(segment, nowSeconds, false);
    if (this.words[used]! + count <= this.#maxUsed) return true;
    const wanted = Math.max(count, this.#slots >> 4);
    this.#keep(segment, this.#displacedBefore(segment, wanted), true);
    return this.words[used]! + count <= this.#maxUsed;
  }

  /** Calls `visit` with every slot in use of a segment. */
  forEach(segment: number, visit: (slot: number) => void): void {
    const first = segment * this.#segmentWords + headWords;
    for (let at = 0; at < this.#slots; at++) {
      const slot = first + at * slotWords;
      if (this.words[slot + 1] !== 0) visit(slot);
    }
  }

  /** Sets the fill of a segment from its slots, for one whose last writer died. */
  recount(segment: number): number {
    let used = 0;
    this.forEach(segment, () => used++);
    this.words[segment * this.#segmentWords + usedWord] = used;
    return used;
  }

  used(segment: number): number {
    return this.words[segment * this.#segmentWords + usedWord]!;
  }

  /**
   * Drops what is idle at `seconds` (only buckets when `bucketsOnly`). The survivors are placed in a copy that replaces
   * the segment in one store, so that a worker that dies here leaves the old or the new one, not half of each.
   */
  #keep(segment: number, seconds: number, bucketsOnly: boolean): void {
    const { words, unsigned } = this;
    const scratch = this.#scratch.fill(0);
    const first = segment * this.#segmentWords + headWords;
    const mask = this.#slots - 1;
    let kept = 0;
    for (let i = 0; i < this.#slots; i++) {
      const slot = first + i * slotWords;
      if (words[slot + 1] === 0) continue;
      const idle = unsigned[slot + 3]! <= seconds;
      if (idle && bucketsOnly && (words[slot + 2]! & 15) === kinds.bucket) {
        this.displaced++;
        continue;
      }
      if (idle && !bucketsOnly) continue;
      let at = words[slot]! & mask;
      while (scratch[at * slotWords + 1] !== 0) at = (at + 1) & mask;
      for (let word = 0; word < slotWords; word++) scratch[at * slotWords + word] = words[slot + word]!;
      kept++;
    }
    words.set(scratch, first);
    words[segment * this.#segmentWords + usedWord] = kept;
  }

  /** The idle time up to which buckets go when `count` of them must: those that are nearest to being full again. */
  #displacedBefore(segment: number, count: number): number {
    const times: number[] = [];
    this.forEach(segment, (slot) => {
      if ((this.words[slot + 2]! & 15) === kinds.bucket) times.push(this.unsigned[slot + 3]!);
    });
    times.sort((a, b) => a - b);
    return times[Math.min(count, times.length) - 1] ?? 0;
  }
}
