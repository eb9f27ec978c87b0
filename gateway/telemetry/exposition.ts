import {
  collectDefaultMetrics,
  type Metric,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
} from 'prom-client';
import { durationBounds, type MetricSnapshot } from './metrics.ts';

/** Prometheus text of the process's own metrics and of `collect()`, which is asked at every scrape. */
export class Exposition {
  readonly contentType: string;
  readonly #registry = new Registry();
  readonly #collect: () => Promise<MetricSnapshot[]>;

  constructor(collect: () => Promise<MetricSnapshot[]>) {
    this.#collect = collect;
    this.contentType = this.#registry.contentType;
    collectDefaultMetrics({ register: this.#registry });
  }

  async render(): Promise<string> {
    const scrape = new Registry();
    for (const snapshot of await this.#collect()) scrape.registerMetric(asMetric(snapshot));
    return `${await scrape.metrics()}\n${await this.#registry.metrics()}`;
  }
}

/** What prom-client asks of a metric when it renders one. */
function asMetric(snapshot: MetricSnapshot): Metric {
  const { name, help, type } = snapshot;
  const shown = { name, help, type, aggregator: 'sum', values: valuesOf(snapshot) };
  return {
    name,
    get: async () => shown as unknown as MetricObjectWithValues<MetricValue<string>>,
  } as unknown as Metric;
}

interface Value {
  readonly metricName: string;
  readonly labels: Record<string, string | number>;
  readonly value: number;
}

function valuesOf({ name, type, labelNames, samples }: MetricSnapshot): Value[] {
  return samples.flatMap(({ labels: labelValues, values }) => {
    const labels = Object.fromEntries(labelNames.map((label, index) => [label, labelValues[index] ?? '']));
    if (type !== 'histogram') return [{ metricName: name, labels, value: values[0]! }];
    let total = 0;
    const buckets = durationBounds.map((le, index) => {
      total += values[index]!;
      return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: total };
    });
    total += values[durationBounds.length]!;
    return [
      ...buckets,
      { metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: total },
      { metricName: `${name}_sum`, labels, value: values[durationBounds.length + 1]! },
      { metricName: `${name}_count`, labels, value: total },
    ];
  });
}
