import assert from 'node:assert/strict';
import { type Answer, type Ask, type Row, runRows } from './rows.ts';

const stored: Answer = { headers: ['Cache-Control: max-age=1000'], body: 'stored' };
const empty = ['Content-Length: 0'];

/** GET, then an unsafe request, then GET again: does it reach the origin? */
function after(
  says: string,
  unsafe: Ask,
  answer: Answer,
  invalidated: boolean,
  again: Ask = {},
  section = 'RFC 9111 §4.4',
): Row {
  return {
    section,
    says,
    first: again,
    origin: [stored, answer, { ...stored, body: 'new' }],
    next: [unsafe, again],
    expect: ({ responses, requests }) => {
      assert.equal(requests.length, invalidated ? 3 : 2);
      assert.equal(responses[2]!.body.toString(), invalidated ? 'new' : 'stored');
    },
  };
}

const methods = ['POST', 'PUT', 'PATCH', 'DELETE'];
runRows([
  ...methods.map((method) =>
    after(
      `${method} that succeeds invalidates its target`,
      { method, headers: empty },
      { status: 204 },
      true,
    ),
  ),
  ...methods.map((method) =>
    after(`${method} that is redirected does`, { method, headers: empty }, { status: 303 }, true),
  ),
  ...methods.map((method) =>
    after(`${method} that is refused does not`, { method, headers: empty }, { status: 403 }, false),
  ),
  ...methods.map((method) =>
    after(`${method} that fails does not`, { method, headers: empty }, { status: 500 }, false),
  ),
  after('a method of unknown safety does', { method: 'REPORT', headers: empty }, { status: 200 }, true),
  after('GET does not', { headers: ['Cache-Control: no-store'] }, { status: 200 }, false),
  after('HEAD does not', { method: 'HEAD', headers: ['Cache-Control: no-cache'] }, { status: 200 }, false),
  after('OPTIONS does not', { method: 'OPTIONS' }, { status: 200 }, false),
  after(
    'only of its own query',
    { method: 'POST', target: '{path}?a=1', headers: empty },
    { status: 200 },
    false,
  ),
  after('with its query', { method: 'POST', target: '{path}?a=1', headers: empty }, { status: 200 }, true, {
    target: '{path}?a=1',
  }),
  after(
    'Location on the same origin is invalidated',
    { method: 'POST', headers: empty },
    { status: 201, headers: ['Location: http://api.test{path}?x=1'] },
    true,
    { target: '{path}?x=1' },
  ),
  after(
    'a relative Location too',
    { method: 'POST', headers: empty },
    { status: 201, headers: ['Location: ?x=1'] },
    true,
    { target: '{path}?x=1' },
  ),
  after(
    'Content-Location too',
    { method: 'POST', headers: empty },
    { status: 200, headers: ['Content-Location: ?x=1'] },
    true,
    { target: '{path}?x=1' },
  ),
  after(
    'not on another origin',
    { method: 'POST', headers: empty },
    { status: 201, headers: ['Location: http://evil.test{path}?x=1'] },
    false,
    { target: '{path}?x=1' },
  ),
  after(
    'not on another port',
    { method: 'POST', headers: empty },
    { status: 201, headers: ['Location: http://api.test:81{path}?x=1'] },
    false,
    { target: '{path}?x=1' },
  ),
  after(
    'not when the request fails',
    { method: 'POST', headers: empty },
    { status: 400, headers: ['Location: ?x=1'] },
    false,
    { target: '{path}?x=1' },
  ),
  after(
    'a Location that is no address does no harm',
    { method: 'POST', headers: empty },
    { status: 201, headers: ['Location: http://['] },
    true,
  ),
  {
    section: 'RFC 9111 §4.4',
    says: 'all variants go',
    origin: [
      { ...stored, headers: [...stored.headers!, 'Vary: Foo'] },
      { ...stored, headers: [...stored.headers!, 'Vary: Foo'] },
      { status: 204 },
      stored,
    ],
    first: { headers: ['Foo: 1'] },
    next: [
      { headers: ['Foo: 2'] },
      { method: 'DELETE', headers: empty },
      { headers: ['Foo: 1'] },
      { headers: ['Foo: 2'] },
    ],
    expect: ({ requests }) => assert.ok(requests.length >= 4),
  },
  {
    section: 'key',
    says: 'a route that sorts its queries is invalidated by any order of them',
    policy: 'sorted',
    origin: [stored, { status: 204 }, { ...stored, body: 'new' }],
    first: { target: '{path}?a=1&b=2' },
    next: [{ method: 'PUT', target: '{path}?b=2&a=1', headers: empty }, { target: '{path}?a=1&b=2' }],
    expect: ({ responses }) => assert.equal(responses[2]!.body.toString(), 'new'),
  },
]);
