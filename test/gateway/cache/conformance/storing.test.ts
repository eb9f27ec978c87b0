import assert from 'node:assert/strict';
import { control, date, type Row, runRows, validator } from './rows.ts';

const auth = 'Authorization: Bearer secret';
const withAuth = { first: { headers: [auth] }, next: { headers: [auth] } };

const directives: Row[] = [
  control('RFC 9111 §5.2.2.5', 'nothing is stored', 'no-store', 'forward'),
  control('RFC 9111 §5.2.2.5', 'although it says how long', 'max-age=3600, no-store', 'forward'),
  control('RFC 9111 §5.2.2.5', 'in any case', 'max-age=3600, nO-StOrE', 'forward'),
  control('RFC 9111 §5.2.2.5', 'an argument does not weaken it', 'max-age=3600, no-store=0', 'forward'),
  control('RFC 9111 §5.2.2.7', 'not in a shared cache', 'private, max-age=3600', 'forward'),
  control('RFC 9111 §5.2.2.7', 'in any case', 'PRIVATE, max-age=3600', 'forward'),
  control(
    'RFC 9111 §5.2.2.7',
    'beside public the stricter holds',
    'public, private, max-age=3600',
    'forward',
  ),
  control('RFC 9111 §5.2.2.7', 'an empty list of names means all', 'private="", max-age=3600', 'forward'),
  control('RFC 9111 §5.2.2.7', 'a malformed list means all', 'private=", max-age=3600', 'forward'),
  control('RFC 9111 §5.2.2.4', 'is validated although fresh', 'no-cache, max-age=3600', 'validate'),
  control('RFC 9111 §5.2.2.4', 'in any case', 'No-CaChE, max-age=3600', 'validate'),
  control('RFC 9111 §5.2.2.4', 'without a lifetime is stored for validation', 'no-cache', 'validate'),
  control('RFC 9111 §5.2.2.4', 'an empty list of names means all', 'no-cache="", max-age=3600', 'validate'),
  control(
    'RFC 9111 §5.2.2.3',
    'an understood code is stored in spite of no-store',
    'max-age=3600, no-store, must-understand',
    'hit',
  ),
  control('RFC 9111 §5.2.2.3', 'the order does not matter', 'must-understand, no-store, max-age=3600', 'hit'),
  control('RFC 9111 §5.2.2.3', 'an unknown code is not', 'max-age=3600, must-understand', 'forward', {
    origin: { status: 599, headers: ['Cache-Control: max-age=3600, must-understand', validator] },
  }),
  control(
    'RFC 9111 §5.2.2.3',
    'an unknown code is not, with no-store',
    'max-age=3600, no-store, must-understand',
    'forward',
    {
      origin: { status: 299, headers: ['Cache-Control: max-age=3600, no-store, must-understand', validator] },
    },
  ),
  control(
    'RFC 9111 §5.2.2.3',
    'with an argument it is another directive',
    'max-age=3600, no-store, must-understand=1',
    'forward',
  ),
  control('RFC 9111 §5.2.2.2', 'does not stop a fresh one', 'must-revalidate, max-age=3600', 'hit'),
  control('RFC 9111 §5.2.2.8', 'does not stop a fresh one', 'proxy-revalidate, max-age=3600', 'hit'),
  control('RFC 9111 §5.2.2.6', 'says nothing of storing', 'no-transform, max-age=3600', 'hit'),
  control(
    'RFC 8246',
    'immutable changes nothing for a cache that is not asked to reload',
    'immutable, max-age=3600',
    'hit',
  ),
  {
    section: 'RFC 9111 §5.4',
    says: 'Pragma in a response means nothing',
    origin: { headers: ['Cache-Control: max-age=3600', 'Pragma: no-cache'] },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §5.2.2.4',
    says: 'no-cache with no validator is asked for anew',
    origin: { headers: ['Cache-Control: no-cache, max-age=3600'] },
    expect: 'forward',
  },
  {
    section: 'RFC 9111 §5.2.2.7',
    says: 'private with names: the rest is stored without them',
    origin: {
      headers: [
        'Cache-Control: max-age=3600, private="X-User, Set-Cookie"',
        'X-User: me',
        'Set-Cookie: a=b',
        'X-Other: 1',
      ],
    },
    expect: ({ responses: [first, second] }) => {
      assert.equal(first!.header('x-user'), 'me');
      assert.match(second!.header('cache-status')!, /hit/);
      assert.equal(second!.header('x-user'), undefined);
      assert.equal(second!.header('set-cookie'), undefined);
      assert.equal(second!.header('x-other'), '1');
    },
  },
  {
    section: 'RFC 9111 §5.2.2.4',
    says: 'no-cache with names: reused without them',
    origin: { headers: ['Cache-Control: max-age=3600, no-cache="x-user"', 'X-User: me', 'X-Other: 1'] },
    expect: ({ responses: [, second] }) => {
      assert.match(second!.header('cache-status')!, /hit/);
      assert.equal(second!.header('x-user'), undefined);
      assert.equal(second!.header('x-other'), '1');
    },
  },
  {
    section: 'RFC 9111 §5.2.2.7',
    says: 'a name as a token counts as well',
    origin: { headers: ['Cache-Control: max-age=3600, private=x-user', 'X-User: me'] },
    expect: ({ responses: [, second] }) => {
      assert.match(second!.header('cache-status')!, /hit/);
      assert.equal(second!.header('x-user'), undefined);
    },
  },
];

