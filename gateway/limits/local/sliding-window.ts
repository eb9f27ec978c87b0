import type { SlidingWindow } from '#contract/limits.ts';
import { mix } from '../hash.ts';
import { type CounterTable, kinds } from '../memory/counter-table.ts';

/**
 * At most `limit` in any window. The window is cut into 100 steps; the step under way and the 100 before it count
 * whole, so that what is admitted in any span of `windowMs` never exceeds the limit, and a request is forgotten at most
 * one step (1 % of the window) late.
 *
 * The head slot holds the total (a), the step up to which it is right (b), and the length of the window in its detail;
 * pages of four steps hold the counts.
 */
export const stepsPerWindow = 100;
const stepsPerPage = 4;

/** Microseconds. */
export function stepUs(limit: SlidingWindow): number {
  return limit.windowMs * (1000 / stepsPerWindow);
}

/** The first instant at which nothing of `step` or earlier counts. */
export function forgottenUs(limit: SlidingWindow, step: number): number {
  return (step + stepsPerWindow + 1) * stepUs(limit);
}

function pageSlot(table: CounterTable, segment: number, low: number, high: number, page: number): number {
  return table.find(segment, pageLow(low, page), pageHigh(high, page));
}
function pageLow(low: number, page: number): number {
  return low ^ Math.imul((page | 0) + 1, 0x9e3779b1);
}
function pageHigh(high: number, page: number): number {
  return high ^ (mix(page | 0) & ~1);
}

/** What was counted in one step. */
export function stepCount(
  table: CounterTable,
  segment: number,
  low: number,
  high: number,
  step: number,
): number {
  const slot = pageSlot(table, segment, low, high, Math.floor(step / stepsPerPage));
  return slot < 0 ? 0 : table.unsigned[slot + 4 + (step % stepsPerPage)]!;
}

/**
 * Moves the head on to `nowUs`, forgetting what has left the window, and returns the step under way. A window whose
 * length has changed keeps its total, as if all of it had happened now.
 */
export function advance(
  table: CounterTable,
  segment: number,
  low: number,
  high: number,
  slot: number,
  limit: SlidingWindow,
  nowUs: number,
): number {
  const { doubles, words } = table;
  const a = (slot + 4) >> 1;
  const step = Math.floor(nowUs / stepUs(limit));
  if (words[slot + 2]! >>> 4 !== limit.windowMs) {
    const total = doubles[a]!;
    words[slot + 2] = kinds.window | (limit.windowMs << 4);
    doubles[a + 1] = step;
    doubles[a] = 0;
    if (total > 0) addToStep(table, segment, low, high, slot, limit, step, total);
    return step;
  }
  const last = doubles[a + 1]!;
  if (step <= last) return last;
  if (step - last > stepsPerWindow) {
    doubles[a] = 0;
  } else {
    const total = doubles[a]!;
    let gone = 0;
    for (let old = last - stepsPerWindow; old < step - stepsPerWindow && gone < total; old++) {
      gone += stepCount(table, segment, low, high, old);
    }
    if (gone > 0) doubles[a] = total - gone;
  }
  doubles[a + 1] = step;
  return step;
}

/** Counts `cost` (which may be negative, down to nothing) in `step`. At most one slot is inserted. */
export function addToStep(
  table: CounterTable,
  segment: number,
  low: number,
  high: number,
  slot: number,
  limit: SlidingWindow,
  step: number,
  cost: number,
): void {
  const page = Math.floor(step / stepsPerPage);
  let found = pageSlot(table, segment, low, high, page);
  if (found < 0) {
    found = table.insert(segment, pageLow(low, page), pageHigh(high, page), kinds.page);
  }
  const word = found + 4 + (step % stepsPerPage);
  const before = table.unsigned[word]!;
  const after = Math.max(0, before + cost);
  const a = (slot + 4) >> 1;
  // The total first: whoever dies in between leaves too much counted, never too little.
  table.doubles[a] = table.doubles[a]! + (after - before);
  table.unsigned[word] = after;
  const idle = Math.ceil(forgottenUs(limit, step) / 1e6);
  table.setIdle(slot, idle);
  // Pages outlive the total that contains them.
  table.setIdle(found, idle + Math.ceil((limit.windowMs * 1.01) / 1000) + 1);
}

/** Microseconds until `cost` fits; until all is forgotten when it never does. */
export function windowRetryUs(
  table: CounterTable,
  segment: number,
  low: number,
  high: number,
  limit: SlidingWindow,
  step: number,
  total: number,
  cost: number,
  nowUs: number,
): number {
  let left = total;
  let old = step - stepsPerWindow;
  for (; old < step && left + cost > limit.limit; old++) left -= stepCount(table, segment, low, high, old);
  if (left + cost > limit.limit) return forgottenUs(limit, step) - nowUs;
  return forgottenUs(limit, old - 1) - nowUs;
}
