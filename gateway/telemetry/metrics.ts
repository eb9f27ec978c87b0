/**
 * Metrics of one worker. Cells are resolved when configuration is loaded, so that the hot path only adds to a number.
 * The main thread asks every worker for a snapshot at scrape and adds them up.
 */

export interface CounterCell {
  value: number;
}

/** Observations in seconds, in cumulative form only when exposed. */
export interface HistogramCell {
  /** Counts by bucket, then the count above all bounds, then the sum. */
  readonly data: Float64Array;
}

export const durationBounds: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

export type MetricType = 'counter' | 'gauge' | 'histogram';

export interface MetricSample {
  readonly labels: readonly string[];
  /** One number, or a histogram's data. */
  readonly values: number[];
}

export interface MetricSnapshot {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly samples: MetricSample[];
}

interface Family {
  readonly type: MetricType;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly cells: Map<string, { labels: readonly string[]; cell: CounterCell | HistogramCell }>;
  readonly collect: (() => Iterable<MetricSample>) | null;
}

export class Metrics {
  readonly #families = new Map<string, Family>();

  /** A function from label values to a cell; the same values give the same cell. */
  counter(
    name: string,
    help: string,
    labelNames: readonly string[] = [],
  ): (...labels: string[]) => CounterCell {
    const family = this.#family(name, 'counter', help, labelNames, null);
    return (...labels) => cellOf(family, labels, () => ({ value: 0 })) as CounterCell;
  }

  gauge(
    name: string,
    help: string,
    labelNames: readonly string[] = [],
  ): (...labels: string[]) => CounterCell {
    const family = this.#family(name, 'gauge', help, labelNames, null);
    return (...labels) => cellOf(family, labels, () => ({ value: 0 })) as CounterCell;
  }

  histogram(
    name: string,
    help: string,
    labelNames: readonly string[] = [],
  ): (...labels: string[]) => HistogramCell {
    const family = this.#family(name, 'histogram', help, labelNames, null);
    const make = (): HistogramCell => ({ data: new Float64Array(durationBounds.length + 2) });
    return (...labels) => cellOf(family, labels, make) as HistogramCell;
  }

  /** A metric whose samples are made when asked for. */
  collected(
    name: string,
    type: 'counter' | 'gauge',
    help: string,
    labelNames: readonly string[],
    collect: () => Iterable<MetricSample>,
  ): void {
    this.#family(name, type, help, labelNames, collect);
  }

  snapshot(): MetricSnapshot[] {
    return [...this.#families].map(([name, { type, help, labelNames, cells, collect }]) => ({
      name,
      type,
      help,
      labelNames,
      samples: collect
        ? [...collect()]
        : [...cells.values()].map(({ labels, cell }) => sampleOf(labels, cell)),
    }));
  }

  #family(
    name: string,
    type: MetricType,
    help: string,
    labelNames: readonly string[],
    collect: Family['collect'],
  ): Family {
    let family = this.#families.get(name);
    if (!family) {
      family = { type, help, labelNames, cells: new Map(), collect };
      this.#families.set(name, family);
    }
    return family;
  }
}

export function observeSeconds(cell: HistogramCell, seconds: number): void {
  const { data } = cell;
  let i = 0;
  while (i < durationBounds.length && seconds > durationBounds[i]!) i++;
  data[i] = data[i]! + 1;
  data[durationBounds.length + 1] = data[durationBounds.length + 1]! + seconds;
}

/** Adds snapshots of several workers up, sample by sample. */
export function mergeSnapshots(all: readonly (readonly MetricSnapshot[])[]): MetricSnapshot[] {
  const merged = new Map<string, { snapshot: MetricSnapshot; byLabels: Map<string, MetricSample> }>();
  for (const snapshots of all) {
    for (const snapshot of snapshots) {
      let entry = merged.get(snapshot.name);
      if (!entry) {
        entry = { snapshot: { ...snapshot, samples: [] }, byLabels: new Map() };
        merged.set(snapshot.name, entry);
      }
      for (const sample of snapshot.samples) {
        const mark = sample.labels.join('\n');
        const known = entry.byLabels.get(mark);
        if (known) for (let i = 0; i < known.values.length; i++) known.values[i]! += sample.values[i]!;
        else {
          const copy = { labels: sample.labels, values: [...sample.values] };
          entry.byLabels.set(mark, copy);
          entry.snapshot.samples.push(copy);
        }
      }
    }
  }
  return [...merged.values()].map(({ snapshot }) => snapshot);
}

function cellOf<T>(family: Family, labels: readonly string[], make: () => T): T {
  const mark = labels.join('\n');
  let found = family.cells.get(mark);
  if (!found) {
    found = { labels, cell: make() as CounterCell | HistogramCell };
    family.cells.set(mark, found);
  }
  return found.cell as T;
}

function sampleOf(labels: readonly string[], cell: CounterCell | HistogramCell): MetricSample {
  return { labels, values: 'data' in cell ? [...cell.data] : [cell.value] };
}
