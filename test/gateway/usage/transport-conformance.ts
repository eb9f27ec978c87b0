import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { UsageTransport } from '../../../gateway/usage/transport.ts';
import { eventually } from '../../support/processes.ts';

/** A receiving side, with what the suite needs to disturb it. */
export interface TransportHarness {
  /** A new transport to the receiver. */
  open(): UsageTransport;
  /** Everything that has arrived, in order of arrival within a call. */
  received(): Promise<Buffer[]>;
  /** Ends the receiver as a crash would; what it has acknowledged survives. */
  kill(): Promise<void>;
  /** Starts it again at the same address. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** What every transport has to do. */
export function describeTransport(
  name: string,
  make: () => Promise<TransportHarness>,
  skip: string | false = false,
): void {
  describe(`usage over ${name}`, { skip }, () => {
    let harness: TransportHarness;
    const open = new Set<UsageTransport>();
    const opened = (): UsageTransport => {
      const transport = harness.open();
      open.add(transport);
      return transport;
    };
    const signal = new AbortController().signal;
    before(async () => {
      harness = await make();
    });
    after(async () => {
      for (const transport of open) await transport.close();
      await harness?.stop();
    });
    const receive = async (text: string): Promise<Buffer[]> => {
      const all = await harness.received();
      return all.filter((batch) => batch.toString('latin1').startsWith(text));
    };

    test('batches arrive as they were, binary and large ones too, before send resolves', async () => {
      const large = Buffer.alloc(300_000, 0xe9);
      large.write('large');
      const binary = Buffer.concat([Buffer.from('binary'), Buffer.from([0, 255, 13, 10, 0])]);
      await opened().send([large, binary], signal);
      assert.deepEqual(await receive('large'), [large]);
      assert.deepEqual(await receive('binary'), [binary]);
    });

    test('every batch of many calls arrives once', async () => {
      const transport = opened();
      const sent: string[] = [];
      for (let call = 0; call < 20; call++) {
        const batches = Array.from({ length: 5 }, (_, i) => `many ${call}/${i}.`);
        sent.push(...batches);
        await transport.send(
          batches.map((text) => Buffer.from(text)),
          signal,
        );
      }
      assert.deepEqual((await receive('many')).map(String).sort(), sent.sort());
    });

    test('a send while the receiver is away rejects; the same transport delivers when it is back', async () => {
      const transport = opened();
      await transport.send([Buffer.from('outage before')], signal);
      await harness.kill();
      await assert.rejects(transport.send([Buffer.from('outage during')], signal));
      await harness.start();
      await eventually(() => transport.send([Buffer.from('outage after')], signal), 60_000);
      const arrived = (await receive('outage')).map(String);
      assert.ok(arrived.includes('outage before'), 'what was acknowledged is kept');
      assert.ok(arrived.includes('outage after'));
    });

    test('an aborted send rejects', async () => {
      const aborted = new AbortController();
      aborted.abort(new Error('stopping'));
      await assert.rejects(opened().send([Buffer.from('aborted')], aborted.signal));
    });
  });
}
