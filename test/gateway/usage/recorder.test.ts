import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeBatch, eventAt, type UsageBatch } from '#contract/usage-batch.ts';
import type { Exchange } from '../../../gateway/exchange.ts';
import { truncateAddress } from '../../../gateway/usage/client-address.ts';
import {
  createUsageRecorder,
  parseCountry,
  type UsageRecorderOptions,
} from '../../../gateway/usage/recorder.ts';

/** What the recorder reads of an exchange. */
function ended(changes: Record<string, unknown> = {}): Exchange {
  return {
    requestId: 'req-1',
    startedAt: performance.now() - 5,
    route: { id: 'payments', serviceId: 'pay', versionId: 'v1' },
    consumer: {
      keyId: 'ak_test_abc',
      appId: 'app-1',
      accountId: 'acc-1',
      environment: 'test',
      subject: null,
      scopes: [],
      roles: [],
    },
    key: null,
    method: 'POST',
    path: '/v1/payments',
    status: 201,
    upstreamLatencyMs: 3,
    bytesIn: 10,
    bytesOut: 20,
    cacheState: 'miss',
    limitOutcome: 'admitted',
    overage: true,
    clientIp: '192.0.2.77',
    header: (name: string) => (name === 'cf-ipcountry' ? 'sn' : undefined),
    ...changes,
  } as unknown as Exchange;
}

function recording(options: Partial<UsageRecorderOptions> = {}) {
  const batches: UsageBatch[] = [];
  const recorder = createUsageRecorder({
    gateway: 'gw',
    worker: 3,
    deliver: (batch, events) => {
      const decoded = decodeBatch(batch);
      assert.equal(events, decoded.count);
      assert.equal(batch.byteLength, batch.buffer.byteLength, 'its buffer can be transferred');
      batches.push(decoded);
    },
    ...options,
  });
  return { recorder, batches };
}

test('an event says what the request was', () => {
  const { recorder, batches } = recording({ countryHeader: 'cf-ipcountry' });
  const before = Date.now();
  recorder.record(ended());
  recorder.close();
  const { occurredAt, latencyMs, ...event } = eventAt(batches[0]!.columns, 0);
  assert.deepEqual(event, {
    id: 'req-1',
    keyId: 'ak_test_abc',
    appId: 'app-1',
    accountId: 'acc-1',
    environment: 'test',
    routeId: 'payments',
    serviceId: 'pay',
    version: 'v1',
    method: 'POST',
    path: '/v1/payments',
    status: 201,
    upstreamLatencyMs: 3,
    bytesIn: 10,
    bytesOut: 20,
    cache: 'miss',
    limit: 'admitted',
    overage: true,
    country: 'SN',
    clientIp: '192.0.2.0',
  });
  assert.ok(latencyMs >= 5 && occurredAt <= before && occurredAt > before - 60_000);
});

test('a refused credential is an anonymous event; a request without a route is none', () => {
  const { recorder, batches } = recording();
  recorder.record(ended({ consumer: null, status: 401, upstreamLatencyMs: -1 }));
  recorder.record(ended({ route: null }));
  recorder.close();
  assert.equal(recorder.recorded, 1);
  assert.equal(batches[0]!.count, 1);
  const event = eventAt(batches[0]!.columns, 0);
  assert.deepEqual(
    [event.keyId, event.appId, event.environment, event.upstreamLatencyMs],
    [null, null, null, null],
  );
});

test('batches are numbered without gaps and hold every event once, however many come in one turn', () => {
  const { recorder, batches } = recording({ batchEvents: 100 });
  for (let i = 0; i < 1234; i++) recorder.record(ended({ requestId: `r${i}` }));
  recorder.close();
  assert.deepEqual(
    batches.flatMap((batch) => batch.columns.ids),
    Array.from({ length: 1234 }, (_, i) => `r${i}`),
  );
  assert.deepEqual(
    batches.map((batch) => batch.sequence),
    batches.map((_, i) => i + 1),
  );
  assert.equal(new Set(batches.map((batch) => batch.source)).size, 1);
  assert.ok(batches.every((batch) => batch.count <= 100));
});

test('a full batch leaves at the end of the turn, an unfinished one when its time is over', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { recorder, batches } = recording({ batchEvents: 10, flushIntervalMs: 500 });
  for (let i = 0; i < 10; i++) recorder.record(ended());
  assert.equal(batches.length, 0);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(batches.length, 1);
  recorder.record(ended());
  t.mock.timers.tick(499);
  assert.equal(batches.length, 1);
  t.mock.timers.tick(1);
  assert.equal(batches.length, 2);
});

test('each life of a worker is a source of its own', () => {
  const one = recording();
  const two = recording();
  for (const { recorder } of [one, two]) {
    recorder.record(ended());
    recorder.close();
  }
  assert.notEqual(one.batches[0]!.source, two.batches[0]!.source);
});

test('the address is kept whole, as a network, hashed or not at all', () => {
  const seen = (options: Partial<UsageRecorderOptions>) => {
    const { recorder, batches } = recording(options);
    recorder.record(ended());
    recorder.close();
    return eventAt(batches[0]!.columns, 0).clientIp;
  };
  assert.equal(seen({ address: 'whole' }), '192.0.2.77');
  assert.equal(seen({ address: 'truncated' }), '192.0.2.0');
  assert.equal(seen({ address: 'none' }), null);
  const hashed = seen({ address: 'hashed', addressHashKey: 'k' });
  assert.match(hashed!, /^[0-9a-f]{16}$/);
  assert.equal(seen({ address: 'hashed', addressHashKey: 'k' }), hashed);
  assert.notEqual(seen({ address: 'hashed', addressHashKey: 'other' }), hashed);
});

test('truncation keeps a /24 of IPv4 and a /48 of IPv6 in any notation', () => {
  assert.equal(truncateAddress('203.0.113.9'), '203.0.113.0');
  assert.equal(truncateAddress('::ffff:203.0.113.9'), '203.0.113.0');
  assert.equal(truncateAddress('2001:db8:1:2:3:4:5:6'), '2001:db8:1::');
  assert.equal(truncateAddress('2001:db8::6'), '2001:db8::');
  assert.equal(truncateAddress('fe80::1%eth0'), 'fe80::');
  assert.equal(truncateAddress('::1'), '::');
});

test('the address database answers where the trusted header does not', () => {
  const looked: string[] = [];
  const { recorder, batches } = recording({
    countryHeader: 'x-country',
    countryOf: (address) => {
      looked.push(address);
      return 'FR';
    },
  });
  recorder.record(ended());
  recorder.record(ended());
  recorder.record(ended({ header: () => 'CI' }));
  recorder.record(ended({ header: () => 'not a country' }));
  recorder.close();
  assert.deepEqual(batches[0]!.columns.country, ['FR', 'FR', 'CI', 'FR']);
  assert.deepEqual(looked, ['192.0.2.77']);
});

test('country codes are two letters; the CDN words for unknown are none', () => {
  assert.deepEqual(['fr', 'XX', 'T1', 'FRA', 'é1'].map(parseCountry), ['FR', null, null, null, null]);
});
