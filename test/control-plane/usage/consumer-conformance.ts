import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { decodeBatch } from '#contract/usage-batch.ts';
import type { ConsumerOptions, UsageConsumer } from '../../../control-plane/usage/consumer.ts';
import type { IngestResult } from '../../../control-plane/usage/ingest.ts';
import type { UsageTransport } from '../../../gateway/usage/transport.ts';
import { makeBatch, makeEvent } from '../../gateway/usage/events.ts';
import { eventually } from '../../support/processes.ts';

export interface BrokerHarness {
  produce(): UsageTransport;
  consume(options: ConsumerOptions): UsageConsumer;
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** An ingestor in memory, that counts what it is given and can fail. */
class Taken {
  readonly names: string[] = [];
  readonly calls: number[] = [];
  failing = false;
  readonly ingest = async (batches: readonly Uint8Array[]): Promise<IngestResult> => {
    if (this.failing) throw new Error('the database is away');
    this.calls.push(batches.length);
    for (const batch of batches) {
      const { source, sequence } = decodeBatch(batch);
      this.names.push(`${source} ${sequence}`);
    }
    return { accepted: batches.length, duplicates: 0, deadLettered: 0 };
  };
  has(names: readonly string[]): boolean {
    const known = new Set(this.names);
    return names.every((name) => known.has(name));
  }
}

/** What every consumer has to do. */
export function describeConsumer(
  name: string,
  make: () => Promise<BrokerHarness>,
  skip: string | false = false,
): void {
  describe(`consuming usage from ${name}`, { skip }, () => {
    let harness: BrokerHarness;
    let transport: UsageTransport;
    const consumers = new Set<UsageConsumer>();
    const errors: Error[] = [];
    const signal = new AbortController().signal;
    const consume = (taken: Taken): UsageConsumer => {
      const options = {
        ingest: taken.ingest,
        onError: (error: Error) => void errors.push(error),
        minPauseMs: 10,
        maxPauseMs: 200,
      };
      const consumer = harness.consume(options);
      consumers.add(consumer);
      return consumer;
    };
    const close = async (consumer: UsageConsumer): Promise<void> => {
      consumers.delete(consumer);
      await consumer.close();
    };
    const send = async (source: string, count: number, from = 1): Promise<string[]> => {
      const names: string[] = [];
      for (let i = 0; i < count; i++) {
        await eventually(
          () => transport.send([Buffer.from(makeBatch(source, from + i, [makeEvent()]))], signal),
          60_000,
        );
        names.push(`${source} ${from + i}`);
      }
      return names;
    };
    before(async () => {
      harness = await make();
      transport = harness.produce();
    });
    after(async () => {
      for (const consumer of consumers) await consumer.close();
      await transport?.close();
      await harness?.stop();
    });

    test('every batch is ingested, those sent before the consumer started too, and the lag falls to nothing', async () => {
      const sent = await send('first', 10);
      const taken = new Taken();
      const consumer = consume(taken);
      sent.push(...(await send('second', 10)));
      await eventually(() => assert.ok(taken.has(sent)), 60_000);
      await eventually(async () => assert.equal(await consumer.lag(), 0), 30_000);
      await close(consumer);
    });

    test('while the database is away nothing is acknowledged; afterwards everything arrives', async () => {
      const taken = new Taken();
      taken.failing = true;
      const consumer = consume(taken);
      const sent = await send('database', 5);
      const before = errors.length;
      await eventually(() => assert.ok(errors.length > before + 2), 60_000);
      taken.failing = false;
      await eventually(() => assert.ok(taken.has(sent)), 60_000);
      await close(consumer);
    });

    test('what a consumer that ends had not ingested goes to the next', async () => {
      const broken = new Taken();
      broken.failing = true;
      const first = consume(broken);
      const sent = await send('handover', 5);
      const before = errors.length;
      await eventually(() => assert.ok(errors.length > before), 60_000);
      await close(first);
      const taken = new Taken();
      const second = consume(taken);
      await eventually(() => assert.ok(taken.has(sent)), 60_000);
      await close(second);
      assert.equal(broken.names.length, 0);
    });

    test('two consumers share the work and lose none of it', async () => {
      const [one, two] = [new Taken(), new Taken()];
      const first = consume(one);
      const second = consume(two);
      const sent: string[] = [];
      await eventually(async () => {
        sent.push(...(await send('shared', 8, sent.length + 1)));
        assert.ok(one.names.length > 0 && two.names.length > 0);
      }, 60_000);
      await eventually(() => {
        const all = new Set([...one.names, ...two.names]);
        assert.ok(sent.every((entry) => all.has(entry)));
      }, 60_000);
      await close(first);
      await close(second);
    });

    test('a broker that crashes and comes back is consumed on', async () => {
      const taken = new Taken();
      const consumer = consume(taken);
      const sent = await send('crash before', 3);
      await eventually(() => assert.ok(taken.has(sent)), 60_000);
      await harness.kill();
      await harness.start();
      sent.push(...(await send('crash after', 3)));
      await eventually(() => assert.ok(taken.has(sent)), 90_000);
      await close(consumer);
    });
  });
}
