import { randomInt, randomUUID } from 'node:crypto';

/**
 * The memory that the workers of a host count in: made by the main thread, handed to each worker, all plain data.
 *
 * Segments of slots, each an open-addressing hash table with one lock. All counters of one subject are in one segment,
 * so that a request takes one lock for each of its subjects, mostly one.
 */
export interface LimiterMemory {
  /** Names the host's gateway process in a shared ledger. */
  readonly id: string;
  readonly buffer: SharedArrayBuffer;
  readonly segments: number;
  /** A power of two. */
  readonly slotsPerSegment: number;
  readonly seedHigh: number;
  readonly seedLow: number;
}

export interface LimiterMemoryOptions {
  /**
   * Counters that are held at once, one for each limit of each active subject (a sliding window takes up to 27).
   * Default 2,000,000, which takes 87 MiB once they are all in use.
   */
  readonly maxCounters?: number;
}

/** A slot: fingerprint low, fingerprint high, kind | detail << 4, idle time in seconds, and two doubles of state. */
export const slotBytes = 32;
export const slotWords = slotBytes / 4;
/** Each segment's lock and fill on a cache line of their own, before the slots. */
export const headWords = 16;
export const lockWord = 0;
export const usedWord = 1;

const fillFactor = 0.75;

export function createLimiterMemory(options: LimiterMemoryOptions = {}): LimiterMemory {
  const slots = Math.ceil((options.maxCounters ?? 2_000_000) / fillFactor);
  let slotsPerSegment = 64;
  while (slotsPerSegment < 2048 && slotsPerSegment < slots) slotsPerSegment *= 2;
  const segments = Math.max(1, Math.ceil(slots / slotsPerSegment));
  return {
    id: randomUUID(),
    buffer: new SharedArrayBuffer(segments * (headWords * 4 + slotsPerSegment * slotBytes)),
    segments,
    slotsPerSegment,
    seedHigh: randomInt(2 ** 32) | 0,
    seedLow: randomInt(2 ** 32) | 0,
  };
}
