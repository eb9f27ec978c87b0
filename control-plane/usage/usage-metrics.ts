import { Counter, Gauge, type Registry } from 'prom-client';
import type { Database } from '../database/database.ts';
import type { UsageConsumer } from './consumer.ts';
import type { Ingestor } from './ingest.ts';

/** How ingestion gets on, for the metrics endpoint. */
export function addUsageMetrics(
  registry: Registry,
  ingestor: Ingestor,
  consumers: readonly UsageConsumer[],
  db: Database,
): void {
  const registers = [registry];
  const counter = (name: string, help: string, value: () => number): void => {
    let shown = 0;
    new Counter({
      name: `tollgate_usage_${name}_total`,
      help,
      registers,
      collect() {
        const current = value();
        this.inc(current - shown);
        shown = current;
      },
    });
  };
  counter('events_ingested', 'Usage events written.', () => ingestor.stats.events);
  counter('batches_ingested', 'Usage batches written.', () => ingestor.stats.batches);
  counter(
    'batches_duplicate',
    'Usage batches that had been counted before.',
    () => ingestor.stats.duplicates,
  );
  counter('batches_dead_lettered', 'Usage batches set aside.', () => ingestor.stats.deadLettered);
  counter('ingest_failures', 'Failed transactions of ingestion.', () => ingestor.stats.failures);
  new Gauge({
    name: 'tollgate_usage_ingest_lag_seconds',
    help: 'Age of the newest batch of the last transaction when it was committed.',
    registers,
    collect() {
      this.set(ingestor.stats.lagSeconds);
    },
  });
  new Gauge({
    name: 'tollgate_usage_dead_letters',
    help: 'Batches set aside and not yet dealt with.',
    registers,
    async collect() {
      const [row] = await db.query<{ n: number }>('SELECT count(*)::int AS n FROM usage_dead_letters');
      this.set(row!.n);
    },
  });
  new Gauge({
    name: 'tollgate_usage_consumer_lag_batches',
    help: 'Batches that wait at the broker.',
    labelNames: ['broker'],
    registers,
    async collect() {
      for (const consumer of consumers) {
        const lag = await consumer.lag();
        if (lag !== null) this.labels(consumer.name).set(lag);
      }
    },
  });
}
