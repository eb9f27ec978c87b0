import assert from 'node:assert/strict';
import { type Outcome, type Row, runRows } from './rows.ts';

function vary(
  says: string,
  value: string | readonly string[],
  first: readonly string[],
  next: readonly string[],
  expect: Outcome,
  section = 'RFC 9111 §4.1',
): Row {
  const lines = (typeof value === 'string' ? [value] : value).map((line) => `Vary: ${line}`);
  return {
    section,
    says: `Vary: ${[value].flat().join(' + ')} — ${says}`,
    origin: { headers: ['Cache-Control: max-age=3600', ...lines] },
    first: { headers: first },
    next: { headers: next },
    expect,
  };
}

const matching: Row[] = [
  vary('the same value matches', 'Foo', ['Foo: 1'], ['Foo: 1'], 'hit'),
  vary('another does not', 'Foo', ['Foo: 1'], ['Foo: 2'], 'forward'),
  vary('absent now', 'Foo', ['Foo: 1'], [], 'forward'),
  vary('absent then', 'Foo', [], ['Foo: 1'], 'forward'),
  vary('absent both times matches', 'Foo', [], [], 'hit'),
  vary('empty is not absent', 'Foo', ['Foo:'], [], 'forward'),
  vary('names in any case', 'fOO', ['Foo: 1'], ['foo: 1'], 'hit'),
  vary('values by letter', 'Foo', ['Foo: a'], ['Foo: A'], 'forward'),
  vary('other fields do not count', 'Foo', ['Foo: 1', 'Other: 2'], ['Foo: 1', 'Other: 3'], 'hit'),
  vary('two names, both match', 'Foo, Bar', ['Foo: 1', 'Bar: a'], ['Bar: a', 'Foo: 1'], 'hit'),
  vary('two names, one does not', 'Foo, Bar', ['Foo: 1', 'Bar: a'], ['Foo: 1', 'Bar: b'], 'forward'),
  vary(
    'values are not mixed up between names',
    'Foo, Bar',
    ['Foo: 1', 'Bar: 2'],
    ['Foo: 2', 'Bar: 1'],
    'forward',
  ),
  vary(
    'three names, one absent both times',
    'Foo, Bar, Baz',
    ['Foo: 1', 'Baz: 3'],
    ['Foo: 1', 'Baz: 3'],
    'hit',
  ),
  vary('two lines of Vary', ['Foo', 'Bar'], ['Foo: 1', 'Bar: a'], ['Foo: 1', 'Bar: b'], 'forward'),
  vary(
    'a value that looks like another field',
    'Foo, Bar',
    ['Foo: 1\tbar:2'],
    ['Foo: 1', 'Bar: 2'],
    'forward',
  ),
  vary('lines of one field are joined', 'Foo', ['Foo: 1', 'Foo: 2'], ['Foo: 1, 2'], 'hit'),
  vary('their order counts', 'Foo', ['Foo: 1', 'Foo: 2'], ['Foo: 2', 'Foo: 1'], 'forward'),
  vary('any never matches', '*', [], [], 'forward'),
  vary('any twice', '*, *', [], [], 'forward'),
  vary('any on two lines', ['*', '*'], [], [], 'forward'),
  vary('any after an empty member', ', *', [], [], 'forward'),
  vary('any after an empty line', ['', '*'], [], [], 'forward'),
  vary('any before a name', '*, Foo', ['Foo: 1'], ['Foo: 1'], 'forward'),
  vary('any after a name', 'Foo, *', ['Foo: 1'], ['Foo: 1'], 'forward'),
  vary('what is no name counts as any', 'Foo Bar', [], [], 'forward'),
  vary('a quoted name counts as any', '"Foo"', [], [], 'forward'),
  vary('an empty field says nothing', '', [], [], 'hit'),
  vary('empty members say nothing', ', ,', [], [], 'hit'),
  vary('a field that is new with every request', 'X-Request-Id', [], [], 'forward'),
  vary('Cookie', 'Cookie', ['Cookie: a=1'], ['Cookie: a=2'], 'forward'),
  vary('the same Cookie', 'Cookie', ['Cookie: a=1'], ['Cookie: a=1'], 'hit'),
  vary('Origin', 'Origin', ['Origin: https://a.test'], ['Origin: https://b.test'], 'forward'),
  vary(
    "a stranger's X-Forwarded-Proto is not what the upstream saw",
    'X-Forwarded-Proto',
    ['X-Forwarded-Proto: https'],
    [],
    'hit',
  ),
];

