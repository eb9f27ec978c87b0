import type { UsageEvent } from '#contract/usage.ts';
import { createColumns, encodeBatch, setEvent } from '#contract/usage-batch.ts';

/** A plain event, with what a test wants different. */
export function makeEvent(changes: Partial<UsageEvent> = {}): UsageEvent {
  return {
    id: 'req-1',
    occurredAt: Date.UTC(2025, 0, 15, 12),
    keyId: 'ak_test_abc123',
    appId: 'app-1',
    accountId: 'acc-1',
    environment: 'test',
    routeId: 'payments',
    serviceId: 'payments',
    version: 'v1',
    method: 'POST',
    path: '/v1/payments',
    status: 200,
    latencyMs: 12.5,
    upstreamLatencyMs: 10,
    bytesIn: 100,
    bytesOut: 200,
    cache: null,
    limit: 'admitted',
    overage: false,
    country: 'SN',
    clientIp: '192.0.2.0',
    ...changes,
  };
}

/** Encodes events as batch `sequence` of `source`. */
export function makeBatch(source: string, sequence: number, events: readonly UsageEvent[]): Uint8Array {
  const columns = createColumns(events.length);
  events.forEach((event, i) => {
    setEvent(columns, i, event);
  });
  return encodeBatch({ source, sequence, gateway: 'gw', createdAt: Date.now() }, columns, 0, events.length);
}
