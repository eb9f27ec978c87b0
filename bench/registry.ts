/**
 * What do 1,000,000 keys cost a gateway: memory, start, look-ups, revocations?
 *
 * Seven of ten keys hold a sealed secret, the others a hash; ten keys belong to one app. Memory is what the resident
 * memory of a gateway process with all its workers grows by, beside the same gateway with an empty registry.
 *
 * Arguments: --keys N (1000000), --workers LIST (1,4).
 */
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Registry } from '../gateway/registry/registry.ts';
import { startTollgate } from '../test/support/command-line.ts';
import type { RunningProcess } from '../test/support/processes.ts';
import { makeFolder } from '../test/support/temporary-folder.ts';
import { readMemoryMib } from './support/processor.ts';
import {
  isBearer,
  keyIdOf,
  portalKey,
  secretOf,
  serveSnapshot,
  writeSnapshot,
} from './support/registry-stream.ts';

const args = process.argv.slice(2);
const option = (name: string, fallback: string): string => {
  const at = args.indexOf(`--${name}`);
  return at < 0 ? fallback : args[at + 1]!;
};
const keys = Number(option('keys', '1000000'));
const workerCounts = option('workers', '1,4').split(',').map(Number);
const folder = makeFolder('bench');

interface Gateway {
  readonly process: RunningProcess;
  readonly startMs: number;
}

async function startGateway(control: string, workers: number, dataDir: string): Promise<Gateway> {
  const startedAt = performance.now();
  const running = startTollgate(
    [
      ...['gateway', '--control', control, '--workers', String(workers), '--data-dir', dataDir],
      ...['--listen', '0', '--admin-port', '0', '--json'],
    ],
    { env: { TOLLGATE_GATEWAY_TOKEN: 'gateway', TOLLGATE_ACCESS_LOG: 'off' } },
  );
  await running.waitFor(/^\{"gateway"/m, 120_000);
  return { process: running, startMs: performance.now() - startedAt };
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

/** Memory in MiB once nothing is going on. */
async function restingMemory({ process: running }: Gateway): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 3000));
  return readMemoryMib(running.pid);
}

async function measureProcess(snapshot: string, emptySnapshot: string, workers: number): Promise<string> {
  const empty = await serveSnapshot(emptySnapshot);
  const idle = await startGateway(empty.url, workers, join(folder, `empty-${workers}`));
  await empty.acknowledged;
  const baseMib = await restingMemory(idle);
  await idle.process.stop();
  await empty.stop();

  const perKey = (mib: number): string => `${Math.round(((mib - baseMib) * 1024 * 1024) / keys)} bytes a key`;
  const dataDir = join(folder, `full-${workers}`);
  const full = await serveSnapshot(snapshot);
  const startedAt = performance.now();
  const loading = await startGateway(full.url, workers, dataDir);
  await full.acknowledged;
  const loadMs = performance.now() - startedAt;
  const loadedMib = await restingMemory(loading);
  await loading.process.stop();
  await full.stop();

  const cold = await startGateway('http://127.0.0.1:9', workers, dataDir);
  const coldMib = await restingMemory(cold);
  const opened = /"records":(\d+),"ms":(\d+)/.exec(cold.process.output());
  await cold.process.stop();
  console.log(`${workers} workers, ${keys} keys:`);
  console.log(`  memory: ${Math.round(baseMib)} MiB empty, ${Math.round(loadedMib)} MiB from the stream`);
  console.log(`          (${perKey(loadedMib)}), ${Math.round(coldMib)} MiB from disk (${perKey(coldMib)})`);
  console.log(`  snapshot from the stream, in force and acknowledged: ${seconds(loadMs)}`);
  console.log(`  cold start without control plane: ${seconds(cold.startMs)} until it serves,`);
  console.log(`          of which ${seconds(Number(opened?.[2]))} read ${opened?.[1]} records from disk`);
  return dataDir;
}

function nanoseconds(name: string, count: number, look: (n: number) => unknown): void {
  for (let n = 0; n < 1000; n++) look(n);
  let found = 0;
  const startedAt = process.hrtime.bigint();
  for (let n = 0; n < count; n++) if (look(n) !== undefined) found++;
  const each = Number(process.hrtime.bigint() - startedAt) / count;
  console.log(`  ${name}: ${Math.round(each)} ns (${found} of ${count} found)`);
}

function measureLookups(registry: Registry): void {
  console.log('look-ups:');
  const count = Math.min(200_000, keys);
  const somewhere = (n: number): number => (n * 7919) % keys;
  // As a header gives them: in one piece.
  const flat = (text: string): string => Buffer.from(text).toString('latin1');
  const ids = Array.from({ length: count }, (_, n) => flat(keyIdOf(somewhere(n))));
  const digests: string[] = [];
  for (let n = 0; digests.length < Math.min(50_000, keys / 5); n++) {
    if (isBearer(somewhere(n))) digests.push(hash('sha256', secretOf(somewhere(n)), 'hex'));
  }
  nanoseconds('known lately, by id', 2_000_000, (n) => registry.keys.find(ids[n % 20]!));
  nanoseconds('known lately, by digest', 2_000_000, (n) =>
    registry.keys.findBySecretDigest(digests[n % 20]!),
  );
  nanoseconds('any of all, by id', count, (n) => registry.keys.find(ids[n % count]!));
  nanoseconds('any of all, by digest', digests.length, (n) => registry.keys.findBySecretDigest(digests[n]!));
  const unknown = ids.map((id) => flat(`${id.slice(0, -4)}0000`));
  nanoseconds('unknown', count, (n) => registry.keys.find(unknown[n % count]!));
}

/** From the moment a delta is at the main thread until a busy worker's look-up shows it. */
async function measureRevocations(registry: Registry): Promise<void> {
  const worker = new Worker(new URL('./support/registry-watcher.ts', import.meta.url), {
    workerData: registry.share(),
  });
  const times: number[] = [];
  for (let n = 0; n < 1000; n++) {
    const id = keyIdOf(n);
    worker.postMessage(id);
    await once(worker, 'message');
    const seen = once(worker, 'message');
    const startedAt = process.hrtime.bigint();
    const object = portalKey(n, null, 'revoked');
    await registry.applyDelta({ revision: registry.revision + 1, changes: [{ kind: 'key', id, object }] });
    const [at] = (await seen) as [bigint];
    times.push(Number(at - startedAt) / 1e6);
  }
  await worker.terminate();
  times.sort((a, b) => a - b);
  const at = (share: number): string => `${times[Math.floor(share * (times.length - 1))]!.toFixed(3)} ms`;
  console.log(
    `revocation, delta at the main thread until a worker sees it: p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)}`,
  );
}

const snapshot = join(folder, 'snapshot.ndjson');
const emptySnapshot = join(folder, 'empty.ndjson');
await writeSnapshot(snapshot, keys);
await writeSnapshot(emptySnapshot, 0);
let dataDir = '';
for (const workers of workerCounts) dataDir = await measureProcess(snapshot, emptySnapshot, workers);
const registry = await Registry.open({ dataDir, providers: [], log: () => undefined, onDamage: 'refuse' });
measureLookups(registry);
await measureRevocations(registry);
await registry.close();
