import assert from 'node:assert/strict';
import { control, date, type Row, runRows, validator } from './rows.ts';

const fresh = ['Cache-Control: max-age=3600', validator];

const lifetimes: Row[] = [
  control('RFC 9111 §4.2.1', 'an explicit lifetime is fresh', 'max-age=3600', 'hit'),
  control('RFC 9111 §4.2', 'fresh until just before its end', 'max-age=10', 'hit', { next: { after: 9 } }),
  control('RFC 9111 §4.2', 'stale once its age reaches the lifetime', 'max-age=10', 'validate', {
    next: { after: 10 },
  }),
  control('RFC 9111 §4.2', 'stale after it', 'max-age=10', 'validate', { next: { after: 11 } }),
  control('RFC 9111 §5.2.2.1', 'zero is stale at once', 'max-age=0', 'validate'),
  control('RFC 9111 §5.2.2.10', 's-maxage wins over a shorter max-age', 'max-age=1, s-maxage=60', 'hit', {
    next: { after: 30 },
  }),
  control('RFC 9111 §5.2.2.10', 's-maxage wins over a longer max-age', 'max-age=60, s-maxage=1', 'validate', {
    next: { after: 2 },
  }),
  control('RFC 9111 §5.2.2.10', 'the order does not matter', 's-maxage=1, max-age=60', 'validate', {
    next: { after: 2 },
  }),
  control('RFC 9111 §5.2.2.10', 'zero in s-maxage', 'max-age=60, s-maxage=0', 'validate'),
  {
    section: 'RFC 9111 §5.3',
    says: 'Expires in the future is fresh',
    origin: { headers: [`Date: ${date(0)}`, `Expires: ${date(60)}`] },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §4.2.1',
    says: 'Expires counts from Date, not from now',
    origin: { headers: [`Date: ${date(-100)}`, `Expires: ${date(-40)}`, validator] },
    expect: 'validate',
  },
  {
    section: 'RFC 9111 §4.2.1',
    says: 'Expires counts from the time of receipt without a Date',
    origin: { headers: [`Expires: ${date(60)}`] },
    next: { after: 30 },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §5.3',
    says: 'Expires equal to Date is stale',
    origin: { headers: [`Date: ${date(0)}`, `Expires: ${date(0)}`, validator] },
    expect: 'validate',
  },
  {
    section: 'RFC 9111 §5.3',
    says: 'Expires is ignored beside max-age',
    origin: { headers: ['Cache-Control: max-age=60', `Expires: ${date(-100)}`] },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §5.3',
    says: 'a later Expires does not prolong max-age=0',
    origin: { headers: ['Cache-Control: max-age=0', `Expires: ${date(100)}`, validator] },
    expect: 'validate',
  },
  {
    section: 'RFC 9111 §5.3',
    says: 'Expires is ignored beside s-maxage',
    origin: { headers: ['Cache-Control: s-maxage=60', `Expires: ${date(-100)}`] },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §5.3',
    says: 'an invalid Expires beside max-age does no harm',
    origin: { headers: ['Cache-Control: max-age=60', 'Expires: 0'] },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §5.3',
    says: 'two different Expires are invalid',
    origin: { headers: [`Expires: ${date(60)}`, `Expires: ${date(90)}`, validator] },
    expect: 'validate',
  },
  {
    section: 'RFC 9110 §5.3',
    says: 'the same Expires twice is one',
    origin: { headers: [`Expires: ${date(60)}`, `Expires: ${date(60)}`, validator] },
    expect: 'hit',
  },
  {
    section: 'RFC 9110 §6.6.1',
    says: 'an invalid Date counts as the time of receipt',
    origin: { headers: ['Date: yesterday', `Expires: ${date(60)}`] },
    expect: 'hit',
  },
];

