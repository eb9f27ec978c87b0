import { parentPort, workerData } from 'node:worker_threads';
import { SharedNonces } from '../../../gateway/credentials/nonces.ts';

/** Waits for all workers, remembers every nonce and reports which were new to it. */
const { memory, gate, workers, nonces, nowMs } = workerData as {
  memory: SharedArrayBuffer;
  gate: SharedArrayBuffer;
  workers: number;
  nonces: number;
  nowMs: number;
};
const store = new SharedNonces(memory);
const arrived = new Int32Array(gate);
Atomics.add(arrived, 0, 1);
while (Atomics.load(arrived, 0) < workers);
const fresh: number[] = [];
for (let n = 0; n < nonces; n++) {
  if (store.remember('ak_test_1', `n${n}`, nowMs + 300_000, nowMs) === 'new') fresh.push(n);
}
parentPort!.postMessage(fresh);
