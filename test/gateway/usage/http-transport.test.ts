import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHttpTransport } from '../../../gateway/usage/http-transport.ts';
import { BatchesRefused } from '../../../gateway/usage/transport.ts';
import { startReceiver, type TestReceiver } from './receiver.ts';
import { describeTransport } from './transport-conformance.ts';

describeTransport('HTTP', async () => {
  let receiver: TestReceiver = await startReceiver();
  const { url, port } = receiver;
  const kept: Buffer[] = [];
  return {
    open: () => createHttpTransport({ url, token: 'token', timeoutMs: 3000 }),
    received: async () => [...kept, ...receiver.batches],
    async kill() {
      kept.push(...receiver.batches);
      await receiver.stop();
    },
    async start() {
      receiver = await startReceiver({ port });
    },
    stop: () => receiver.stop(),
  };
});

test('an answer that will never change is told from one that may', async (t) => {
  const receiver = await startReceiver();
  t.after(() => receiver.stop());
  const transport = createHttpTransport({ url: receiver.url, token: 'token', timeoutMs: 200 });
  t.after(() => transport.close());
  const { signal } = new AbortController();
  const send = () => transport.send([Buffer.from('x')], signal);
  for (const status of [400, 413, 422]) {
    receiver.answer(status);
    await assert.rejects(send(), BatchesRefused);
  }
  for (const status of [401, 404, 429, 500, 503]) {
    receiver.answer(status);
    await assert.rejects(send(), (error) => !(error instanceof BatchesRefused));
  }
  receiver.answer(null);
  await assert.rejects(send(), (error) => !(error instanceof BatchesRefused));
  receiver.answer(200);
  await send();
});
