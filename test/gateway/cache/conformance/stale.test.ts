import assert from 'node:assert/strict';
import { type Answer, type Row, runRows, type Seen } from './rows.ts';

const swr = (control: string): Answer => ({
  headers: [`Cache-Control: ${control}`, 'ETag: "v1"'],
  body: 'stored',
});

/** The stale response is served at once. */
function served({ responses }: Seen): void {
  const last = responses.at(-1)!;
  assert.equal(last.status, 200);
  assert.equal(last.body.toString(), 'stored');
  assert.match(last.header('cache-status')!, /^tollgate; hit; ttl=-?\d+$/);
}

function notServed({ responses, requests }: Seen): void {
  assert.equal(requests.length, responses.length);
  assert.doesNotMatch(responses.at(-1)!.header('cache-status')!, /; hit/);
}

const whileRevalidating: Row[] = [
  {
    section: 'RFC 5861 §3',
    says: 'stale is served within the time',
    origin: swr('max-age=10, stale-while-revalidate=20'),
    next: { after: 25 },
    expect: served,
  },
  {
    section: 'RFC 5861 §3',
    says: 'not after it',
    origin: swr('max-age=10, stale-while-revalidate=20'),
    next: { after: 30 },
    expect: notServed,
  },
  {
    section: 'RFC 5861 §3',
    says: 'not without it',
    origin: swr('max-age=10'),
    next: { after: 11 },
    expect: notServed,
  },
  {
    section: 'RFC 5861 §3',
    says: 'an invalid time permits nothing',
    origin: swr('max-age=10, stale-while-revalidate=x'),
    next: { after: 11 },
    expect: notServed,
  },
  {
    section: 'RFC 5861 §3',
    says: 'the route may permit it',
    origin: swr('max-age=10'),
    policy: 'swr',
    next: { after: 39 },
    expect: served,
  },
  {
    section: 'RFC 5861 §3',
    says: 'the route permits it no longer than it says',
    origin: swr('max-age=10'),
    policy: 'swr',
    next: { after: 40 },
    expect: notServed,
  },
  {
    section: 'RFC 5861 §3',
    says: 'the response wins over the route',
    origin: swr('max-age=10, stale-while-revalidate=0'),
    policy: 'swr',
    next: { after: 11 },
    expect: notServed,
  },
  {
    section: 'RFC 9111 §4.2.4',
    says: 'not with must-revalidate',
    origin: swr('max-age=10, must-revalidate, stale-while-revalidate=20'),
    next: { after: 11 },
    expect: notServed,
  },
  {
    section: 'RFC 9111 §4.2.4',
    says: 'not with must-revalidate, whatever the route says',
    origin: swr('max-age=10, must-revalidate'),
    policy: 'swr',
    next: { after: 11 },
    expect: notServed,
  },
  {
    section: 'RFC 9111 §4.2.4',
    says: 'not with proxy-revalidate',
    origin: swr('max-age=10, proxy-revalidate, stale-while-revalidate=20'),
    next: { after: 11 },
    expect: notServed,
  },
  {
    section: 'RFC 9111 §4.2.4',
    says: 'not with s-maxage, which implies it',
    origin: swr('s-maxage=10, stale-while-revalidate=20'),
    next: { after: 11 },
    expect: notServed,
  },
  {
    section: 'RFC 9111 §4.2.4',
    says: 'not with no-cache',
    origin: swr('no-cache, stale-while-revalidate=20'),
    next: { after: 1 },
    expect: notServed,
  },
  {
    section: 'RFC 9111 §5.2.1.4',
    says: 'not to a request with no-cache',
    origin: swr('max-age=10, stale-while-revalidate=20'),
    next: { after: 11, headers: ['Cache-Control: no-cache'] },
    expect: notServed,
  },
  {
    section: 'RFC 9111 §5.2.1.1',
    says: 'not to a request that limits the age',
    origin: swr('max-age=10, stale-while-revalidate=20'),
    next: { after: 11, headers: ['Cache-Control: max-age=60'] },
    expect: notServed,
  },
  {
    section: 'RFC 9111 §5.2.1.3',
    says: 'not to a request that asks for freshness',
    origin: swr('max-age=10, stale-while-revalidate=20'),
    next: { after: 11, headers: ['Cache-Control: min-fresh=1'] },
    expect: notServed,
  },
  {
    section: 'RFC 9111 §4',
    says: 'a HEAD is answered as well',
    origin: swr('max-age=10, stale-while-revalidate=20'),
    next: { method: 'HEAD', after: 11 },
    expect: ({ responses }) => assert.match(responses[1]!.header('cache-status')!, /hit/),
  },
];