const dates: Row[] = (
  [
    ['Thu, 15 Jan 2037 12:00:00 GMT', 'hit', 'the fixed form'],
    ['Thursday, 15-Jan-37 12:00:00 GMT', 'hit', 'the form of RFC 850'],
    ['Thu Jan 15 12:00:00 2037', 'hit', 'the form of asctime'],
    ['thu, 15 jan 2037 12:00:00 gmt', 'hit', 'letters in any case (§4.2)'],
    ['THU, 15 JAN 2037 12:00:00 GMT', 'hit', 'capitals (§4.2)'],
    ['0', 'validate', 'zero is in the past'],
    ['-1', 'validate', 'a signed number'],
    ['1800000000', 'validate', 'seconds since the epoch'],
    ['Thu, 15 Jan 2037 12:00:00 UTC', 'validate', 'a zone other than GMT'],
    ['Thu, 15 Jan 2037 12:00:00 AEST', 'validate', 'a local zone'],
    ['Thu, 15 Jan 2037 12:00:00 +0000', 'validate', 'a numeric zone'],
    ['Thu, 15 Jan 2037 12:00:00', 'validate', 'no zone'],
    ['Thu, 15 Jan 37 12:00:00 GMT', 'validate', 'two digits of a year in the fixed form'],
    ['Thu 15 Jan 2037 12:00:00 GMT', 'validate', 'no comma'],
    ['Thu, 15  Jan  2037 12:00:00 GMT', 'validate', 'several spaces'],
    ['Thu, 15-Jan-2037 12:00:00 GMT', 'validate', 'dashes in the fixed form'],
    ['Thu, 15 Jan 2037 12.00.00 GMT', 'validate', 'periods in the time'],
    ['Thu, 15 Jan 2037 2:00:00 GMT', 'validate', 'one digit of an hour'],
    ['Thu, 5 Jan 2037 12:00:00 GMT', 'validate', 'one digit of a day'],
    ['Thu, 31 Feb 2037 12:00:00 GMT', 'validate', 'a day that does not exist'],
    ['Thu, 15 Jan 2037 24:00:00 GMT', 'validate', 'an hour that does not exist'],
    ['Thu, 15 Jän 2037 12:00:00 GMT', 'validate', 'a month that does not exist'],
    ['Thu, 15 Jan 2037 12:00:00 GMT, Thu, 15 Jan 2037 12:00:00 GMT', 'validate', 'a list'],
    ['"Thu, 15 Jan 2037 12:00:00 GMT"', 'validate', 'quotes'],
    ['', 'validate', 'nothing'],
  ] as const
).map(([text, expect, says]) => ({
  section: 'RFC 9110 §5.6.7',
  says: `Expires as ${says}: ${JSON.stringify(text)}`,
  origin: { headers: [`Expires: ${text}`, validator] },
  expect,
}));

const numbers: Row[] = [
  control('RFC 9111 §1.2.2', 'leading zeros', 'max-age=003600', 'hit'),
  control('RFC 9111 §1.2.2', '2^31 - 1', 'max-age=2147483647', 'hit'),
  control('RFC 9111 §1.2.2', '2^31', 'max-age=2147483648', 'hit'),
  control('RFC 9111 §1.2.2', 'beyond 2^31', 'max-age=99999999999', 'hit'),
  control('RFC 9111 §1.2.2', 'beyond any number type', `max-age=${'9'.repeat(400)}`, 'hit'),
  control('RFC 9111 §5.2', 'quoted digits are accepted', 'max-age="3600"', 'hit'),
  control('RFC 9111 §5.2', 'a name in any case', 'MaX-aGe=3600', 'hit'),
  control('RFC 9111 §4.2.1', 'a sign is invalid, so stale', 'max-age=-3600', 'validate'),
  control('RFC 9111 §4.2.1', 'a plus sign', 'max-age=+3600', 'validate'),
  control('RFC 9111 §4.2.1', 'a fraction', 'max-age=3600.0', 'validate'),
  control('RFC 9111 §4.2.1', 'a fraction that is not whole', 'max-age=3600.5', 'validate'),
  control('RFC 9111 §4.2.1', 'single quotes', "max-age='3600'", 'validate'),
  control('RFC 9111 §4.2.1', 'letters in front', 'max-age=a3600', 'validate'),
  control('RFC 9111 §4.2.1', 'letters behind', 'max-age=3600a', 'validate'),
  control('RFC 9111 §4.2.1', 'hexadecimal', 'max-age=0x10', 'validate'),
  control('RFC 9111 §4.2.1', 'an exponent', 'max-age=1e3', 'validate'),
  control('RFC 9111 §4.2.1', 'no value', 'max-age', 'validate'),
  control('RFC 9111 §4.2.1', 'an empty value', 'max-age=', 'validate'),
  control('RFC 9111 §4.2.1', 'an empty quoted value', 'max-age=""', 'validate'),
  control('RFC 9111 §4.2.1', 'a space before "="', 'max-age =3600', 'validate'),
  control('RFC 9111 §4.2.1', 'a space after "="', 'max-age= 3600', 'validate'),
  control('RFC 9111 §4.2.1', 'a semicolon behind', 'max-age=3600;x', 'validate'),
  control(
    'RFC 9111 §4.2.1',
    'invalid s-maxage is stale although max-age is not',
    'max-age=3600, s-maxage=x',
    'validate',
  ),
  control('RFC 9111 §4.2.1', 'of two the first counts', 'max-age=3600, max-age=1', 'hit', {
    next: { after: 30 },
  }),
  control('RFC 9111 §4.2.1', 'of two the first counts', 'max-age=1, max-age=3600', 'validate', {
    next: { after: 30 },
  }),
  {
    section: 'RFC 9111 §4.2.1',
    says: 'of two lines the first counts',
    origin: { headers: ['Cache-Control: max-age=1', 'Cache-Control: max-age=3600', validator] },
    next: { after: 30 },
    expect: 'validate',
  },
  {
    section: 'RFC 9110 §5.3',
    says: 'lines are joined',
    origin: { headers: ['Cache-Control: max-age=3600', 'Cache-Control: s-maxage=1', validator] },
    next: { after: 30 },
    expect: 'validate',
  },
  control('RFC 9110 §5.6.1', 'empty members are skipped', ', ,max-age=3600,, ,', 'hit'),
  control('RFC 9110 §5.6.1', 'tabs around members', '\tmax-age=3600\t,\tpublic', 'hit'),
  control('RFC 9111 §5.2.3', 'unknown directives are ignored', 'foobar, max-age=3600, x=y', 'hit'),
  control(
    'RFC 9110 §5.6.4',
    'a directive inside a quoted string is none',
    'x="max-age=3600", max-age=1',
    'validate',
    { next: { after: 2 } },
  ),
  control('RFC 9110 §5.6.4', 'neither behind', 'max-age=1, x="max-age=3600"', 'validate', {
    next: { after: 2 },
  }),
  control(
    'RFC 9110 §5.6.4',
    'an escaped quote does not end the string',
    'x="a\\", no-store, \\"b", max-age=3600',
    'hit',
  ),
  control(
    'RFC 9110 §5.6.4',
    'a string that does not end forbids storing',
    'x="max-age=3600, max-age=60',
    'forward',
  ),
];

