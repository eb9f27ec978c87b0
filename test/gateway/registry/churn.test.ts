import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Channel } from '../../../gateway/channel.ts';
import { Registry } from '../../../gateway/registry/registry.ts';
import { setKey } from './support/objects.ts';

test('memory does not grow with changes, and workers read nothing but what is in force meanwhile', async (t) => {
  const registry = await Registry.open({
    dataDir: null,
    providers: [],
    log: () => undefined,
    onDamage: 'refuse',
  });
  const keys = (round: number) =>
    Array.from({ length: 3000 }, (_, n) =>
      setKey(`churn-${n}`, { expiresAt: round, account: `account-${round}` }),
    );
  await registry.applyDelta({ revision: 1, changes: keys(0) });
  const progress = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(new URL('./support/registry-thread.ts', import.meta.url), {
    workerData: { share: registry.share(), progress },
  });
  t.after(() => worker.terminate());
  const channel = new Channel(worker);
  registry.attach(channel);
  const faults: unknown[] = [];
  channel.on('fault', (fault) => faults.push(fault));
  worker.on('error', (error) => faults.push(error));
  await new Promise((resolve) => worker.once('online', resolve));
  let early = 0;
  for (let round = 1; round <= 60; round++) {
    await registry.applyDelta({ revision: round + 1, changes: keys(round) });
    Atomics.store(progress, 0, round);
    const looked = Atomics.load(progress, 1);
    while (Atomics.load(progress, 1) < looked + 3 && faults.length === 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(faults, []);
    if (round === 20) early = registry.tableBytes;
  }
  assert.ok(registry.tableBytes <= 1.3 * early, `${registry.tableBytes} bytes after ${early}`);
  registry.detach(channel);
  await registry.close();
});
