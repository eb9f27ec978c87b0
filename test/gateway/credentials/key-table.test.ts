import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import type { Key } from '#contract/registry.ts';
import { dataKeyLength, sealSecret } from '#contract/sealing.ts';
import { encodeKey } from '../../../gateway/credentials/key-record.ts';
import { KeyTable } from '../../../gateway/credentials/key-table.ts';
import { recordKinds } from '../../../gateway/credentials/key-table-layout.ts';
import { SharedKeys } from '../../../gateway/credentials/shared-keys.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The writer's side as the registry uses it, with interning. */
class Writer {
  readonly table = new KeyTable();
  readonly #numbers = new Map<string, number>();
  readonly #intern = (text: string): number => {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const number = this.#numbers.size;
    this.#numbers.set(text, number);
    this.table.set(recordKinds.interned, String(number), Buffer.from(text));
    return number;
  };

  setKey(key: Key): boolean {
    return this.table.set(recordKinds.key, key.id, encodeKey(key, this.#intern));
  }
}

const base: Key = { id: 'ak_test_1', kind: 'api_key', environment: 'test', status: 'active', secrets: [] };

const secretArbitrary = fc.record(
  {
    sha256: fc.integer({ min: 0, max: 40 }).map((n) => sha256(`secret ${n}`)),
    dataKey: fc.constantFrom('dk_1', 'dk_2'),
    box: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('base64')),
    expiresAt: fc.integer(),
  },
  { requiredKeys: [], noNullPrototype: true },
);
const hexDigit = fc.constantFrom(...'000111222333444555666777888999aaabbbcccdddeeefffAg');
const prefixed = fc
  .array(hexDigit, { minLength: 23, maxLength: 25 })
  .map((digits) => `acc_${digits.join('')}`);
const optionalMembers = fc.record(
  {
    app: fc.oneof(fc.uuid(), fc.constantFrom('app_1', 'APP:2'), prefixed),
    account: fc.oneof(fc.uuid(), prefixed),
    publicKey: fc.base64String({ minLength: 44, maxLength: 44 }),
    expiresAt: fc.oneof(fc.maxSafeInteger(), fc.constantFrom(0, 1_900_000_000_000, 2 ** 48 - 1, 2 ** 48)),
    scopes: fc.array(fc.string(), { maxLength: 4 }),
    addresses: fc.record(
      { allow: fc.array(fc.string({ unit: 'grapheme' })), deny: fc.array(fc.ipV4()) },
      { noNullPrototype: true },
    ),
    version: fc.constantFrom('v1', 'v2'),
    plan: fc.constantFrom('free', 'gold'),
    quota: fc.record({ burst: fc.nat(), daily: fc.nat() }, { requiredKeys: [], noNullPrototype: true }),
  },
  { requiredKeys: [], noNullPrototype: true },
);
const keyArbitrary = (ids: fc.Arbitrary<string>): fc.Arbitrary<Key> =>
  fc
    .record({
      id: ids,
      kind: fc.constantFrom('api_key' as const, 'bearer' as const),
      environment: fc.constantFrom('test' as const, 'live' as const),
      status: fc.constantFrom('active' as const, 'revoked' as const),
      secrets: fc.array(secretArbitrary, { maxLength: 3 }),
    })
    .chain((key) => optionalMembers.map((optional) => ({ ...key, ...optional }) as Key));

test('a key comes back from its packed record as it was set', () => {
  const writer = new Writer();
  const keys = new SharedKeys(writer.table.buffer);
  fc.assert(
    fc.property(keyArbitrary(fc.constantFrom('ak_live_a', 'ak_test_b', 'k.c-d:e')), (key) => {
      writer.setKey(key);
      assert.deepEqual(keys.find(key.id)?.key, key);
    }),
    { numRuns: 500 },
  );
});

