import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hashSecret } from '#contract/key-push.ts';
import { parseApiKeys } from '../../../gateway/registry/api-keys-variable.ts';

const hash = hashSecret('sk_test_anything');

test('entries are separated by commas or white space, with environment and expiry where given', () => {
  const parsed = parseApiKeys(
    ` ak_test_abc:${hash},partner-1:${hash.toUpperCase()}:test\n\tpartner-2:${hash}:live:2030-01-02T03:04:05Z, partner-3:${hash}::1893553445 `,
  );
  assert.ok(parsed.ok);
  assert.deepEqual(
    parsed.changes.map(({ object }) => object),
    [
      { id: 'ak_test_abc', environment: 'test' },
      { id: 'partner-1', environment: 'test' },
      { id: 'partner-2', environment: 'live', expiresAt: Date.UTC(2030, 0, 2, 3, 4, 5) },
      { id: 'partner-3', environment: 'live', expiresAt: Date.UTC(2030, 0, 2, 3, 4, 5) },
    ].map((key) => ({ kind: 'bearer', status: 'active', secrets: [{ sha256: hash }], ...key })),
  );
  assert.deepEqual(parseApiKeys(''), { ok: true, changes: [] });
  assert.deepEqual(parseApiKeys(' ,\n'), { ok: true, changes: [] });
});

test('every error is reported at once, and no hash or secret is repeated', () => {
  const parsed = parseApiKeys(
    `ak_test_abc:sk_test_plaintext ak_live_abc:${hash}:test a:${hash} fine:${hash} fine:${hash} old:${hash}:live:soon env:${hash}:prod`,
  );
  assert.ok(!parsed.ok);
  assert.equal(parsed.errors.length, 6);
  assert.match(parsed.errors[0]!, /entry 1 \("ak_test_abc"\): the hash must be/);
  assert.match(parsed.errors[1]!, /entry 2 .*environment must be "live"/);
  assert.match(parsed.errors[2]!, /entry 3 .*key_id must be 3 to 128/);
  assert.match(parsed.errors[3]!, /entry 5 .*listed twice/);
  assert.match(parsed.errors[4]!, /entry 6 .*expiry/);
  assert.match(parsed.errors[5]!, /entry 7 .*environment must be "test" or "live"/);
  assert.doesNotMatch(parsed.errors.join(), new RegExp(`plaintext|${hash}`));
});

test('any text is parsed or refused, never thrown at', () => {
  const piece = fc.oneof(fc.string(), fc.constantFrom(':', ',', hash, 'ak_test_abc', '2030-99-99T99:99:99Z'));
  fc.assert(
    fc.property(
      fc.array(piece).map((pieces) => pieces.join('')),
      (text) => {
        const parsed = parseApiKeys(text);
        if (parsed.ok) for (const { object } of parsed.changes) assert.ok(object);
        else assert.ok(parsed.errors.length > 0);
      },
    ),
  );
});
