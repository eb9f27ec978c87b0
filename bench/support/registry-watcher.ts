import { parentPort, workerData } from 'node:worker_threads';
import { SharedKeys } from '../../gateway/credentials/shared-keys.ts';

/** A worker that looks keys up over and over, and says when each of them was first seen revoked. */
const keys = new SharedKeys((workerData as { table: SharedArrayBuffer }).table);
let watched: string | null = null;
parentPort!.on('message', (keyId: string) => {
  watched = keyId;
  keys.find(keyId);
  parentPort!.postMessage('watching');
  look();
});

function look(): void {
  for (let n = 0; n < 20 && watched !== null; n++) {
    if (keys.find(watched)?.key.status !== 'revoked') continue;
    parentPort!.postMessage(process.hrtime.bigint());
    watched = null;
  }
  if (watched !== null) setImmediate(look);
}
