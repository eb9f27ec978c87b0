import { parentPort, workerData } from 'node:worker_threads';
import { SharedKeys } from '../../../../gateway/credentials/shared-keys.ts';

const { buffer, shared } = workerData as { buffer: SharedArrayBuffer; shared: Int32Array };
const keys = new SharedKeys(buffer, { maxDecoded: 500 });
const [go, done, revision] = [0, 1, 2];

/** Looks up until told to stop: what is found must never be older than the revision read before the look-up. */
for (let n = 0; ; n++) {
  const asked = Atomics.load(shared, go!);
  if (asked === -1) break;
  if (asked > Atomics.load(shared, done!)) {
    keys.forget();
    Atomics.store(shared, done!, asked);
  }
  const id = `ak_test_${(n * 7919) % 2000}`;
  const minimum = Atomics.load(shared, revision!);
  const found = keys.find(id)?.key;
  if (found === undefined || found.id !== id) {
    parentPort!.postMessage(`${id} is not found`);
    break;
  }
  const { expiresAt = 0, app = 'app_0' } = found;
  if (expiresAt < minimum || app !== `app_${expiresAt}`) {
    parentPort!.postMessage(`${id} is of round ${expiresAt} with ${app}, not ${minimum}`);
    break;
  }
}
