/**
 * What a usage event costs the worker that records it: CPU of `record` alone, and with encoding and hand-over.
 * `node bench/emission.ts [events]`
 */
import { performance } from 'node:perf_hooks';
import type { Exchange } from '../gateway/exchange.ts';
import { createUsageRecorder } from '../gateway/usage/recorder.ts';

const total = Number(process.argv[2] ?? 2_000_000);
const batchEvents = 1000;

function makeExchanges(count: number): Exchange[] {
  return Array.from({ length: count }, (_, i) => {
    const consumer = {
      keyId: `ak_live_${i % 500}`,
      appId: `app-${i % 200}`,
      accountId: `acc-${i % 100}`,
      environment: 'live',
      subject: null,
      scopes: [],
      roles: [],
    };
    return {
      requestId: `0196b3a2-7c1e-7000-8000-${String(i).padStart(12, '0')}`,
      startedAt: performance.now(),
      route: { id: `route-${i % 20}`, serviceId: `service-${i % 10}`, versionId: 'v1' },
      consumer,
      key: null,
      method: i % 3 === 0 ? 'POST' : 'GET',
      path: `/v1/payments/${i % 2000}`,
      status: 200,
      upstreamLatencyMs: 4,
      bytesIn: 120,
      bytesOut: 800,
      cacheState: null,
      limitOutcome: 'admitted',
      overage: false,
      clientIp: `198.51.${i % 200}.${i % 250}`,
      header: () => undefined,
    } as unknown as Exchange;
  });
}

const exchanges = makeExchanges(4096);
let delivered = 0;
let bytes = 0;
const recorder = createUsageRecorder({
  gateway: 'bench',
  worker: 0,
  batchEvents,
  flushIntervalMs: 60_000,
  deliver: (batch, events) => {
    delivered += events;
    bytes += batch.length;
  },
});

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

let recordMs = 0;
let encodeMs = 0;
for (const measured of [false, true]) {
  recordMs = 0;
  encodeMs = 0;
  const rounds = Math.ceil((measured ? total : total / 4) / batchEvents);
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    for (let i = 0; i < batchEvents; i++) recorder.record(exchanges[(round * batchEvents + i) & 4095]!);
    const recorded = performance.now();
    recorder.flush();
    recordMs += recorded - start;
    encodeMs += performance.now() - recorded;
  }
  if (!measured) {
    delivered = 0;
    bytes = 0;
  }
}
const cpuBefore = cpuMs();
for (let i = 0; i < total; i++) {
  recorder.record(exchanges[i & 4095]!);
  if (i % batchEvents === batchEvents - 1) recorder.flush();
}
const cpu = cpuMs() - cpuBefore;

const perEvent = (ms: number): number => Number(((ms * 1000) / total).toFixed(3));
console.log(
  JSON.stringify({
    bench: 'emission',
    events: total,
    record_us: perEvent(recordMs),
    encode_us: perEvent(encodeMs),
    cpu_us: perEvent(cpu),
    bytes_per_event: Number((bytes / delivered).toFixed(1)),
  }),
);
