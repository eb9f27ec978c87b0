import assert from 'node:assert/strict';
import { type Answer, type Ask, type Row, runRows, type Seen } from './rows.ts';

const stored: Answer = { headers: ['Cache-Control: max-age=100', 'ETag: "v1"'], body: 'stored' };

function status({ responses }: Seen, at: number): string {
  const response = responses.at(at)!;
  return response.headers
    .filter((_, i) => response.headers[i - 1]?.toLowerCase() === 'cache-status')
    .join(', ');
}

function says(
  what: string,
  expected: string | RegExp,
  origin: Answer | Answer[],
  next: Ask | Ask[],
  section = 'RFC 9211 §2',
): Row {
  return {
    section,
    says: what,
    origin,
    next,
    expect: (seen) =>
      typeof expected === 'string'
        ? assert.equal(status(seen, -1), expected)
        : assert.match(status(seen, -1), expected),
  };
}

runRows([
  says(
    'a first request is forwarded and its answer stored',
    'tollgate; fwd=uri-miss; ttl=100; stored',
    stored,
    [],
    'RFC 9211 §2.2',
  ),
  says('a hit says how long it is fresh', 'tollgate; hit; ttl=93', stored, { after: 7 }, 'RFC 9211 §2.1'),
  says(
    'stale served says so by a negative time',
    'tollgate; hit; ttl=-5',
    { headers: ['Cache-Control: max-age=10, stale-while-revalidate=50'] },
    { after: 15 },
    'RFC 9211 §2.4',
  ),
  says(
    'a validation that succeeded',
    /^tollgate; fwd=stale; fwd-status=304; ttl=-?\d+; stored$/,
    [stored, { status: 304, headers: ['Cache-Control: max-age=9'] }],
    { after: 101 },
    'RFC 9211 §2.3',
  ),
  says(
    'a validation that brought a new one',
    'tollgate; fwd=stale; fwd-status=200; ttl=100; stored',
    stored,
    { after: 101 },
    'RFC 9211 §2.3',
  ),
  says(
    'the request demanded it',
    'tollgate; fwd=request; fwd-status=200; ttl=100; stored',
    stored,
    { headers: ['Cache-Control: no-cache'] },
    'RFC 9211 §2.2',
  ),
  says(
    'the request forbids storing',
    'tollgate; fwd=request',
    stored,
    { headers: ['Cache-Control: no-store'] },
    'RFC 9211 §2.2',
  ),
  says(
    'the cache is passed by',
    'tollgate; fwd=bypass',
    stored,
    { headers: ['If-Match: "v1"'] },
    'RFC 9211 §2.2',
  ),
  says(
    'another variant',
    /fwd=vary-miss/,
    { headers: ['Cache-Control: max-age=9', 'Vary: Foo'] },
    { headers: ['Foo: 1'] },
    'RFC 9211 §2.2',
  ),
  says(
    'why nothing was stored',
    'tollgate; fwd=uri-miss; detail=no-store',
    { headers: ['Cache-Control: no-store'] },
    [],
    'RFC 9211 §2.8',
  ),
  says(
    'why nothing was stored: private',
    'tollgate; fwd=uri-miss; detail=private',
    { headers: ['Cache-Control: private'] },
    [],
    'RFC 9211 §2.8',
  ),
  says(
    'stale on error',
    'tollgate; fwd=stale; fwd-status=503; ttl=-1',
    [{ headers: ['Cache-Control: max-age=10, stale-if-error=50'] }, { status: 503 }],
    { after: 11 },
    'RFC 9211 §2.2',
  ),
  says(
    'stale on a broken connection says why',
    'tollgate; fwd=stale; ttl=-1; detail=upstream_reset',
    [{ headers: ['Cache-Control: max-age=10, stale-if-error=50'] }, { fails: 'close' }],
    { after: 11 },
    'RFC 9211 §2.8',
  ),
  says('a failure says why', 'tollgate; fwd=uri-miss; detail=upstream_reset', { fails: 'close' }, []),
  says('nothing stored for only-if-cached', /^tollgate; fwd=request; detail=only-if-cached$/, stored, {
    target: '{path}?other',
    headers: ['Cache-Control: only-if-cached'],
  }),
  says(
    "the upstream's own members stay, ours comes last",
    'origin-cache; hit; ttl=5, tollgate; fwd=uri-miss; ttl=100; stored',
    { headers: [...stored.headers!, 'Cache-Control: public', 'Cache-Status: origin-cache; hit; ttl=5'] },
    [],
  ),
  says(
    'on a hit too',
    'origin-cache; hit; ttl=5, tollgate; hit; ttl=100',
    { headers: [...stored.headers!, 'Cache-Status: origin-cache; hit; ttl=5'] },
    {},
  ),
  {
    section: 'RFC 9211 §2',
    says: 'an unsafe request has no member of ours',
    origin: { status: 200 },
    first: { method: 'POST', headers: ['Content-Length: 0'] },
    next: [],
    expect: (seen) => assert.equal(status(seen, 0), ''),
  },
]);
