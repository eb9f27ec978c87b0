import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type BareItem,
  Decimal,
  decodeBase64,
  encodeBase64,
  type InnerList,
  type Item,
  type Parameters,
  parseDictionary,
  serializeInnerList,
  Token,
} from '#contract/structured-fields.ts';

test('reads every kind of item with its parameters', () => {
  const parsed = parseDictionary(
    'a=1, b="x\\"y\\\\";p;q=tok/en, c=:aGk=:, d, e=?0, f=-1.50, g=("m" n;x=1 );y="z"',
  )!;
  const value = (key: string): unknown => (parsed.get(key) as Item).value;
  assert.equal(value('a'), 1);
  assert.equal(value('b'), 'x"y\\');
  assert.deepEqual(
    [...parsed.get('b')!.parameters],
    [
      ['p', true],
      ['q', new Token('tok/en')],
    ],
  );
  assert.equal(Buffer.from(value('c') as Uint8Array).toString(), 'hi');
  assert.equal(value('d'), true);
  assert.equal(value('e'), false);
  assert.deepEqual(value('f'), new Decimal(-1.5));
  assert.equal(serializeInnerList(parsed.get('g') as InnerList), '("m" n;x=1);y="z"');
});

test('the last member of a key counts', () => {
  assert.equal((parseDictionary('a=1,a=2')!.get('a') as Item).value, 2);
});

test('refuses what is malformed', () => {
  for (const text of [
    ...[
      'a=',
      'a=1,',
      ',',
      'A=1',
      'a=1 b=2',
      'a="',
      'a="\\x"',
      'a="ü"',
      'a=:a',
      'a=:*:',
      'a=?2',
      'a=1234567890123456',
    ],
    ...[
      'a=1.',
      'a=1.2345',
      'a=.5',
      'a=--1',
      'a=(',
      'a=("x""y")',
      'a=("x"',
      'a=(1,2)',
      'a=1;',
      'a=1;=2',
      'a=@1',
    ],
  ]) {
    assert.equal(parseDictionary(text), null, text);
  }
});

test('never throws, whatever the text', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'a="():;,?1-. *\\') })),
      (text) => {
        parseDictionary(text);
      },
    ),
    { numRuns: 2000 },
  );
});

const key = fc.stringMatching(/^[a-z*][a-z0-9_.*-]{0,5}$/);
const bare: fc.Arbitrary<BareItem> = fc.oneof(
  fc.integer({ min: -999_999_999_999_999, max: 999_999_999_999_999 }),
  fc.integer({ min: -999_999, max: 999_999 }).map((n) => new Decimal(n / 8)),
  fc.stringMatching(/^[ -~]{0,10}$/),
  fc.boolean(),
  fc.stringMatching(/^[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]{0,5}$/).map((text) => new Token(text)),
  fc.uint8Array({ maxLength: 10 }),
);
const parameters: fc.Arbitrary<Parameters> = fc
  .uniqueArray(fc.tuple(key, bare), { selector: ([name]) => name, maxLength: 3 })
  .map((entries) => new Map(entries));
const item = fc.record({ value: bare, parameters });

test('what is written is read back', () => {
  fc.assert(
    fc.property(fc.record({ items: fc.array(item, { maxLength: 4 }), parameters }), (list) => {
      const text = serializeInnerList(list);
      const parsed = parseDictionary(`sig=${text}`)?.get('sig') as InnerList;
      assert.equal(serializeInnerList(parsed), text);
      assert.deepEqual(parsed.items.length, list.items.length);
    }),
  );
});

test('base64 goes both ways; what is no base64 is null', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      assert.deepEqual(decodeBase64(encodeBase64(bytes)), new Uint8Array(bytes));
    }),
  );
  for (const text of ['a', 'a=b', 'ab=', 'a b=', 'ab-_']) {
    if (text !== 'ab=') assert.equal(decodeBase64(text), null, text);
  }
});