test('the table agrees with a map under any sequence of set, remove, compact and reuse', () => {
  const ids = fc.integer({ min: 0, max: 60 }).map((n) => `ak_test_${n}`);
  const operation = fc.oneof(
    { weight: 6, arbitrary: keyArbitrary(ids).map((key) => ({ type: 'set' as const, key })) },
    { weight: 3, arbitrary: ids.map((id) => ({ type: 'remove' as const, id })) },
    { weight: 1, arbitrary: fc.constant({ type: 'compact' as const }) },
  );
  fc.assert(
    fc.property(fc.array(operation, { minLength: 1, maxLength: 200, size: 'max' }), (operations) => {
      const writer = new Writer();
      const { table } = writer;
      const keys = new SharedKeys(table.buffer, { maxDecoded: 8 });
      const model = new Map<string, Key>();
      for (const step of operations) {
        if (step.type === 'set') {
          writer.setKey(step.key);
          model.set(step.key.id, step.key);
        } else if (step.type === 'remove') {
          assert.equal(table.remove(recordKinds.key, step.id), model.delete(step.id));
        } else if (table.compact(100)) {
          keys.forget();
          table.release(table.takeGarbage());
        }
        if (step.type !== 'compact') {
          const id = step.type === 'set' ? step.key.id : step.id;
          assert.deepEqual(keys.find(id)?.key, model.get(id));
        }
      }
      for (let n = 0; n <= 61; n++) {
        assert.deepEqual(keys.find(`ak_test_${n}`)?.key, model.get(`ak_test_${n}`));
      }
      for (let n = 0; n <= 41; n++) {
        const digest = sha256(`secret ${n}`);
        const holders = [...model.values()].filter((key) => key.secrets.some((s) => s.sha256 === digest));
        const found = keys.findBySecretDigest(digest)?.key;
        if (holders.length === 0) assert.equal(found, undefined);
        else {
          assert.ok(holders.some((holder) => holder.id === found?.id));
          if (holders.some((holder) => holder.status === 'active')) assert.equal(found?.status, 'active');
        }
      }
      const live = [...model.values()];
      assert.deepEqual(table.keyCounts, {
        test: live.filter((k) => k.status === 'active' && k.environment === 'test').length,
        live: live.filter((k) => k.status === 'active' && k.environment === 'live').length,
        revoked: live.filter((k) => k.status === 'revoked').length,
      });
    }),
    { numRuns: 60 },
  );
});

test('keys with several secrets are found by exactly those, however crowded the index is', () => {
  const writer = new Writer();
  const keys = new SharedKeys(writer.table.buffer);
  const secretsOf = (n: number, round: number) =>
    [0, 1, 2].map((i) => ({ sha256: sha256(`${n} ${Math.floor((round + i + n) / 2)} ${i % 2}`) }));
  for (let round = 0; round < 6; round++) {
    for (let n = 0; n < 1500; n++) {
      writer.setKey({ ...base, id: `ak_test_${n}`, kind: 'bearer', secrets: secretsOf(n, round) });
    }
    for (let n = 0; n < 1500; n++) {
      const now = new Set(secretsOf(n, round).map((secret) => secret.sha256));
      for (const digest of now) assert.equal(keys.findBySecretDigest(digest)?.key.id, `ak_test_${n}`);
      if (round === 0) continue;
      for (const { sha256: digest } of secretsOf(n, round - 1)) {
        if (!now.has(digest)) assert.equal(keys.findBySecretDigest(digest), undefined);
      }
    }
  }
});

test('space of replaced keys is used again', () => {
  const writer = new Writer();
  const { table } = writer;
  const round = (n: number): void => {
    for (let i = 0; i < 5000; i++) writer.setKey({ ...base, id: `ak_test_${i}`, app: `app_${n}` });
    while (table.compact(4)) table.release(table.takeGarbage());
  };
  for (let n = 0; n < 5; n++) round(n);
  const { pageBytes } = table.usage;
  for (let n = 5; n < 30; n++) round(n);
  assert.ok(table.usage.pageBytes <= 1.5 * pageBytes, `${table.usage.pageBytes} of ${pageBytes}`);
});

test('a replacement removes what was not set again and keeps the rest', () => {
  const writer = new Writer();
  const { table } = writer;
  for (let i = 0; i < 3000; i++) writer.setKey({ ...base, id: `ak_test_${i}` });
  const keys = new SharedKeys(table.buffer);
  for (let round = 0; round < 3; round++) {
    table.beginReplacement();
    for (let i = 0; i < 3000; i += 2 ** (round + 1)) {
      writer.setKey({ ...base, id: `ak_test_${i}`, status: i % 3 ? 'active' : 'revoked' });
    }
    for (const _ of table.endReplacement([recordKinds.key]));
    for (let i = 0; i < 3000; i++) {
      const expected = i % 2 ** (round + 1) ? undefined : i % 3 ? 'active' : 'revoked';
      assert.equal(keys.find(`ak_test_${i}`)?.key.status, expected);
    }
  }
});

test('records carried over as bytes are the same records', () => {
  const writer = new Writer();
  for (let i = 0; i < 2000; i++) {
    writer.setKey({ ...base, id: `ak_live_${i}`, kind: 'bearer', secrets: [{ sha256: sha256(`s${i}`) }] });
  }
  const copy = new KeyTable();
  for (const page of writer.table.records([recordKinds.key])) {
    for (const record of page) assert.equal(copy.setRecord(Buffer.from(record)), true);
  }
  const keys = new SharedKeys(copy.buffer);
  for (let i = 0; i < 2000; i++)
    assert.equal(keys.findBySecretDigest(sha256(`s${i}`))?.key.id, `ak_live_${i}`);
  assert.equal(copy.keyCounts.test, 2000);
});

