import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cacheStates, limitOutcomes, type UsageEvent } from '#contract/usage.ts';
import {
  BatchFormatError,
  createColumns,
  decodeBatch,
  encodeBatch,
  eventAt,
  joinBatches,
  setEvent,
  splitBatches,
} from '#contract/usage-batch.ts';

const text = fc.option(fc.string({ unit: 'grapheme', maxLength: 12 }), { nil: null });
const amount = fc.double({ min: 0, max: 1e15, noNaN: true });
const event: fc.Arbitrary<UsageEvent> = fc.record(
  {
    id: fc.string({ maxLength: 40 }),
    occurredAt: fc.integer({ min: 0, max: 4e12 }),
    keyId: text,
    appId: text,
    accountId: text,
    environment: fc.constantFrom('test', 'live', null),
    routeId: text,
    serviceId: text,
    version: text,
    method: fc.constantFrom('GET', 'POST', 'M-SEARCH'),
    path: fc.string({ maxLength: 30 }),
    status: fc.integer({ min: 0, max: 999 }),
    latencyMs: amount,
    upstreamLatencyMs: fc.option(amount, { nil: null }),
    bytesIn: amount,
    bytesOut: amount,
    cache: fc.constantFrom(...cacheStates, null),
    limit: fc.constantFrom(...limitOutcomes, null),
    overage: fc.boolean(),
    country: text,
    clientIp: text,
  },
  { noNullPrototype: true },
);
const head = { source: 'gw/0/life', sequence: 7, gateway: 'gw', createdAt: 1_700_000_000_000 };

function encode(events: readonly UsageEvent[]): Uint8Array {
  const columns = createColumns(events.length);
  events.forEach((entry, i) => {
    setEvent(columns, i, entry);
  });
  return encodeBatch(head, columns, 0, events.length);
}

test('a batch gives back exactly the events that were put in, wherever it lies in memory', () => {
  fc.assert(
    fc.property(
      fc.array(event, { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 0, max: 9 }),
      (events, shift) => {
        const bytes = encode(events);
        const moved = new Uint8Array(bytes.length + shift + 3);
        moved.set(bytes, shift);
        const batch = decodeBatch(moved.subarray(shift, shift + bytes.length));
        const { columns, ...rest } = batch;
        assert.deepEqual(rest, { ...head, count: events.length });
        events.forEach((entry, i) => {
          assert.deepEqual(eventAt(columns, i), entry);
        });
      },
    ),
    { numRuns: 200 },
  );
});

test('part of the columns can be encoded', () => {
  const columns = createColumns(5);
  const events = fc.sample(event, { numRuns: 5, seed: 1 });
  events.forEach((entry, i) => {
    setEvent(columns, i, entry);
  });
  const batch = decodeBatch(encodeBatch(head, columns, 2, 2));
  assert.deepEqual([eventAt(batch.columns, 0), eventAt(batch.columns, 1)], events.slice(2, 4));
});

test('a batch with any one byte changed, or cut anywhere, is refused and nothing else is thrown', () => {
  const bytes = encode(fc.sample(event, { numRuns: 3, seed: 2 }));
  for (let i = 0; i < bytes.length; i++) {
    if (i >= 5 && i < 8) continue; // reserved
    const damaged = bytes.slice();
    damaged[i]! ^= 0x55;
    assert.throws(() => decodeBatch(damaged), BatchFormatError, `byte ${i}`);
    assert.throws(() => decodeBatch(bytes.slice(0, i)), BatchFormatError, `cut at ${i}`);
  }
});

test('arbitrary bytes are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.throws(() => decodeBatch(bytes), BatchFormatError);
    }),
  );
});

test('joined batches come apart as they were', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), (batches) => {
      assert.deepEqual(
        splitBatches(joinBatches(batches)).map((bytes) => [...bytes]),
        batches.map((bytes) => [...bytes]),
      );
    }),
  );
  assert.throws(() => splitBatches(Buffer.from([9, 0, 0, 0, 1])), BatchFormatError);
  assert.throws(() => splitBatches(Buffer.from([9, 0])), BatchFormatError);
});