const failures: [string, Answer][] = [
  ['closes without an answer', { fails: 'close' }],
  ['answers what is not HTTP', { fails: 'garbage' }],
  ['answers 500', { status: 500, body: 'oops' }],
  ['answers 502', { status: 502, body: 'oops' }],
  ['answers 503', { status: 503, body: 'oops' }],
  ['answers 504', { status: 504, body: 'oops' }],
];

const ifError: Row[] = [
  ...failures.map(
    ([says, failure]): Row => ({
      section: 'RFC 5861 §4',
      says: `stale is served when the origin ${says}`,
      origin: [swr('max-age=10, stale-if-error=20'), failure],
      next: { after: 25 },
      expect: ({ responses, requests }) => {
        assert.ok(requests.length >= 2);
        assert.equal(responses[1]!.status, 200);
        assert.equal(responses[1]!.body.toString(), 'stored');
        assert.match(responses[1]!.header('cache-status')!, /^tollgate; fwd=stale;.* ttl=-15/);
        assert.equal(responses[1]!.header('age'), '25');
      },
    }),
  ),
  ...failures.map(
    ([says, failure]): Row => ({
      section: 'RFC 9111 §4.2.4',
      says: `without permission it is not, when the origin ${says}`,
      origin: [swr('max-age=10'), failure],
      next: { after: 25 },
      expect: ({ responses }) => assert.ok(responses[1]!.status >= 500),
    }),
  ),
  ...['must-revalidate', 'proxy-revalidate', 's-maxage=10', 'no-cache'].map(
    (forbidding): Row => ({
      section: 'RFC 9111 §4.2.4',
      says: `${forbidding} forbids it, and the answer is 504`,
      origin: [swr(`max-age=10, stale-if-error=20, ${forbidding}`), { fails: 'close' }],
      next: { after: 11 },
      policy: 'sie',
      expect: ({ responses }) => assert.equal(responses[1]!.status, 504),
    }),
  ),
  {
    section: 'RFC 5861 §4',
    says: 'not after the time',
    origin: [swr('max-age=10, stale-if-error=20'), { status: 503 }],
    next: { after: 31 },
    expect: ({ responses }) => assert.equal(responses[1]!.status, 503),
  },
  {
    section: 'RFC 5861 §4',
    says: 'the route may permit it',
    origin: [swr('max-age=10'), { fails: 'close' }],
    policy: 'sie',
    next: { after: 39 },
    expect: ({ responses }) => assert.equal(responses[1]!.status, 200),
  },
  {
    section: 'RFC 5861 §4',
    says: 'other errors are answers',
    origin: [swr('max-age=10, stale-if-error=20'), { status: 404, body: 'gone' }],
    next: { after: 11 },
    expect: ({ responses }) => assert.equal(responses[1]!.status, 404),
  },
  {
    section: 'RFC 9111 §5.2.1.4',
    says: 'not to a request with no-cache',
    origin: [swr('max-age=10, stale-if-error=20'), { status: 503 }],
    next: { after: 11, headers: ['Cache-Control: no-cache'] },
    expect: ({ responses }) => assert.equal(responses[1]!.status, 503),
  },
  {
    section: 'RFC 5861 §4',
    says: 'what has no validator is served as well',
    origin: [{ headers: ['Cache-Control: max-age=10, stale-if-error=20'], body: 'stored' }, { status: 503 }],
    next: { after: 11 },
    expect: ({ responses }) => assert.equal(responses[1]!.body.toString(), 'stored'),
  },
  {
    section: 'RFC 5861 §4',
    says: 'the origin is asked again by the next request',
    origin: [
      swr('max-age=10, stale-if-error=20'),
      { status: 503 },
      { headers: ['Cache-Control: max-age=10'], body: 'new' },
    ],
    next: [{ after: 11 }, { after: 1 }],
    expect: ({ responses }) => assert.equal(responses[2]!.body.toString(), 'new'),
  },
];

runRows([...whileRevalidating, ...ifError]);