const authorization: Row[] = [
  control('RFC 9111 §3.5', 'not to a request with Authorization', 'max-age=3600', 'forward', withAuth),
  control('RFC 9111 §3.5', 'public permits it', 'max-age=3600, public', 'hit', withAuth),
  control('RFC 9111 §3.5', 'must-revalidate permits it', 'max-age=3600, must-revalidate', 'hit', withAuth),
  control('RFC 9111 §3.5', 's-maxage permits it', 's-maxage=3600', 'hit', withAuth),
  control(
    'RFC 9111 §3.5',
    'proxy-revalidate does not',
    'max-age=3600, proxy-revalidate',
    'forward',
    withAuth,
  ),
  control(
    'RFC 9111 §3.5',
    'public with an argument is something else',
    'max-age=3600, public="x"',
    'forward',
    withAuth,
  ),
  control(
    'RFC 9111 §3.5',
    'what is stored from a request without it is not given to one with it',
    'max-age=3600',
    'forward',
    {
      next: { headers: [auth] },
    },
  ),
  control('RFC 9111 §3.5', 'nor the other way round', 'max-age=3600', 'forward', {
    first: { headers: [auth] },
  }),
  control('RFC 9111 §3.5', 'public goes both ways', 'max-age=3600, public', 'hit', {
    first: { headers: [auth] },
  }),
  {
    section: 'RFC 9111 §3.5',
    says: 'Expires alone does not permit it',
    origin: { headers: [`Expires: ${date(60)}`] },
    ...withAuth,
    expect: 'forward',
  },
];

const statuses: Row[] = [
  ...[
    200, 201, 202, 203, 204, 205, 226, 299, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 410, 418,
    421, 451, 499, 500, 502, 503, 504, 599,
  ].map(
    (status): Row => ({
      section: 'RFC 9111 §3',
      says: `${status} with an explicit lifetime is stored`,
      origin: { status, headers: ['Cache-Control: max-age=3600'] },
      expect: 'hit',
    }),
  ),
  {
    section: 'RFC 9111 §3.3',
    says: '206 is not stored',
    origin: {
      status: 206,
      headers: ['Cache-Control: max-age=3600', 'Content-Range: bytes 0-4/10'],
      body: '01234',
    },
    expect: 'forward',
  },
  {
    section: 'RFC 9111 §3',
    says: 'an interim response is not stored, the final one is',
    origin: {
      interim: 'HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\nCache-Control: max-age=1\r\n\r\n',
      headers: ['Cache-Control: max-age=3600'],
    },
    next: { after: 60 },
    expect: ({ responses: [, second], requests }) => {
      assert.equal(requests.length, 1);
      assert.equal(second!.header('x-early'), undefined);
    },
  },
  ...['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'].map(
    (method): Row => ({
      section: 'RFC 9111 §3',
      says: `an answer to ${method} is not stored`,
      origin: { headers: ['Cache-Control: max-age=3600'] },
      first: {
        method,
        headers:
          method === 'OPTIONS' || method === 'PROPFIND' || method === 'DELETE' ? [] : ['Content-Length: 0'],
      },
      expect: 'forward',
    }),
  ),
  {
    section: 'RFC 9111 §3.3',
    says: 'a body that broke off is not stored (length)',
    origin: [
      { headers: ['Cache-Control: max-age=3600'], fails: 'mid-body' },
      { headers: ['Cache-Control: max-age=3600'], body: 'whole' },
    ],
    expect: ({ responses, requests }) => {
      assert.equal(requests.length, 2);
      assert.equal(responses[0]!.body.toString(), 'whole');
    },
  },
  {
    section: 'RFC 9111 §3.3',
    says: 'a body that broke off is not stored (chunks)',
    origin: [
      { headers: ['Cache-Control: max-age=3600'], fails: 'mid-chunks' },
      { headers: ['Cache-Control: max-age=3600'], body: 'whole' },
    ],
    expect: ({ responses, requests }) => {
      assert.equal(requests.length, 2);
      assert.equal(responses[0]!.body.toString(), 'whole');
    },
  },
  {
    section: 'RFC 9111 §3',
    says: 'a chunked answer is stored whole',
    origin: { headers: ['Cache-Control: max-age=3600'], chunked: true, body: 'in chunks' },
    expect: 'hit',
  },
  {
    section: 'storage',
    says: 'what is larger than the route allows is passed on and not stored',
    origin: { headers: ['Cache-Control: max-age=3600'], body: 'x'.repeat(101) },
    policy: 'small',
    expect: 'forward',
  },
  {
    section: 'storage',
    says: 'also when its length was not announced',
    origin: { headers: ['Cache-Control: max-age=3600'], body: 'x'.repeat(101), chunked: true },
    policy: 'small',
    expect: 'forward',
  },
  {
    section: 'storage',
    says: 'what is as large as allowed is stored',
    origin: { headers: ['Cache-Control: max-age=3600'], body: 'x'.repeat(100) },
    policy: 'small',
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §3',
    says: 'a response with nothing that allows reuse is not stored',
    origin: { headers: [] },
    expect: 'forward',
  },
];

