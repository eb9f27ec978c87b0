import assert from 'node:assert/strict';
import { type Outcome, type Row, runRows } from './rows.ts';

function targeted(
  says: string,
  lines: readonly string[],
  expect: Outcome,
  after = 30,
  section = 'RFC 9213 §2.2',
): Row {
  return {
    section,
    says: `${lines.join(' + ')} — ${says}`,
    origin: { headers: [...lines, 'ETag: "v1"'] },
    next: { after },
    expect,
  };
}

runRows([
  targeted('alone gives a lifetime', ['CDN-Cache-Control: max-age=60'], 'hit'),
  targeted(
    'wins over a shorter Cache-Control',
    ['CDN-Cache-Control: max-age=60', 'Cache-Control: max-age=1'],
    'hit',
  ),
  targeted(
    'wins over a longer one',
    ['CDN-Cache-Control: max-age=1', 'Cache-Control: max-age=60'],
    'validate',
  ),
  targeted('wins over no-store', ['CDN-Cache-Control: max-age=60', 'Cache-Control: no-store'], 'hit'),
  targeted('wins over private', ['CDN-Cache-Control: max-age=60', 'Cache-Control: private'], 'hit'),
  targeted('no-store in it wins', ['CDN-Cache-Control: no-store', 'Cache-Control: max-age=60'], 'forward'),
  targeted('private in it wins', ['CDN-Cache-Control: private', 'Cache-Control: max-age=60'], 'forward'),
  targeted('no-cache in it wins', ['CDN-Cache-Control: no-cache', 'Cache-Control: max-age=60'], 'validate'),
  targeted('Expires does not count beside it', ['CDN-Cache-Control: max-age=60', 'Expires: 0'], 'hit'),
  targeted(
    'Expires does not count beside one without a lifetime',
    ['CDN-Cache-Control: public', 'Expires: Thu, 15 Jan 2037 12:00:00 GMT'],
    'validate',
  ),
  targeted(
    "the gateway's own name comes first",
    ['Tollgate-Cache-Control: max-age=60', 'CDN-Cache-Control: max-age=1'],
    'hit',
  ),
  targeted(
    "the gateway's own name comes first, strict",
    ['Tollgate-Cache-Control: no-store', 'CDN-Cache-Control: max-age=60'],
    'forward',
  ),
  targeted(
    "another cache's does not count",
    ['Fastly-Cache-Control: max-age=60', 'Cache-Control: max-age=1'],
    'validate',
  ),
  targeted('s-maxage is obeyed in it', ['CDN-Cache-Control: max-age=1, s-maxage=60'], 'hit'),
  targeted('Age counts', ['CDN-Cache-Control: max-age=60', 'Age: 40'], 'validate'),
  targeted(
    'unknown members are ignored',
    ['CDN-Cache-Control: foo, bar=1, max-age=60'],
    'hit',
    30,
    'RFC 9213 §2.1',
  ),
  targeted('parameters are ignored', ['CDN-Cache-Control: max-age=60;a=b'], 'hit', 30, 'RFC 9213 §2.1'),
  targeted(
    'lines are joined',
    ['CDN-Cache-Control: public', 'CDN-Cache-Control: max-age=60'],
    'hit',
    30,
    'RFC 9651 §3.2',
  ),
  targeted(
    'of two the last counts',
    ['CDN-Cache-Control: max-age=1, max-age=60'],
    'hit',
    30,
    'RFC 9651 §3.2',
  ),
  targeted(
    'a value switched off says nothing',
    ['CDN-Cache-Control: no-store=?0, max-age=60'],
    'hit',
    30,
    'RFC 9213 §2.1',
  ),
  targeted('a large value', ['CDN-Cache-Control: max-age=2147483648'], 'hit'),
  targeted('a very large value', ['CDN-Cache-Control: max-age=99999999999'], 'hit'),
  targeted('a sign is stale', ['CDN-Cache-Control: max-age=-1', 'Cache-Control: max-age=60'], 'validate'),
  targeted(
    'a fraction is stale',
    ['CDN-Cache-Control: max-age=60.5', 'Cache-Control: max-age=60'],
    'validate',
  ),
  targeted(
    'a string of digits is stale',
    ['CDN-Cache-Control: max-age="60"', 'Cache-Control: max-age=60'],
    'validate',
  ),
  targeted('no value is stale', ['CDN-Cache-Control: max-age', 'Cache-Control: max-age=60'], 'validate'),
  targeted('a token is stale', ['CDN-Cache-Control: max-age=a60', 'Cache-Control: max-age=60'], 'validate'),
  ...[
    ['an empty field', ''],
    ['a space before "="', 'max-age =1'],
    ['a space after "="', 'max-age= 1'],
    ['capitals', 'Max-Age=1'],
    ['a trailing comma', 'max-age=1,'],
    ['an empty member', 'max-age=1,,public'],
    ['single quotes', "max-age='1'"],
    ['a digit first', '1max-age=1'],
    ['a string that does not end', 'max-age="1'],
    ['characters outside ASCII', 'x="ü", max-age=1'],
    ['a number too long', 'max-age=1000000000000000'],
  ].map(([says, value]) =>
    targeted(
      `${says} makes it invalid: Cache-Control counts`,
      [`CDN-Cache-Control: ${value}`, 'Cache-Control: max-age=60'],
      'hit',
      30,
      'RFC 9213 §2.1',
    ),
  ),
  targeted(
    'an invalid one and nothing else',
    ['CDN-Cache-Control: max-age =60'],
    'validate',
    30,
    'RFC 9213 §2.1',
  ),
  targeted(
    'an invalid one is passed over for the next',
    ['Tollgate-Cache-Control: ,', 'CDN-Cache-Control: max-age=60', 'Cache-Control: max-age=1'],
    'hit',
    30,
  ),
  {
    section: 'RFC 9213 §2.2',
    says: 'stale-while-revalidate is obeyed in it',
    origin: {
      headers: ['CDN-Cache-Control: max-age=10, stale-while-revalidate=60', 'Cache-Control: s-maxage=1'],
    },
    next: { after: 30 },
    expect: ({ responses }) => assert.match(responses[1]!.header('cache-status')!, /hit; ttl=-20/),
  },
  {
    section: 'RFC 9213 §2',
    says: 'the fields are passed on as they are',
    origin: { headers: ['CDN-Cache-Control: max-age=60', 'Cache-Control: max-age=1'] },
    expect: ({ responses }) => {
      for (const response of responses) {
        assert.equal(response.header('cdn-cache-control'), 'max-age=60');
        assert.equal(response.header('cache-control'), 'max-age=1');
      }
    },
  },
  {
    section: 'RFC 9111 §3.5',
    says: 'public in it lets an answer to Authorization be shared',
    origin: { headers: ['CDN-Cache-Control: public, max-age=60', 'Cache-Control: no-store'] },
    first: { headers: ['Authorization: x'] },
    next: { headers: ['Authorization: y'] },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §3.5',
    says: 'public in Cache-Control does not, where it is passed over',
    origin: { headers: ['CDN-Cache-Control: max-age=60', 'Cache-Control: public'] },
    first: { headers: ['Authorization: x'] },
    next: { headers: ['Authorization: x'] },
    expect: 'forward',
  },
]);
