import type { MetricSnapshot } from '../telemetry/metrics.ts';
import type { EmissionStats } from './emission.ts';

/** The emission's counters for the metrics endpoint. */
export function usageMetrics(stats: EmissionStats): MetricSnapshot[] {
  const metric = (name: string, type: 'counter' | 'gauge', help: string, value: number): MetricSnapshot => ({
    name: `tollgate_usage_${name}`,
    type,
    help,
    labelNames: [],
    samples: [{ labels: [], values: [value] }],
  });
  return [
    metric('events_spooled_total', 'counter', 'Usage events taken into the spool.', stats.acceptedEvents),
    metric('events_delivered_total', 'counter', 'Usage events delivered.', stats.acknowledgedEvents),
    metric('events_dropped_total', 'counter', 'Usage events lost to a full spool.', stats.droppedEvents),
    metric('events_pending', 'gauge', 'Usage events waiting to be delivered.', stats.pendingEvents),
    metric('spool_bytes', 'gauge', 'Size of what waits to be delivered.', stats.pendingBytes),
    metric('delivery_failures_total', 'counter', 'Failed attempts to deliver.', stats.sendFailures),
    metric('batches_refused_total', 'counter', 'Batches set aside as undeliverable.', stats.refusedBatches),
    metric('spool_damaged_total', 'counter', 'Unreadable places in the spool.', stats.damagedRecords),
    metric('spool_write_failures_total', 'counter', 'Failed writes to the spool.', stats.writeFailures),
  ];
}
