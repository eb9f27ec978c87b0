const free = 0;
/** Set by those who wait, so that whoever unlocks knows to wake them. */
const contended = 1 << 30;
const spins = 200;
const patienceMs = 10;
/** A holder needs microseconds. One that has not moved for half a second has died without being reclaimed. */
const maxPatience = 50;

/**
 * Takes a lock word for `member` (1 or more). Spins, then sleeps until woken. A lock whose holder died is freed by
 * `releaseDead`; should nobody call it, those who wait take it over after half a second.
 */
export function lock(words: Int32Array, index: number, member: number): void {
  if (Atomics.compareExchange(words, index, free, member) === free) return;
  for (let i = 0; i < spins; i++) {
    if (Atomics.load(words, index) === free && Atomics.compareExchange(words, index, free, member) === free) {
      return;
    }
  }
  let holder = 0;
  let waits = 0;
  for (;;) {
    const seen = Atomics.load(words, index);
    if (seen === free) {
      // Others may be asleep: whoever has slept keeps the mark, so that its unlock wakes the next.
      if (Atomics.compareExchange(words, index, free, member | contended) === free) return;
      continue;
    }
    const marked = seen | contended;
    if (seen !== marked && Atomics.compareExchange(words, index, seen, marked) !== seen) continue;
    waits = (marked ^ holder) === 0 ? waits + 1 : 0;
    holder = marked;
    if (waits > maxPatience && Atomics.compareExchange(words, index, marked, member | contended) === marked)
      return;
    if (Atomics.wait(words, index, marked, patienceMs) !== 'timed-out') waits = 0;
  }
}

/** Gives a lock back; does nothing when it has been taken away meanwhile. */
export function unlock(words: Int32Array, index: number, member: number): void {
  if (Atomics.compareExchange(words, index, member, free) === member) return;
  const marked = member | contended;
  if (Atomics.compareExchange(words, index, marked, free) === marked) Atomics.notify(words, index, 1);
}

/** Frees the lock if the dead `member` holds it; says whether it did. */
export function releaseDead(words: Int32Array, index: number, member: number): boolean {
  const holder = Atomics.load(words, index);
  if ((holder & ~contended) !== member) return false;
  // A mark may be added in between, never removed, while the holder is dead.
  Atomics.store(words, index, free);
  Atomics.notify(words, index);
  return true;
}
