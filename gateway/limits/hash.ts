/** The second half of the last `hashPair`. */
export let hashLow = 0;

/** A 32-bit hash. */
export function hashText(text: string, seed: number): number {
  let h = seed;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x9e3779b1);
  return mix(h ^ text.length);
}

/**
 * A 64-bit hash in two halves: the upper one is returned, the lower one left in `hashLow`, so that nothing is
 * allocated. Two accumulators with different multipliers and a random seed; not meant to withstand cryptanalysis.
 */
export function hashPair(text: string, seedHigh: number, seedLow: number): number {
  let high = seedHigh;
  let low = seedLow;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    high = Math.imul(high ^ unit, 0x9e3779b1);
    low = Math.imul(low ^ unit, 0x5f356495);
    high ^= high >>> 15;
  }
  hashLow = mix(low ^ (high >>> 13) ^ text.length);
  return mix(high ^ (low >>> 16));
}

/** The finalizer of MurmurHash3: every input bit reaches every output bit. */
export function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
