import assert from 'node:assert/strict';
import { type Answer, type Ask, date, type Row, runRows } from './rows.ts';

const tagged: Answer = {
  headers: ['Cache-Control: max-age=100', 'ETag: "v1"', 'Content-Type: text/a', 'X-Own: 1'],
  body: 'stored',
};
const modified = 'Thu, 15 Jan 2026 10:00:00 GMT';
const dated: Answer = {
  headers: ['Cache-Control: max-age=100', `Last-Modified: ${modified}`],
  body: 'stored',
};

/** The second request has its own condition; the fresh stored response decides. */
function own(
  says: string,
  origin: Answer,
  lines: readonly string[],
  status: number,
  section = 'RFC 9111 §4.3.2',
): Row {
  return {
    section,
    says: `${lines.join(' + ')} — ${says}`,
    origin,
    next: { headers: lines },
    expect: ({ responses: [, second], requests }) => {
      assert.equal(requests.length, 1, 'the origin must not be asked');
      assert.equal(second!.status, status);
      if (status === 304)
        assert.equal(
          second!.header('etag'),
          origin.headers?.find((line) => line.startsWith('ETag'))?.slice(6),
        );
      else assert.equal(second!.body.toString(), 'stored');
    },
  };
}

const weak: Answer = { headers: ['Cache-Control: max-age=100', 'ETag: W/"v1"'], body: 'stored' };
const comma: Answer = { headers: ['Cache-Control: max-age=100', 'ETag: "a,b"'], body: 'stored' };