test('plans and apps of a key are current at the next look-up', () => {
  const table = new KeyTable();
  const keys = new SharedKeys(table.buffer);
  const none = (): null => null;
  table.set(recordKinds.key, 'k_1', encodeKey({ ...base, id: 'k_1', plan: 'gold' }, none));
  assert.equal(keys.find('k_1')?.plan, null);
  const setPlan = (limits: object[]): boolean =>
    table.set(recordKinds.plan, 'gold', Buffer.from(JSON.stringify({ id: 'gold', limits })));
  setPlan([]);
  assert.deepEqual(keys.find('k_1')?.plan, { id: 'gold', limits: [] });
  setPlan([{ kind: 'concurrency', name: 'c', limit: 1 }]);
  assert.equal(keys.find('k_1')?.plan?.limits.length, 1);
  assert.equal(keys.find('k_1'), keys.find('k_1'), 'unchanged keys are decoded once');
  table.remove(recordKinds.plan, 'gold');
  assert.equal(keys.find('k_1')?.plan, null);
});

test('sealed secrets open with their data key, newest first, until their grace ends', () => {
  const writer = new Writer();
  const { table } = writer;
  const keys = new SharedKeys(table.buffer);
  const dataKey = Buffer.alloc(dataKeyLength, 7);
  writer.setKey({
    ...base,
    secrets: [
      { dataKey: 'dk_1', box: sealSecret(dataKey, base.id, 'new') },
      { dataKey: 'dk_1', box: sealSecret(dataKey, base.id, 'old'), expiresAt: 1000 },
      { dataKey: 'dk_1', box: sealSecret(dataKey, 'ak_test_other', 'moved from another key') },
    ],
  });
  assert.deepEqual(keys.secretsOf(keys.find(base.id)!, 0), []);
  table.set(recordKinds.dataKey, 'dk_1', dataKey);
  assert.deepEqual(keys.secretsOf(keys.find(base.id)!, 0), ['new', 'old']);
  assert.deepEqual(keys.secretsOf(keys.find(base.id)!, 999), ['new', 'old']);
  assert.deepEqual(keys.secretsOf(keys.find(base.id)!, 1000), ['new']);
});

test('ids that no key can have are simply unknown', () => {
  const keys = new SharedKeys(new KeyTable().buffer);
  for (const id of ['', 'x'.repeat(129), 'x'.repeat(1e6), '\u0000', 'ŁŁŁ', '\ud800']) {
    assert.equal(keys.find(id), undefined);
    assert.equal(keys.findBySecretDigest(id), undefined);
  }
});

test('a reader thread sees each change at its next look-up, while the table grows and is compacted', async () => {
  const writer = new Writer();
  const { table } = writer;
  for (let i = 0; i < 2000; i++) writer.setKey({ ...base, id: `ak_test_${i}` });
  const shared = new Int32Array(new SharedArrayBuffer(16));
  const worker = new Worker(new URL('./support/reader-thread.ts', import.meta.url), {
    workerData: { buffer: table.buffer, shared },
  });
  const faults: unknown[] = [];
  worker.on('message', (message) => faults.push(message));
  worker.on('error', (error) => faults.push(error));
  const [go, done, revision] = [0, 1, 2];
  await new Promise((resolve) => worker.once('online', resolve));
  for (let round = 1; round <= 40; round++) {
    // The reader looks keys up without pause; every key carries the round it was last written in.
    for (let i = 0; i < 2000; i++) {
      writer.setKey({ ...base, id: `ak_test_${i}`, expiresAt: round, app: `app_${round}` });
      if (i % 100 === 0) writer.setKey({ ...base, id: `ak_test_new_${round}_${i}` });
    }
    for (let i = 0; i < 600; i++) writer.setKey({ ...base, id: `ak_live_${round}_${i}` });
    Atomics.store(shared, revision!, round);
    table.compact(50);
    // The reader passes between look-ups before the space is used again, as a worker does by its message loop.
    Atomics.store(shared, go!, round);
    while (Atomics.load(shared, done!) < round) await new Promise((resolve) => setImmediate(resolve));
    table.release(table.takeGarbage());
  }
  Atomics.store(shared, go!, -1);
  await new Promise((resolve) => worker.once('exit', resolve));
  assert.deepEqual(faults, []);
});
