import { DDSketch } from '@datadog/sketches-js';

/**
 * Latency distributions as DDSketch bins (1 % relative accuracy): a list of (bin, count) pairs. Lists are merged by
 * joining them.
 */
export const relativeAccuracy = 0.01;
const { mapping } = new DDSketch({ relativeAccuracy });
const smallestMs = 0.001;
const smallestBin = mapping.key(smallestMs);

/** The bin of a latency; everything up to a microsecond shares the first. */
export function binOf(latencyMs: number): number {
  return latencyMs <= smallestMs ? smallestBin : mapping.key(latencyMs);
}

/** The quantiles (0 to 1) of a list of pairs in milliseconds, within 1 % of the exact ones; null when it is empty. */
export function quantilesOf(pairs: readonly number[], quantiles: readonly number[]): (number | null)[] {
  const counts = new Map<number, number>();
  let total = 0;
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    counts.set(pairs[i]!, (counts.get(pairs[i]!) ?? 0) + pairs[i + 1]!);
    total += pairs[i + 1]!;
  }
  if (total === 0) return quantiles.map(() => null);
  const bins = [...counts].sort(([a], [b]) => a - b);
  return quantiles.map((quantile) => {
    const rank = quantile * (total - 1);
    let seen = 0;
    for (const [bin, count] of bins) {
      seen += count;
      if (seen > rank) return mapping.value(bin);
    }
    return mapping.value(bins.at(-1)![0]);
  });
}
