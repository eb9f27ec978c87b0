import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeBatch } from '#contract/usage-batch.ts';
import type { Exchange } from '../../../gateway/exchange.ts';
import { createUsageEmission } from '../../../gateway/usage/emission.ts';
import { createUsageRecorder } from '../../../gateway/usage/recorder.ts';
import type { UsageTransport } from '../../../gateway/usage/transport.ts';
import { makeFolder, removeFolder } from '../../support/temporary-folder.ts';

const perSecond = 2000;
const seconds = 600;

test('ten minutes without a receiver at 2,000 requests a second: memory stays bounded and every event arrives', async (t) => {
  const folder = makeFolder('outage');
  t.after(() => removeFolder(folder));
  let away = true;
  let arrived = 0;
  let idSum = 0;
  const transport: UsageTransport = {
    name: 'test',
    async send(batches) {
      if (away) throw new Error('away');
      for (const batch of batches) {
        const { count, columns } = decodeBatch(batch);
        arrived += count;
        for (const id of columns.ids) idSum += Number(id);
      }
    },
    async close() {},
  };
  const emission = await createUsageEmission({
    spool: { directory: folder, fsync: 'never' },
    transport,
    minBackoffMs: 1,
    maxBackoffMs: 20,
  });
  const recorder = createUsageRecorder({
    gateway: 'gw',
    worker: 0,
    flushIntervalMs: 3_600_000,
    deliver: (batch, events) => emission.accept(batch, events),
  });
  const exchange = {
    route: { id: 'r', serviceId: 's', versionId: 'v1' },
    consumer: null,
    key: null,
    method: 'GET',
    path: '/v1/payments',
    status: 200,
    startedAt: performance.now(),
    upstreamLatencyMs: 3,
    bytesIn: 0,
    bytesOut: 100,
    cacheState: null,
    limitOutcome: 'admitted',
    overage: false,
    clientIp: '192.0.2.1',
  } as unknown as { requestId: string };

  let number = 0;
  let peakBytes = 0;
  const memory = (): number => {
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = memory();
  for (let second = 0; second < seconds; second++) {
    for (let i = 0; i < perSecond; i++) {
      exchange.requestId = String(number++);
      recorder.record(exchange as unknown as Exchange);
    }
    recorder.flush();
    // The disk gets the turns that a second of real time would give it.
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    peakBytes = Math.max(peakBytes, memory() - before);
  }
  const total = perSecond * seconds;
  assert.equal(emission.stats.droppedEvents, 0);
  assert.equal(emission.stats.pendingEvents, total);
  assert.ok(peakBytes < 128 << 20, `${peakBytes} bytes more in memory`);

  away = false;
  assert.equal(await emission.close(60_000), true);
  assert.equal(arrived, total);
  assert.equal(idSum, (total * (total - 1)) / 2);
  t.diagnostic(`${Math.round(peakBytes / (1 << 20))} MiB more in memory at most, for ${total} events`);
});
