import type { Feature } from '../context.ts';
import { addAdoptionRoutes } from './adoption-routes.ts';
import { minuteMs } from './aggregate.ts';
import { addAnalyticsRoutes } from './analytics-routes.ts';
import { addBillingRoutes } from './billing-routes.ts';
import type { UsageConsumer } from './consumer.ts';
import { addDeadLetterRoutes } from './dead-letter-routes.ts';
import { Ingestor } from './ingest.ts';
import { addIngestRoutes } from './ingest-routes.ts';
import { addLiveTail } from './live-tail.ts';
import { applyRetention, noteLastUse } from './maintenance.ts';
import { Partitions } from './partitions.ts';
import { addQuotaRoutes } from './quota-routes.ts';
import { addUsageMetrics } from './usage-metrics.ts';

/** Usage: taken in from gateways and brokers, kept, and shown. */
export const usage: Feature = async (app, context) => {
  const { db, log, metrics } = context;
  const config = context.config.usage;
  const now = (): number => context.now().getTime();
  const partitions = new Partitions(db, config.eventDays, now);
  const ingestor = new Ingestor({ db, partitions, now, maxBatchAgeDays: config.maxBatchAgeDays });
  addIngestRoutes(app, context, ingestor);
  addAnalyticsRoutes(app, context);
  addQuotaRoutes(app, context);
  addAdoptionRoutes(app, context);
  addBillingRoutes(app, context);
  addLiveTail(app, context);
  addDeadLetterRoutes(app, context, ingestor);

  const consumers: UsageConsumer[] = [];
  const options = {
    ingest: ingestor.ingest.bind(ingestor),
    onError: (error: Error) => log.warn({ err: error }, 'usage consumer'),
  };
  if (config.redis) {
    const { startRedisConsumer } = await import('./redis-consumer.ts');
    consumers.push(startRedisConsumer({ ...options, ...config.redis }));
  }
  if (config.kafka) {
    const { startKafkaConsumer } = await import('./kafka-consumer.ts');
    consumers.push(startKafkaConsumer({ ...options, ...config.kafka }));
  }
  addUsageMetrics(metrics, ingestor, consumers, db);

  let working: Promise<void> | null = null;
  let retainedHour = -1;
  const maintain = async (): Promise<void> => {
    const time = now();
    if (ingestor.stats.events > 0) await noteLastUse(db, new Date(time - 10 * minuteMs));
    // The first time soon after the start, then once in each UTC hour.
    const hour = Math.floor(time / (60 * minuteMs));
    if (hour === retainedHour) return;
    retainedHour = hour;
    await applyRetention(db, partitions, config, time);
  };
  const timer = setInterval(() => {
    working ??= maintain()
      .catch((error: unknown) => log.error({ err: error }, 'usage maintenance'))
      .finally(() => {
        working = null;
      });
  }, minuteMs);
  timer.unref();

  context.onClose(async () => {
    clearInterval(timer);
    await Promise.all(consumers.map((consumer) => consumer.close()));
    await ingestor.idle();
    await working;
  });
};
