import assert from 'node:assert/strict';
import { date, type Outcome, type Row, runRows, validator } from './rows.ts';

const lasting = ['Cache-Control: max-age=100', validator];

/** Rows that differ only in Cache-Control of the second request. */
function asks(
  section: string,
  says: string,
  value: string,
  expect: Outcome | Row['expect'],
  more: Partial<Row> & { after?: number } = {},
): Row {
  const { after = 0, ...row } = more;
  return {
    section,
    says: `${value} — ${says}`,
    origin: { headers: lasting },
    expect,
    next: { headers: [`Cache-Control: ${value}`], after },
    ...row,
  };
}

const gatewayTimeout: Row['expect'] = ({ responses, requests }) => {
  assert.equal(responses.at(-1)!.status, 504);
  assert.equal(requests.length, responses.length - 1);
  assert.match(responses.at(-1)!.header('content-type')!, /problem\+json/);
};

const directives: Row[] = [
  asks('RFC 9111 §5.2.1.4', 'what is stored is validated', 'no-cache', 'validate'),
  asks('RFC 9111 §5.2.1.4', 'in any case', 'No-Cache', 'validate'),
  asks('RFC 9111 §5.2.1.4', 'asked for anew without a validator', 'no-cache', 'forward', {
    origin: { headers: ['Cache-Control: max-age=100'] },
  }),
  asks('RFC 9111 §5.2.1.4', 'validated by Last-Modified', 'no-cache', 'validate', {
    origin: { headers: ['Cache-Control: max-age=100', `Last-Modified: ${date(-1000)}`] },
  }),
  asks('RFC 9111 §5.2.1.5', 'goes to the origin', 'no-store', 'forward'),
  {
    section: 'RFC 9111 §5.2.1.5',
    says: 'an answer to no-store is not stored',
    origin: { headers: lasting },
    first: { headers: ['Cache-Control: no-store'] },
    expect: 'forward',
  },
  asks('RFC 9111 §5.2.1.1', 'zero is a validation at once', 'max-age=0', 'validate'),
  asks('RFC 9111 §5.2.1.1', 'zero is a validation once time has passed', 'max-age=0', 'validate', {
    after: 1,
  }),
  asks('RFC 9111 §5.2.1.1', 'an age within the limit', 'max-age=30', 'hit', { after: 30 }),
  asks('RFC 9111 §5.2.1.1', 'an age above the limit', 'max-age=30', 'validate', { after: 31 }),
  asks('RFC 9111 §5.2.1.1', 'Age from upstream counts', 'max-age=30', 'validate', {
    origin: { headers: [...lasting, 'Age: 40'] },
  }),
  asks('RFC 9111 §5.2.1.1', 'an invalid limit is the strictest', 'max-age=x', 'validate', { after: 1 }),
  asks('RFC 9111 §5.2.1.1', 'of two the smaller counts', 'max-age=90, max-age=10', 'validate', { after: 20 }),
  asks('RFC 9111 §5.2.1.1', 'quoted', 'max-age="10"', 'validate', { after: 20 }),
  asks('RFC 9111 §5.2.1.3', 'enough freshness is left', 'min-fresh=50', 'hit', { after: 50 }),
  asks('RFC 9111 §5.2.1.3', 'not enough freshness is left', 'min-fresh=51', 'validate', { after: 50 }),
  asks('RFC 9111 §5.2.1.3', 'Age from upstream counts', 'min-fresh=70', 'validate', {
    origin: { headers: [...lasting, 'Age: 40'] },
  }),
  asks('RFC 9111 §5.2.1.2', 'any staleness without an argument', 'max-stale', staleHit, { after: 5000 }),
  asks('RFC 9111 §5.2.1.2', 'staleness within the limit', 'max-stale=50', staleHit, { after: 150 }),
  asks('RFC 9111 §5.2.1.2', 'staleness above the limit', 'max-stale=50', 'validate', { after: 151 }),
  asks('RFC 9111 §5.2.1.2', 'an invalid limit permits nothing', 'max-stale=x', 'validate', { after: 101 }),
  asks('RFC 9111 §5.2.1.2', 'Age from upstream counts', 'max-stale=50', 'validate', {
    origin: { headers: [...lasting, 'Age: 140'] },
    after: 11,
  }),
  asks('RFC 9111 §5.2.1.2', 'max-age still holds', 'max-stale=500, max-age=120', 'validate', { after: 121 }),
  asks('RFC 9111 §5.2.1.2', 'max-age within it', 'max-stale=500, max-age=200', staleHit, { after: 121 }),
  asks('RFC 9111 §5.2.2.2', 'must-revalidate is not overridden', 'max-stale', 'validate', {
    origin: { headers: ['Cache-Control: max-age=100, must-revalidate', validator] },
    after: 101,
  }),
  asks('RFC 9111 §5.2.2.8', 'proxy-revalidate is not overridden', 'max-stale', 'validate', {
    origin: { headers: ['Cache-Control: max-age=100, proxy-revalidate', validator] },
    after: 101,
  }),
  asks('RFC 9111 §5.2.2.10', 's-maxage is not overridden', 'max-stale', 'validate', {
    origin: { headers: ['Cache-Control: s-maxage=100', validator] },
    after: 101,
  }),
  asks('RFC 9111 §5.2.2.4', 'no-cache is not overridden', 'max-stale', 'validate', {
    origin: { headers: ['Cache-Control: no-cache, max-age=100', validator] },
    after: 101,
  }),
  asks('RFC 9111 §5.2.1.7', 'what is stored is served', 'only-if-cached', 'hit'),
  asks('RFC 9111 §5.2.1.7', 'stale is 504', 'only-if-cached', gatewayTimeout, { after: 101 }),
  asks('RFC 9111 §5.2.1.7', 'stale may be served with max-stale', 'only-if-cached, max-stale', staleHit, {
    after: 101,
  }),
  asks(
    'RFC 9111 §5.2.1.7',
    'with no-cache nothing can be served',
    'only-if-cached, no-cache',
    gatewayTimeout,
  ),
  {
    section: 'RFC 9111 §5.2.1.7',
    says: 'nothing stored is 504, and the origin is not asked',
    origin: { headers: lasting },
    first: { headers: ['Cache-Control: only-if-cached'] },
    next: [],
    expect: ({ responses, requests }) => {
      assert.equal(responses[0]!.status, 504);
      assert.equal(requests.length, 0);
    },
  },
  asks('RFC 9111 §5.2.1.6', 'no-transform changes nothing', 'no-transform', 'hit'),
  asks('RFC 9111 §5.2.3', 'unknown directives are ignored', 'foo, bar=1', 'hit'),
  asks('RFC 9110 §5.6.4', 'a string that does not end is taken as no-cache', 'x="', 'validate'),
  {
    section: 'RFC 9111 §5.4',
    says: 'Pragma: no-cache counts where there is no Cache-Control',
    origin: { headers: lasting },
    next: { headers: ['Pragma: no-cache'] },
    expect: 'validate',
  },
  {
    section: 'RFC 9111 §5.4',
    says: 'Pragma is ignored beside Cache-Control',
    origin: { headers: lasting },
    next: { headers: ['Pragma: no-cache', 'Cache-Control: max-age=50'] },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §5.4',
    says: 'another Pragma is ignored',
    origin: { headers: lasting },
    next: { headers: ['Pragma: akamai-x-cache-on'] },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §5.2.1.4',
    says: 'what came of no-cache serves the next request',
    origin: [
      { headers: lasting, body: 'old' },
      { headers: lasting, body: 'new' },
    ],
    next: [{ headers: ['Cache-Control: no-cache'] }, {}],
    expect: ({ responses, requests }) => {
      assert.equal(requests.length, 2);
      assert.equal(responses[2]!.body.toString(), 'new');
    },
  },
];