const conditions: Row[] = [
  own('matches', tagged, ['If-None-Match: "v1"'], 304),
  own('does not match', tagged, ['If-None-Match: "v2"'], 200),
  own('weak matches strong (weak comparison)', tagged, ['If-None-Match: W/"v1"'], 304),
  own('weak matches weak', weak, ['If-None-Match: W/"v1"'], 304),
  own('strong matches weak', weak, ['If-None-Match: "v1"'], 304),
  own('the first of a list', tagged, ['If-None-Match: "v1", "x", "y"'], 304),
  own('in the middle of a list', tagged, ['If-None-Match: "x", "v1", "y"'], 304),
  own('the last of a list', tagged, ['If-None-Match: "x","y","v1"'], 304),
  own('in a list with empty members', tagged, ['If-None-Match: , "x", , "v1"'], 304),
  own('on the second line', tagged, ['If-None-Match: "x"', 'If-None-Match: "v1"'], 304),
  own('any', tagged, ['If-None-Match: *'], 304),
  own('any, without a tag stored', dated, ['If-None-Match: *'], 304),
  own('a comma inside a tag', comma, ['If-None-Match: "a,b"'], 304),
  own('a part of a tag with a comma', comma, ['If-None-Match: "a"'], 200),
  own(
    'characters outside ASCII',
    { headers: ['Cache-Control: max-age=100', 'ETag: "\xfc"'], body: 'stored' },
    ['If-None-Match: "\xfc"'],
    304,
    'RFC 9110 §8.8.3',
  ),
  own('letters count', tagged, ['If-None-Match: "V1"'], 200),
  own('unquoted is invalid', tagged, ['If-None-Match: v1'], 200),
  own('w/ in small letters is invalid', weak, ['If-None-Match: w/"v1"'], 200),
  own('a tag in a list beside garbage is invalid', tagged, ['If-None-Match: "v1" x'], 200),
  own('no tag is stored', dated, ['If-None-Match: "v1"'], 200),
  own(
    'wins over a date that would match',
    { headers: [...tagged.headers!, `Last-Modified: ${modified}`], body: 'stored' },
    ['If-None-Match: "x"', `If-Modified-Since: ${modified}`],
    200,
    'RFC 9110 §13.1.3',
  ),
  own(
    'wins over a date that would not',
    { headers: [...tagged.headers!, `Last-Modified: ${modified}`], body: 'stored' },
    ['If-None-Match: "v1"', 'If-Modified-Since: Thu, 15 Jan 2026 09:00:00 GMT'],
    304,
    'RFC 9110 §13.1.3',
  ),
  own('the same date', dated, [`If-Modified-Since: ${modified}`], 304),
  own('a later date', dated, ['If-Modified-Since: Thu, 15 Jan 2026 10:00:01 GMT'], 304),
  own('an earlier date', dated, ['If-Modified-Since: Thu, 15 Jan 2026 09:59:59 GMT'], 200),
  own(
    'the form of RFC 850',
    dated,
    ['If-Modified-Since: Thursday, 15-Jan-26 10:00:00 GMT'],
    304,
    'RFC 9110 §5.6.7',
  ),
  own('the form of asctime', dated, ['If-Modified-Since: Thu Jan 15 10:00:00 2026'], 304, 'RFC 9110 §5.6.7'),
  own('an invalid date is ignored', dated, ['If-Modified-Since: soon'], 200, 'RFC 9110 §13.1.3'),
  own(
    'two dates are ignored',
    dated,
    [`If-Modified-Since: ${modified}`, 'If-Modified-Since: Thu, 15 Jan 2026 11:00:00 GMT'],
    200,
    'RFC 9110 §13.1.3',
  ),
  own(
    'without Last-Modified the Date counts',
    {
      headers: ['Cache-Control: max-age=100', `Date: ${modified}`, 'Cache-Control: s-maxage=999999'],
      body: 'stored',
    },
    [`If-Modified-Since: ${modified}`],
    304,
  ),
  own(
    'not where the answer is no success',
    { status: 404, headers: tagged.headers!, body: 'stored' },
    ['If-None-Match: "v1"'],
    404,
    'RFC 9110 §13.2.1',
  ),
  {
    section: 'RFC 9110 §15.4.5',
    says: 'a 304 has the fields that guide caches and none of the body',
    origin: {
      headers: [
        ...tagged.headers!,
        `Expires: ${date(100)}`,
        'Vary: X',
        'Content-Location: /c',
        'Content-Encoding: identity',
      ],
      body: 'stored',
    },
    next: { headers: ['If-None-Match: "v1"'] },
    expect: ({ responses: [, second] }) => {
      for (const name of ['cache-control', 'date', 'etag', 'expires', 'vary', 'content-location'])
        assert.ok(second!.header(name), name);
      for (const name of ['content-type', 'content-encoding', 'content-length'])
        assert.equal(second!.header(name), undefined, name);
    },
  },
  {
    section: 'RFC 9111 §4.3.2',
    says: 'a conditional miss fetches the whole, stores it, and then decides',
    origin: tagged,
    first: { headers: ['If-None-Match: "v1"'] },
    expect: ({ responses, requests }) => {
      assert.equal(requests[0]!.header('if-none-match'), undefined);
      assert.deepEqual([responses[0]!.status, responses[1]!.status, requests.length], [304, 200, 1]);
      assert.equal(responses[1]!.body.toString(), 'stored');
    },
  },
  {
    section: 'RFC 9111 §4.3.2',
    says: 'where nothing can be stored the condition is left to the origin from then on',
    origin: [
      { headers: ['Cache-Control: no-store', 'ETag: "v1"'], body: 'x' },
      { status: 304, headers: ['ETag: "v1"'] },
    ],
    first: { headers: ['If-None-Match: "v1"'] },
    next: { headers: ['If-None-Match: "v1"'] },
    expect: ({ responses, requests }) => {
      assert.equal(responses[0]!.status, 200);
      assert.equal(requests[1]!.header('if-none-match'), '"v1"');
      assert.equal(responses[1]!.status, 304);
    },
  },
];

const later: Ask = { after: 101 };
const notModified: Answer = { status: 304, headers: ['ETag: "v1"', 'Cache-Control: max-age=100'] };

