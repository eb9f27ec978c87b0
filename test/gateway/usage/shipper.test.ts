import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createUsageEmission, type UsageEmission } from '../../../gateway/usage/emission.ts';
import { BatchesRefused, type UsageTransport } from '../../../gateway/usage/transport.ts';
import { eventually } from '../../support/processes.ts';
import { makeFolder, removeFolder } from '../../support/temporary-folder.ts';

class MemoryTransport implements UsageTransport {
  readonly name = 'memory';
  readonly taken: string[] = [];
  fault: ((batches: readonly string[]) => Error | null) | null = null;
  attempts = 0;
  async send(batches: readonly Buffer[]): Promise<void> {
    this.attempts++;
    const texts = batches.map(String);
    const error = this.fault?.(texts);
    if (error) throw error;
    this.taken.push(...texts);
  }
  async close(): Promise<void> {}
}

async function emitting(t: TestContext, transport: UsageTransport | null, folder = makeFolder('emission')) {
  const emission = await createUsageEmission({
    spool: { directory: folder, segmentBytes: 2000 },
    transport,
    minBackoffMs: 1,
    maxBackoffMs: 5,
  });
  t.after(() => removeFolder(folder));
  return { emission, folder };
}

function accept(emission: UsageEmission, from: number, to: number): string[] {
  const sent: string[] = [];
  for (let i = from; i < to; i++) {
    sent.push(`batch ${i}`);
    emission.accept(Buffer.from(`batch ${i}`), 1);
  }
  return sent;
}

test('batches arrive in order, and closing waits for the last of them', async (t) => {
  const transport = new MemoryTransport();
  const { emission } = await emitting(t, transport);
  const sent = accept(emission, 0, 300);
  assert.equal(await emission.close(10_000), true);
  assert.deepEqual(transport.taken, sent);
});

test('while the receiver is away batches wait on disk; all arrive once it is back', async (t) => {
  const transport = new MemoryTransport();
  transport.fault = () => new Error('away');
  const { emission } = await emitting(t, transport);
  const sent = accept(emission, 0, 200);
  await eventually(() => assert.ok(emission.stats.sendFailures >= 3));
  assert.equal(emission.stats.pendingEvents, 200);
  sent.push(...accept(emission, 200, 250));
  transport.fault = null;
  await eventually(() => assert.equal(emission.stats.pendingEvents, 0));
  assert.deepEqual(transport.taken, sent);
  await emission.close(1000);
});

test('what could not be delivered before the deadline is delivered by the next process', async (t) => {
  const away = new MemoryTransport();
  away.fault = () => new Error('away');
  const { emission, folder } = await emitting(t, away);
  const sent = accept(emission, 0, 50);
  assert.equal(await emission.close(20), false);
  const transport = new MemoryTransport();
  const next = await emitting(t, transport, folder);
  await eventually(() => assert.deepEqual(transport.taken, sent));
  assert.equal(await next.emission.close(1000), true);
});

test('a batch that the receiver will never take is set aside and the others go on', async (t) => {
  const transport = new MemoryTransport();
  transport.fault = (batches) => (batches.includes('batch 7') ? new BatchesRefused('no') : null);
  const { emission, folder } = await emitting(t, transport);
  const sent = accept(emission, 0, 20);
  assert.equal(await emission.close(10_000), true);
  assert.deepEqual(
    transport.taken,
    sent.filter((text) => text !== 'batch 7'),
  );
  assert.equal(emission.stats.refusedBatches, 1);
  const kept = readdirSync(join(folder, 'refused'));
  assert.equal(readFileSync(join(folder, 'refused', kept[0]!), 'utf8'), 'batch 7');
});

test('an acknowledgement lost on the way means that a batch is sent twice, never that it is missing', async (t) => {
  const transport = new MemoryTransport();
  let lost = 0;
  transport.fault = (batches) => {
    if (lost++ % 2 === 1) return null;
    transport.taken.push(...batches);
    return new Error('connection lost after the receiver had committed');
  };
  const { emission } = await emitting(t, transport);
  const sent = accept(emission, 0, 40);
  assert.equal(await emission.close(10_000), true);
  assert.deepEqual([...new Set(transport.taken)], sent);
  assert.ok(transport.taken.length > sent.length);
});

test('without a transport batches are kept for a later process that has one', async (t) => {
  const { emission, folder } = await emitting(t, null);
  const sent = accept(emission, 0, 5);
  await emission.close(0);
  const transport = new MemoryTransport();
  const next = await emitting(t, transport, folder);
  assert.equal(await next.emission.close(5000), true);
  assert.deepEqual(transport.taken, sent);
});
