import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  mintLocalKey,
  openSecret,
  parseLocalKey,
  sealSecret,
  unwrapDataKey,
  wrapDataKey,
} from '#contract/sealing.ts';

const dataKey = randomBytes(32);

test('a sealed secret opens with its data key and key id only', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }).filter((s) => s.isWellFormed()),
      fc.string(),
      (secret, keyId) => {
        const box = sealSecret(dataKey, keyId, secret);
        assert.equal(openSecret(dataKey, keyId, box), secret);
        assert.equal(openSecret(dataKey, `${keyId}x`, box), null);
        assert.equal(openSecret(randomBytes(32), keyId, box), null);
      },
    ),
  );
});

test('a box with any byte changed, shortened or empty does not open', () => {
  const box = Buffer.from(sealSecret(dataKey, 'ak_test_abc', 'a secret'), 'base64');
  for (let i = 0; i < box.length; i++) {
    const changed = Buffer.from(box);
    changed[i]! ^= 1;
    assert.equal(openSecret(dataKey, 'ak_test_abc', changed.toString('base64')), null);
    assert.equal(openSecret(dataKey, 'ak_test_abc', box.subarray(0, i).toString('base64')), null);
  }
});

test('sealing twice gives different boxes', () => {
  assert.notEqual(sealSecret(dataKey, 'k', 's'), sealSecret(dataKey, 'k', 's'));
});

test('a wrapped data key opens with its root key and id only', () => {
  const root = parseLocalKey(mintLocalKey())!;
  const wrapped = wrapDataKey(root, 'dk_1', dataKey);
  assert.deepEqual(unwrapDataKey(root, 'dk_1', wrapped), dataKey);
  assert.equal(unwrapDataKey(root, 'dk_2', wrapped), null);
  assert.equal(unwrapDataKey(randomBytes(32), 'dk_1', wrapped), null);
});

test('a local key file is 32 bytes in base64 and nothing else', () => {
  assert.equal(parseLocalKey(''), null);
  assert.equal(parseLocalKey(randomBytes(31).toString('base64')), null);
  assert.equal(parseLocalKey(randomBytes(32).toString('hex')), null);
  assert.equal(parseLocalKey(mintLocalKey())?.length, 32);
});