const fields: Row[] = [
  ...[
    ['Connection', 'X-Hop'],
    ['Keep-Alive', 'timeout=5'],
    ['Proxy-Authenticate', 'Basic'],
    ['Proxy-Authentication-Info', 'x'],
    ['Proxy-Authorization', 'Basic x'],
    ['Proxy-Connection', 'keep-alive'],
    ['TE', 'trailers'],
    ['Trailer', 'X'],
    ['RateLimit', '"a";r=1'],
    ['RateLimit-Policy', '"a";q=1'],
    ['X-RateLimit-Limit', '5'],
    ['X-RateLimit-Remaining', '4'],
    ['X-RateLimit-Reset', '9'],
    ['X-Request-Id', 'origin-made'],
  ].map(
    ([name, value]): Row => ({
      section: 'RFC 9111 §3.1',
      says: `${name} is not stored`,
      origin: { headers: ['Cache-Control: max-age=3600', `${name}: ${value}`, 'X-Hop: 1'] },
      expect: ({ responses: [, second], requests }) => {
        assert.equal(requests.length, 1);
        assert.notEqual(second!.header(name!), value);
      },
    }),
  ),
  {
    section: 'RFC 9111 §3.1',
    says: 'fields that Connection names are not stored',
    origin: {
      headers: ['Cache-Control: max-age=3600', 'Connection: X-A, x-b', 'X-A: 1', 'X-B: 2', 'X-C: 3'],
    },
    expect: ({ responses: [, second] }) => {
      assert.equal(second!.header('x-a'), undefined);
      assert.equal(second!.header('x-b'), undefined);
      assert.equal(second!.header('x-c'), '3');
    },
  },
  {
    section: 'RFC 9111 §3.1',
    says: 'every other field is, unknown ones too, repeated ones in order',
    origin: {
      headers: [
        'Cache-Control: max-age=3600',
        'X-New: 1',
        'X-New: 2',
        'Content-Type: text/x',
        'Link: </a>',
        'Content-Language: fr',
        'Content-Location: /x',
        'X-Frame-Options: deny',
      ],
    },
    expect: ({ responses: [first, second] }) => {
      const lines = (response: typeof first): string[] =>
        response!.headers.flatMap((name, i) =>
          i % 2 === 0 && /^(?:x-new|content-|link|x-frame)/i.test(name)
            ? [`${name.toLowerCase()}: ${response!.headers[i + 1]}`]
            : [],
        );
      assert.deepEqual(lines(second).sort(), lines(first).sort());
      assert.ok(lines(second).indexOf('x-new: 1') < lines(second).indexOf('x-new: 2'));
    },
  },
  {
    section: 'RFC 9111 §7.3',
    says: 'a response that sets a cookie is not stored on max-age alone',
    origin: { headers: ['Cache-Control: max-age=3600', 'Set-Cookie: a=b'] },
    expect: 'forward',
  },
  {
    section: 'RFC 9111 §7.3',
    says: 'it is where the origin says that it is for everyone',
    origin: { headers: ['Cache-Control: public, max-age=3600', 'Set-Cookie: a=b'] },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §7.3',
    says: 'Cookie in the request does not stop a hit',
    origin: { headers: ['Cache-Control: max-age=3600'] },
    next: { headers: ['Cookie: a=b'] },
    expect: 'hit',
  },
];