const normalizing: Row[] = [
  vary(
    'white space in a list',
    'Accept-Encoding',
    ['Accept-Encoding: gzip, br'],
    ['Accept-Encoding: gzip,br'],
    'hit',
  ),
  vary('letters', 'Accept-Encoding', ['Accept-Encoding: GZip'], ['Accept-Encoding: gzip'], 'hit'),
  vary(
    'the order of codings',
    'Accept-Encoding',
    ['Accept-Encoding: gzip, br'],
    ['Accept-Encoding: br, gzip'],
    'hit',
  ),
  vary('another coding', 'Accept-Encoding', ['Accept-Encoding: gzip'], ['Accept-Encoding: br'], 'forward'),
  vary(
    'q=1 is what is meant without',
    'Accept-Encoding',
    ['Accept-Encoding: gzip;q=1.0'],
    ['Accept-Encoding: gzip'],
    'hit',
  ),
  vary(
    'other qualities count',
    'Accept-Encoding',
    ['Accept-Encoding: gzip;q=0.5'],
    ['Accept-Encoding: gzip'],
    'forward',
  ),
  vary(
    'refused is not accepted',
    'Accept-Encoding',
    ['Accept-Encoding: br;q=0, gzip'],
    ['Accept-Encoding: br, gzip'],
    'forward',
  ),
  vary(
    'letters of a language',
    'Accept-Language',
    ['Accept-Language: EN-us'],
    ['Accept-Language: en-US'],
    'hit',
  ),
  vary(
    'white space',
    'Accept-Language',
    ['Accept-Language: en ;q=0.5 , de'],
    ['Accept-Language: de,en;q=0.5'],
    'hit',
  ),
  vary(
    'the order of languages of one quality may matter to the origin',
    'Accept-Language',
    ['Accept-Language: en, de'],
    ['Accept-Language: de, en'],
    'forward',
  ),
  vary(
    'their order by quality does not',
    'Accept-Language',
    ['Accept-Language: en;q=0.5, de;q=0.8'],
    ['Accept-Language: de;q=0.8, en;q=0.5'],
    'hit',
  ),
  vary('media types in other letters', 'Accept', ['Accept: Text/HTML'], ['Accept: text/html'], 'hit'),
  vary('another media type', 'Accept', ['Accept: text/html'], ['Accept: application/json'], 'forward'),
  vary(
    'an invalid quality is left as it is',
    'Accept',
    ['Accept: text/html;q=7'],
    ['Accept: text/html'],
    'forward',
  ),
  vary('a field of unknown syntax is left as it is', 'Foo', ['Foo: a, b'], ['Foo: a,b'], 'forward'),
];

const variants: Row[] = [
  {
    section: 'RFC 9111 §4.1',
    says: 'two variants are stored side by side',
    origin: [
      { headers: ['Cache-Control: max-age=3600', 'Vary: Foo'], body: 'one' },
      { headers: ['Cache-Control: max-age=3600', 'Vary: Foo'], body: 'two' },
    ],
    first: { headers: ['Foo: 1'] },
    next: [{ headers: ['Foo: 2'] }, { headers: ['Foo: 1'] }, { headers: ['Foo: 2'] }],
    expect: ({ responses, requests }) => {
      assert.equal(requests.length, 2);
      assert.deepEqual(
        responses.map(({ body }) => body.toString()),
        ['one', 'two', 'one', 'two'],
      );
    },
  },
  {
    section: 'RFC 9111 §4.1',
    says: 'of several that match the most recent is used',
    origin: [
      { headers: ['Cache-Control: max-age=3600', 'Vary: Foo'], body: 'older' },
      { headers: ['Cache-Control: max-age=3600', 'Vary: Bar'], body: 'newer' },
    ],
    first: { headers: ['Foo: 1'] },
    next: [{ headers: ['Foo: 2'], after: 1 }, { headers: ['Foo: 1'] }],
    expect: ({ responses, requests }) => {
      assert.equal(requests.length, 2);
      assert.equal(responses[2]!.body.toString(), 'newer');
    },
  },
  {
    section: 'RFC 9111 §4.1',
    says: 'a validation carries the selecting fields',
    origin: { headers: ['Cache-Control: max-age=1', 'ETag: "a"', 'Vary: Foo'] },
    first: { headers: ['Foo: 1'] },
    next: { headers: ['Foo: 1'], after: 2 },
    expect: ({ requests }) => {
      assert.equal(requests[1]!.header('if-none-match'), '"a"');
      assert.equal(requests[1]!.header('foo'), '1');
    },
  },
  {
    section: 'RFC 9211 §2.2',
    says: 'another variant is a vary-miss',
    origin: { headers: ['Cache-Control: max-age=3600', 'Vary: Foo'] },
    first: { headers: ['Foo: 1'] },
    next: { headers: ['Foo: 2'] },
    expect: ({ responses }) => assert.match(responses[1]!.header('cache-status')!, /fwd=vary-miss/),
  },
];

runRows([...matching, ...normalizing, ...variants]);