const validations: Row[] = [
  {
    section: 'RFC 9111 §4.3.1',
    says: 'a stale response is validated with its tag',
    origin: [tagged, notModified],
    next: later,
    expect: ({ requests, responses }) => {
      assert.equal(requests[1]!.header('if-none-match'), '"v1"');
      assert.equal(responses[1]!.status, 200);
      assert.equal(responses[1]!.body.toString(), 'stored');
      assert.match(
        responses[1]!.header('cache-status')!,
        /^tollgate; fwd=stale; fwd-status=304; ttl=\d+; stored$/,
      );
    },
  },
  {
    section: 'RFC 9111 §4.3.1',
    says: 'weak tags too',
    origin: [weak, { status: 304, headers: ['ETag: W/"v1"'] }],
    next: later,
    expect: ({ requests }) => assert.equal(requests[1]!.header('if-none-match'), 'W/"v1"'),
  },
  {
    section: 'RFC 9111 §4.3.1',
    says: 'with Last-Modified',
    origin: [dated, { status: 304 }],
    next: later,
    expect: ({ requests, responses }) => {
      assert.equal(requests[1]!.header('if-modified-since'), modified);
      assert.equal(responses[1]!.body.toString(), 'stored');
    },
  },
  {
    section: 'RFC 9111 §4.3.1',
    says: 'with both where both are known',
    origin: [{ headers: [...tagged.headers!, `Last-Modified: ${modified}`], body: 'stored' }, notModified],
    next: later,
    expect: ({ requests }) => {
      assert.equal(requests[1]!.header('if-none-match'), '"v1"');
      assert.equal(requests[1]!.header('if-modified-since'), modified);
    },
  },
  {
    section: 'RFC 9111 §4.3.1',
    says: "the client's own condition is replaced, and answered from the outcome",
    origin: [tagged, notModified],
    next: { ...later, headers: ['If-None-Match: "mine"'] },
    expect: ({ requests, responses }) => {
      assert.equal(requests[1]!.header('if-none-match'), '"v1"');
      assert.equal(responses[1]!.status, 200);
    },
  },
  {
    section: 'RFC 9111 §4.3.1',
    says: "the client's own condition that matches gets 304",
    origin: [tagged, notModified],
    next: { ...later, headers: ['If-None-Match: "v1"'] },
    expect: ({ responses }) => assert.equal(responses[1]!.status, 304),
  },
  {
    section: 'RFC 9111 §4.3.4',
    says: '304 makes it fresh again',
    origin: [tagged, notModified],
    next: [later, { after: 50 }],
    expect: ({ requests, responses }) => {
      assert.equal(requests.length, 2);
      assert.equal(responses[2]!.header('age'), '50');
    },
  },
  {
    section: 'RFC 9111 §4.3.4',
    says: 'the lifetime is that of the 304',
    origin: [tagged, { status: 304, headers: ['ETag: "v1"', 'Cache-Control: max-age=10'] }],
    next: [later, { after: 11 }],
    expect: ({ requests }) => assert.equal(requests.length, 3),
  },
  {
    section: 'RFC 9111 §4.3.3',
    says: 'a full answer takes its place',
    origin: [tagged, { headers: ['Cache-Control: max-age=100', 'ETag: "v2"'], body: 'new' }],
    next: [later, {}],
    expect: ({ requests, responses }) => {
      assert.equal(requests.length, 2);
      assert.deepEqual(
        responses.map(({ body }) => body.toString()),
        ['stored', 'new', 'new'],
      );
    },
  },
  {
    section: 'RFC 9111 §4.3.3',
    says: 'a full answer that may not be stored removes it',
    origin: [tagged, { headers: ['Cache-Control: no-store'], body: 'new' }],
    next: [later, { headers: ['Cache-Control: max-stale'] }],
    expect: ({ requests, responses }) => {
      assert.equal(requests.length, 3);
      assert.equal(responses[2]!.body.toString(), 'new');
    },
  },
  {
    section: 'RFC 9111 §4.3.3',
    says: 'an error is passed on and leaves it',
    origin: [tagged, { status: 500, body: 'oops' }, notModified],
    next: [later, {}],
    expect: ({ requests, responses }) => {
      assert.deepEqual(
        responses.map(({ status }) => status),
        [200, 500, 200],
      );
      assert.equal(requests[2]!.header('if-none-match'), '"v1"');
    },
  },
  {
    section: 'RFC 9111 §3.2',
    says: 'fields of the 304 replace stored ones, others stay',
    origin: [
      { headers: [...tagged.headers!, 'X-Kept: k', 'X-Two: a', 'X-Two: b'], body: 'stored' },
      {
        status: 304,
        headers: ['ETag: "v1"', 'X-Own: 2', 'X-Two: c', 'X-New: n', 'Cache-Control: max-age=100'],
      },
    ],
    next: [later, {}],
    expect: ({ responses }) => {
      for (const response of responses.slice(1)) {
        assert.equal(response.header('x-own'), '2');
        assert.equal(response.header('x-kept'), 'k');
        assert.equal(response.header('x-new'), 'n');
        assert.deepEqual(
          response.headers.filter((_, i) => response.headers[i - 1]?.toLowerCase() === 'x-two'),
          ['c'],
        );
      }
    },
  },
  ...[
    'Content-Length: 999',
    'Content-Encoding: gzip',
    'Content-Type: text/b',
    'Content-Range: bytes 0-1/9',
    'RateLimit: "x";r=1',
    'Proxy-Authenticate: x',
  ].map(
    (line): Row => ({
      section: 'RFC 9111 §3.2',
      says: `a 304 does not change ${line.split(':')[0]}`,
      origin: [tagged, { status: 304, headers: ['ETag: "v1"', line, 'Cache-Control: max-age=100'] }],
      next: [later, {}],
      expect: ({ responses }) => {
        const [name, value] = line.split(': ');
        for (const response of responses.slice(1)) assert.notEqual(response.header(name!), value);
        assert.equal(responses[2]!.body.toString(), 'stored');
      },
    }),
  ),
  {
    section: 'RFC 9111 §4.3.4',
    says: 'a 304 about another tag changes nothing: the whole is asked for',
    origin: [
      tagged,
      { status: 304, headers: ['ETag: "other"'] },
      { headers: ['Cache-Control: max-age=100', 'ETag: "v3"'], body: 'third' },
    ],
    next: later,
    expect: ({ requests, responses }) => {
      assert.equal(requests.length, 3);
      assert.equal(requests[2]!.header('if-none-match'), undefined);
      assert.equal(responses[1]!.body.toString(), 'third');
    },
  },
  {
    section: 'RFC 9111 §4.3.4',
    says: 'a 304 that forbids storing answers and removes it',
    origin: [
      tagged,
      { status: 304, headers: ['ETag: "v1"', 'Cache-Control: no-store'] },
      { headers: ['Cache-Control: max-age=1'], body: 'again' },
    ],
    next: [later, {}],
    expect: ({ requests, responses }) => {
      assert.equal(responses[1]!.body.toString(), 'stored');
      assert.equal(requests[2]!.header('if-none-match'), undefined);
      assert.equal(responses[2]!.body.toString(), 'again');
    },
  },
  {
    section: 'RFC 9111 §4.3.4',
    says: 'Age of the 304 counts',
    origin: [tagged, { status: 304, headers: ['ETag: "v1"', 'Cache-Control: max-age=100', 'Age: 60'] }],
    next: [later, { after: 41 }],
    expect: ({ requests }) => assert.equal(requests.length, 3),
  },
  {
    section: 'RFC 9111 §4.3.4',
    says: 'a 304 without a Date counts from its receipt',
    origin: [{ ...tagged, headers: [...tagged.headers!, `Date: ${date(0)}`] }, notModified],
    next: [later, { after: 99 }],
    expect: ({ requests }) => assert.equal(requests.length, 2),
  },
  {
    section: 'RFC 9111 §4.3.1',
    says: 'without a validator the whole is asked for',
    origin: { headers: ['Cache-Control: max-age=100'] },
    next: later,
    expect: 'forward',
  },
];

runRows([...conditions, ...validations]);
