import type { MetricSample, MetricSnapshot } from '../telemetry/metrics.ts';
import type { ControlSourceStatus } from './control-source.ts';
import type { Registry } from './registry.ts';

/** What the main thread has to say of the registry at a scrape. */
export function registryMetrics(registry: Registry, source: ControlSourceStatus | null): MetricSnapshot[] {
  const { test, live } = registry.keyCounts;
  const snapshots = [
    metric('gauge', 'tollgate_registry_revision', 'Revision in force on the main thread.', registry.revision),
    metric(
      'gauge',
      'tollgate_registry_applied_revision',
      'Revision in force on every worker.',
      registry.appliedRevision,
    ),
    metric('gauge', 'tollgate_registry_table_bytes', 'Memory of the shared key table.', registry.tableBytes),
    metric('gauge', 'tollgate_registry_disk_bytes', 'Size of the registry copy on disk.', registry.diskBytes),
    metric(
      'gauge',
      'tollgate_registry_unopened_data_keys',
      'Data keys that no key provider has opened.',
      registry.unopenedDataKeys,
    ),
    family(
      'gauge',
      'active_api_keys',
      'Keys that are not revoked.',
      ['environment'],
      [
        { labels: ['test'], values: [test] },
        { labels: ['live'], values: [live] },
      ],
    ),
  ];
  if (source === null) return snapshots;
  return [
    ...snapshots,
    metric(
      'gauge',
      'tollgate_registry_connected',
      'Whether the stream of the control plane is connected.',
      source.connected ? 1 : 0,
    ),
    metric(
      'gauge',
      'tollgate_registry_refused',
      'Whether a refused revision stands out.',
      source.refused === null ? 0 : 1,
    ),
    metric('counter', 'tollgate_registry_refusals_total', 'Revisions refused as a whole.', source.refusals),
    metric(
      'counter',
      'tollgate_registry_connections_total',
      'Connections made to the control plane.',
      source.connections,
    ),
  ];
}

function metric(type: 'gauge' | 'counter', name: string, help: string, value: number): MetricSnapshot {
  return family(type, name, help, [], [{ labels: [], values: [value] }]);
}

function family(
  type: 'gauge' | 'counter',
  name: string,
  help: string,
  labelNames: string[],
  samples: MetricSample[],
): MetricSnapshot {
  return { name, type, help, labelNames, samples };
}