const ages: Row[] = (
  [
    ['7200', 'validate', 'an age above the lifetime'],
    ['3599', 'hit', 'an age just below it'],
    ['3600', 'validate', 'an age equal to it'],
    ['0', 'hit', 'zero'],
    ['abc', 'hit', 'not a number: ignored'],
    ['-7200', 'hit', 'signed: ignored'],
    ['7200.0', 'hit', 'a fraction: ignored'],
    ['"7200"', 'hit', 'quoted: ignored'],
    ['', 'hit', 'empty: ignored'],
    ['7200;foo=bar', 'hit', 'with a parameter: ignored'],
    ['2147483647', 'validate', '2^31 - 1'],
    ['2147483648', 'validate', '2^31'],
    ['99999999999999999999', 'validate', 'overflowing'],
    ['7200, 0', 'validate', 'of a list the first counts'],
    ['0, 7200', 'hit', 'of a list the first counts'],
  ] as const
).map(([age, expect, says]) => ({
  section: 'RFC 9111 §5.1',
  says: `Age: ${age} — ${says}`,
  origin: { headers: [...fresh, `Date: ${date(0)}`, `Age: ${age}`] },
  expect,
}));

const arithmetic: Row[] = [
  {
    section: 'RFC 9111 §5.1',
    says: 'of two lines of Age the first counts (old)',
    origin: { headers: [...fresh, 'Age: 7200', 'Age: 0'] },
    expect: 'validate',
  },
  {
    section: 'RFC 9111 §5.1',
    says: 'of two lines of Age the first counts (young)',
    origin: { headers: [...fresh, 'Age: 0', 'Age: 7200'] },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §4.2.3',
    says: 'Age from upstream adds to the time here',
    origin: { headers: ['Cache-Control: max-age=100', 'Age: 60', validator] },
    next: { after: 41 },
    expect: 'validate',
  },
  {
    section: 'RFC 9111 §4.2.3',
    says: 'apparent age counts when Date lies behind',
    origin: { headers: ['Cache-Control: max-age=100', `Date: ${date(-101)}`, validator] },
    expect: 'validate',
  },
  {
    section: 'RFC 9111 §4.2.3',
    says: 'the larger of apparent age and Age counts, not their sum',
    origin: { headers: ['Cache-Control: max-age=100', `Date: ${date(-60)}`, 'Age: 60'] },
    next: { after: 30 },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §4.2.3',
    says: 'a Date in the future makes nothing younger than new',
    origin: { headers: ['Cache-Control: max-age=10', `Date: ${date(500)}`, validator] },
    next: { after: 11 },
    expect: 'validate',
  },
  {
    section: 'RFC 9111 §4',
    says: 'Age on a hit is the time since it was made, in whole seconds',
    origin: { headers: ['Cache-Control: max-age=100', `Date: ${date(0)}`, 'Age: 5'] },
    next: { after: 7 },
    expect: ({ responses }) => assert.equal(responses[1]!.header('age'), '12'),
  },
  {
    section: 'RFC 9111 §5.1',
    says: 'Age is not stored but computed anew',
    origin: { headers: ['Cache-Control: max-age=100', 'Age: 5'] },
    next: [{ after: 3 }, { after: 4 }],
    expect: ({ responses }) => {
      const ages = responses[2]!.headers.filter(
        (_, i) => responses[2]!.headers[i - 1]?.toLowerCase() === 'age',
      );
      assert.deepEqual(ages, ['12']);
    },
  },
  {
    section: 'RFC 9110 §6.6.1',
    says: 'Date stays what the origin said',
    origin: {
      headers: [
        'Cache-Control: max-age=100',
        'Date: Thu, 15 Jan 2026 11:59:58 GMT',
        'Cache-Control: s-maxage=9999999',
      ],
    },
    next: { after: 7 },
    expect: ({ responses }) => assert.equal(responses[1]!.header('date'), 'Thu, 15 Jan 2026 11:59:58 GMT'),
  },
  {
    section: 'RFC 9110 §6.6.1',
    says: 'a response without a Date is stored with the time of its receipt',
    origin: { headers: ['Cache-Control: max-age=100'] },
    next: { after: 7 },
    expect: ({ responses }) => assert.match(responses[1]!.header('date') ?? '', / 2026 .* GMT$/),
  },
  {
    section: 'RFC 9111 §5.3',
    says: 'Expires is passed on as it was',
    origin: { headers: ['Expires: Thu, 15 Jan 2037 12:00:00 GMT'] },
    expect: ({ responses }) => assert.equal(responses[1]!.header('expires'), 'Thu, 15 Jan 2037 12:00:00 GMT'),
  },
];