const keys: Row[] = [
  {
    section: 'RFC 9111 §2',
    says: 'another query is another resource',
    origin: { headers: ['Cache-Control: max-age=3600'] },
    first: { target: '{path}?a=1' },
    next: { target: '{path}?a=2' },
    expect: 'forward',
  },
  {
    section: 'RFC 9111 §2',
    says: 'the same query is the same',
    origin: { headers: ['Cache-Control: max-age=3600'] },
    first: { target: '{path}?a=1' },
    next: { target: '{path}?a=1' },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §2',
    says: 'the order of parameters counts',
    origin: { headers: ['Cache-Control: max-age=3600'] },
    first: { target: '{path}?a=1&b=2' },
    next: { target: '{path}?b=2&a=1' },
    expect: 'forward',
  },
  {
    section: 'RFC 9111 §2',
    says: 'an empty query is not the same as none',
    origin: { headers: ['Cache-Control: max-age=3600'] },
    next: { target: '{path}?' },
    expect: 'forward',
  },
  {
    section: 'RFC 9111 §2',
    says: 'another host is another resource',
    origin: { headers: ['Cache-Control: max-age=3600'] },
    next: { host: 'other.test' },
    expect: 'forward',
  },
  {
    section: 'RFC 9110 §4.2.3',
    says: 'a host in other letters is the same',
    origin: { headers: ['Cache-Control: max-age=3600'] },
    next: { host: 'API.test' },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §2',
    says: 'another port is another resource',
    origin: { headers: ['Cache-Control: max-age=3600'] },
    next: { host: 'api.test:81' },
    expect: 'forward',
  },
  {
    section: 'key',
    says: 'sorted: the order of parameters does not count',
    policy: 'sorted',
    origin: { headers: ['Cache-Control: max-age=3600'], body: 'x' },
    first: { target: '{path}?b=2&a=1' },
    next: { target: '{path}?a=1&b=2' },
    expect: 'hit',
  },
  {
    section: 'key',
    says: 'sorted: the order of repeated ones does',
    policy: 'sorted',
    origin: { headers: ['Cache-Control: max-age=3600'] },
    first: { target: '{path}?a=1&a=2' },
    next: { target: '{path}?a=2&a=1' },
    expect: 'forward',
  },
  {
    section: 'key',
    says: 'none: the query does not count',
    policy: 'none',
    origin: { headers: ['Cache-Control: max-age=3600'] },
    first: { target: '{path}?a=1' },
    next: { target: '{path}?b=2' },
    expect: 'hit',
  },
  {
    section: 'key',
    says: 'listed: only the named parameters count',
    policy: 'listed',
    origin: { headers: ['Cache-Control: max-age=3600'] },
    first: { target: '{path}?page=1&utm=a' },
    next: { target: '{path}?utm=b&page=1' },
    expect: 'hit',
  },
  {
    section: 'key',
    says: 'listed: named ones do',
    policy: 'listed',
    origin: { headers: ['Cache-Control: max-age=3600'] },
    first: { target: '{path}?page=1' },
    next: { target: '{path}?page=2' },
    expect: 'forward',
  },
  {
    section: 'key',
    says: 'the upstream is not shown what is left out of the key',
    policy: 'listed',
    origin: { headers: ['Cache-Control: max-age=3600'] },
    first: { target: '{path}?utm=evil&size=9&page=1' },
    expect: ({ requests }) => assert.match(requests[0]!.target, /\?page=1&size=9$/),
  },
  {
    section: 'key',
    says: 'another version asked for is another response',
    origin: { headers: ['Cache-Control: max-age=3600'] },
    next: { headers: ['API-Version: v9'] },
    expect: 'forward',
  },
  ...[
    'X-HTTP-Method-Override: DELETE',
    'X-Original-URL: /admin',
    'X-Rewrite-URL: /admin',
    'X-Forwarded-Server: evil',
    'X-Forwarded-Scheme: nothttps',
    'X-Host: evil',
  ].map(
    (line): Row => ({
      section: 'poisoning',
      says: `nothing is stored from a request with ${line.split(':')[0]}`,
      origin: { headers: ['Cache-Control: max-age=3600'] },
      first: { headers: [line] },
      expect: 'forward',
    }),
  ),
  ...[
    'X-Forwarded-Host: evil.test',
    'X-Forwarded-Proto: ftp',
    'X-Forwarded-Port: 1',
    'Forwarded: host=evil.test',
  ].map(
    (line): Row => ({
      section: 'poisoning',
      says: `a stranger's ${line.split(':')[0]} does not reach the upstream`,
      origin: { headers: ['Cache-Control: max-age=3600'] },
      first: { headers: [line] },
      expect: ({ requests }) => assert.doesNotMatch(requests[0]!.head, /evil|ftp|port: 1/i),
    }),
  ),
];

runRows([...directives, ...authorization, ...statuses, ...fields, ...keys]);
