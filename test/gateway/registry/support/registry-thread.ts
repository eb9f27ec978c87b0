import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { Channel } from '../../../../gateway/channel.ts';
import type { RegistryShare } from '../../../../gateway/registry/messages.ts';
import { WorkerRegistry } from '../../../../gateway/registry/worker-registry.ts';

/** A worker that looks keys up all the time and reports one that is not as it should be. */
const { share, progress } = workerData as { share: RegistryShare; progress: Int32Array };
const channel = new Channel(parentPort as MessagePort);
const registry = new WorkerRegistry({ share, channel, onRouting: () => undefined });
registry.start();

function look(n: number): void {
  for (let i = n; i < n + 200; i++) {
    const id = `churn-${(i * 7919) % 3000}`;
    const least = Atomics.load(progress, 0);
    const key = registry.keys.find(id)?.key;
    const round = key?.expiresAt ?? -1;
    if (round < least || key?.account !== `account-${round}` || key.id !== id) {
      channel.send('fault', `${id}: ${JSON.stringify(key)} in round ${least}`);
      return;
    }
  }
  Atomics.add(progress, 1, 1);
  setImmediate(look, n + 200);
}
look(0);