const day = 86_400;
const heuristics: Row[] = [
  ...[200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501].map(
    (status): Row => ({
      section: 'RFC 9110 §15.1',
      says: `${status} may be given heuristic freshness`,
      origin: { status, headers: [`Last-Modified: ${date(-10 * day)}`, `Date: ${date(0)}`] },
      next: { after: 3600 },
      expect: 'hit',
    }),
  ),
  ...[201, 202, 299, 302, 303, 307, 400, 401, 403, 409, 418, 429, 500, 502, 503, 504, 599].map(
    (status): Row => ({
      section: 'RFC 9110 §15.1',
      says: `${status} may not`,
      origin: { status, headers: [`Last-Modified: ${date(-10 * day)}`, `Date: ${date(0)}`] },
      expect: 'forward',
    }),
  ),
  {
    section: 'RFC 9111 §5.2.2.9',
    says: 'public permits it for any code',
    origin: { status: 599, headers: ['Cache-Control: public', `Last-Modified: ${date(-10 * day)}`] },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §4.2.2',
    says: 'a tenth of the time since the last change',
    origin: { headers: [`Last-Modified: ${date(-1000)}`, `Date: ${date(0)}`] },
    next: { after: 99 },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §4.2.2',
    says: 'no more than that',
    origin: { headers: [`Last-Modified: ${date(-1000)}`, `Date: ${date(0)}`] },
    next: { after: 100 },
    expect: 'validate',
  },
  {
    section: 'RFC 9111 §4.2.2',
    says: 'a day at most',
    origin: { headers: [`Last-Modified: ${date(-1000 * day)}`, `Date: ${date(0)}`] },
    next: { after: day },
    expect: 'validate',
  },
  {
    section: 'RFC 9111 §4.2.2',
    says: 'not where there is an explicit time',
    origin: { headers: ['Cache-Control: max-age=1', `Last-Modified: ${date(-10 * day)}`] },
    next: { after: 2 },
    expect: 'validate',
  },
  {
    section: 'RFC 9111 §4.2.2',
    says: 'not without Last-Modified',
    origin: { headers: [validator] },
    expect: 'validate',
  },
  {
    section: 'RFC 9111 §4.2.2',
    says: 'not from a Last-Modified in the future',
    origin: { headers: [`Last-Modified: ${date(500)}`, `Date: ${date(0)}`] },
    expect: 'validate',
  },
  {
    section: 'RFC 9111 §4.2.2',
    says: 'a configured time takes its place',
    origin: { headers: [] },
    policy: 'ttl',
    next: { after: 59 },
    expect: 'hit',
  },
  {
    section: 'RFC 9111 §4.2.2',
    says: 'and ends too',
    origin: { headers: [] },
    policy: 'ttl',
    next: { after: 60 },
    expect: 'forward',
  },
  {
    section: 'RFC 9111 §4.2.2',
    says: 'a configured time does not override an explicit one',
    origin: { headers: ['Cache-Control: max-age=1'] },
    policy: 'ttl',
    next: { after: 2 },
    expect: 'forward',
  },
  {
    section: 'RFC 9111 §4.2.2',
    says: 'a configured time is not for codes that may not be given one',
    origin: { status: 201, headers: [] },
    policy: 'ttl',
    expect: 'forward',
  },
];

runRows([...lifetimes, ...dates, ...numbers, ...ages, ...arithmetic, ...heuristics]);
