/**
 * What a usage event costs: CPU of recording and encoding it in the worker, and of a request through a whole gateway
 * with and without usage. `node bench/emission.ts [events] [seconds of load]`
 */
import { createServer } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { Exchange } from '../gateway/exchange.ts';
import { createUsageRecorder } from '../gateway/usage/recorder.ts';
import { startProcess } from '../test/support/processes.ts';
import { makeFolder, removeFolder } from '../test/support/temporary-folder.ts';
import { startUpstream } from '../test/support/upstream.ts';
import { runLoad } from './support/load.ts';
import { readCpuUs } from './support/processor.ts';

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

/** CPU of the whole gateway process for each request: the least of rounds that alternate, as others disturb upwards. */
async function compareGateways(seconds: number): Promise<void> {
  const upstream = await startUpstream((_request, socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  });
  const receiver = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(200).end('{}'));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => receiver.once('listening', resolve));
  const { port } = receiver.address() as { port: number };
  const cpuUs: Record<string, number[]> = { none: [], http: [] };
  for (let round = 0; round < 4; round++) {
    for (const transport of ['none', 'http'] as const) {
      const folder = makeFolder('emission');
      const gateway = startProcess(process.execPath, [`${import.meta.dirname}/support/emission-gateway.ts`], {
        env: {
          ...process.env,
          EMISSION_GATEWAY: JSON.stringify({ transport, upstream: upstream.url, port, folder }),
          TOLLGATE_LOG_LEVEL: 'silent',
        },
      });
      const [, url] = await gateway.waitFor(/"url":"(http:[^"]+)"/);
      const request = { url: `${url}/v1/x`, method: 'GET', headers: {}, body: '' };
      await runLoad(request, { connections: 16, seconds: 1, core: 1 });
      const before = readCpuUs(gateway.pid);
      const { requests } = await runLoad(request, { connections: 16, seconds, core: 1 });
      cpuUs[transport]!.push((readCpuUs(gateway.pid) - before) / requests);
      await gateway.stop();
      removeFolder(folder);
    }
  }
  const [without, withUsage] = [Math.min(...cpuUs.none!), Math.min(...cpuUs.http!)];
  console.log(
    JSON.stringify({
      bench: 'emission, whole gateway',
      cpu_us_without: Number(without.toFixed(2)),
      cpu_us_with: Number(withUsage.toFixed(2)),
      difference_us: Number((withUsage - without).toFixed(2)),
    }),
  );
  await upstream.stop();
  receiver.closeAllConnections();
  receiver.close();
}

await compareGateways(Number(process.argv[3] ?? 4));
