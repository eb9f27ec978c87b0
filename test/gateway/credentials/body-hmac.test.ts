import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { equalsHex, hmacSha256Hex, isHex } from '../../../gateway/credentials/body-hmac.ts';

test('equals the HMAC of node:crypto for any secret and body', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ maxLength: 100 }), fc.string({ unit: 'binary', maxLength: 40 })),
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom(16_383, 16_384, 16_385).map((n) => new Uint8Array(n)),
      ),
      (secret, bytes) => {
        const body = Buffer.from(bytes);
        assert.equal(hmacSha256Hex(secret, body), createHmac('sha256', secret).update(body).digest('hex'));
      },
    ),
  );
});

test('a long secret leaves no trace in the result of a shorter one', () => {
  const body = Buffer.from('body');
  const before = hmacSha256Hex('short', body);
  hmacSha256Hex('x'.repeat(64), Buffer.alloc(1000, 1));
  assert.equal(hmacSha256Hex('short', body), before);
});

test('compares hex from an offset, in either case, and nothing but hex', () => {
  assert.ok(equalsHex('00ff', 'id:00FF', 3));
  assert.ok(!equalsHex('00ff', 'id:00FE', 3));
  assert.ok(!equalsHex('00ff', 'id:00f', 3));
  assert.ok(isHex('id:09afAF', 3));
  for (const bad of ['id:', 'id:0g', 'id:0 ', 'id:\u00100', 'id:0@', 'id:0`', 'id:0/', 'id:0:']) {
    assert.ok(!isHex(bad, 3), JSON.stringify(bad));
  }
});

test('every Wycheproof vector of HMAC-SHA256 verifies or is refused as it should be', () => {
  interface Vectors {
    numberOfTests: number;
    testGroups: {
      tagSize: number;
      tests: { tcId: number; key: string; msg: string; tag: string; result: 'valid' | 'invalid' }[];
    }[];
  }
  const path = new URL('../../vectors/wycheproof/hmac_sha256_test.json', import.meta.url);
  const { numberOfTests, testGroups } = JSON.parse(readFileSync(path, 'utf8')) as Vectors;
  let done = 0;
  for (const { tagSize, tests } of testGroups) {
    for (const { tcId, key, msg, tag, result } of tests) {
      const digest = hmacSha256Hex(Buffer.from(key, 'hex'), Buffer.from(msg, 'hex'));
      assert.equal(equalsHex(digest.slice(0, tagSize / 4), tag, 0), result === 'valid', `case ${tcId}`);
      done++;
    }
  }
  assert.equal(done, numberOfTests);
});