function staleHit({ responses, requests }: Parameters<Exclude<Row['expect'], string>>[0]): void {
  const last = responses.at(-1)!;
  assert.equal(requests.length, responses.length - 1);
  assert.match(last.header('cache-status')!, /^tollgate; hit; ttl=-\d+$/);
}

const bodies: Row[] = [
  {
    section: 'RFC 9110 §9.3.1',
    says: 'a GET with a body is not answered from the cache',
    origin: { headers: lasting },
    next: { headers: ['Transfer-Encoding: chunked', 'Connection: keep-alive\r\n\r\n1\r\nx\r\n0'] },
    expect: ({ requests }) => assert.equal(requests.length, 2),
  },
  ...['If-Match: "v1"', 'If-Unmodified-Since: Thu, 15 Jan 2037 12:00:00 GMT'].map(
    (line): Row => ({
      section: 'RFC 9111 §4.3.2',
      says: `${line.split(':')[0]} is for the origin to decide`,
      origin: { headers: lasting },
      next: { headers: [line] },
      expect: ({ requests }) => {
        assert.equal(requests.length, 2);
        assert.ok(requests[1]!.header(line.split(':')[0]!));
      },
    }),
  ),
];

const head: Row[] = [
  {
    section: 'RFC 9111 §4',
    says: 'HEAD is answered from a stored GET',
    origin: { headers: lasting, body: 'four' },
    next: { method: 'HEAD' },
    expect: ({ responses: [, second], requests }) => {
      assert.equal(requests.length, 1);
      assert.equal(second!.header('content-length'), '4');
      assert.equal(second!.body.length, 0);
      assert.match(second!.header('cache-status')!, /hit/);
    },
  },
  {
    section: 'RFC 9111 §4',
    says: 'GET is not answered from a HEAD',
    origin: { headers: lasting },
    first: { method: 'HEAD' },
    expect: ({ requests }) =>
      assert.deepEqual(
        requests.map(({ method }) => method),
        ['HEAD', 'GET'],
      ),
  },
  {
    section: 'RFC 9111 §4.3.5',
    says: 'a HEAD with the same validator freshens what is stored',
    origin: [
      { headers: ['Cache-Control: max-age=10', validator, 'X-A: 1'], body: 'kept' },
      { headers: ['Cache-Control: max-age=100', validator, 'X-A: 2'], body: 'kept' },
    ],
    next: [{ method: 'HEAD', after: 11 }, { after: 50 }],
    expect: ({ responses, requests }) => {
      assert.deepEqual(
        requests.map(({ method }) => method),
        ['GET', 'HEAD'],
      );
      assert.equal(responses[2]!.body.toString(), 'kept');
      assert.equal(responses[2]!.header('x-a'), '2');
    },
  },
  {
    section: 'RFC 9111 §4.3.5',
    says: 'a HEAD with another validator makes it stale',
    origin: [
      { headers: ['Cache-Control: max-age=100', validator] },
      { headers: ['Cache-Control: max-age=100', 'ETag: "v2"'] },
    ],
    next: [{ method: 'HEAD', headers: ['Cache-Control: no-cache'] }, {}],
    expect: ({ requests }) =>
      assert.deepEqual(
        requests.map(({ method }) => method),
        ['GET', 'HEAD', 'GET'],
      ),
  },
  {
    section: 'RFC 9111 §4.3.5',
    says: 'a HEAD that fails changes nothing',
    origin: [
      { headers: ['Cache-Control: max-age=100', validator] },
      { status: 500, headers: ['ETag: "v2"'] },
    ],
    next: [{ method: 'HEAD', headers: ['Cache-Control: no-cache'] }, {}],
    expect: ({ requests, responses }) => {
      assert.equal(requests.length, 2);
      assert.match(responses[2]!.header('cache-status')!, /hit/);
    },
  },
];

runRows([...directives, ...bodies, ...head]);
