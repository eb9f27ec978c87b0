import assert from 'node:assert/strict';
import { type Answer, type Row, runRows } from './rows.ts';

const modified = 'Thu, 15 Jan 2026 10:00:00 GMT';
const whole: Answer = {
  headers: ['Cache-Control: max-age=100', 'ETag: "v1"', `Last-Modified: ${modified}`, 'Content-Type: text/a'],
  body: '0123456789',
};

/** The second request has a Range; what is stored answers it. */
function range(
  says: string,
  lines: readonly string[],
  status: number,
  body: string,
  contentRange?: string,
  section = 'RFC 9110 §14.2',
  origin = whole,
): Row {
  return {
    section,
    says: `${lines.join(' + ')} — ${says}`,
    origin,
    next: { headers: lines },
    expect: ({ responses: [, second], requests }) => {
      assert.equal(requests.length, 1, 'the origin must not be asked');
      assert.equal(second!.status, status);
      assert.equal(second!.body.toString(), body);
      assert.equal(second!.header('content-range'), contentRange);
      assert.match(second!.header('cache-status')!, /hit/);
    },
  };
}

const all = '0123456789';
runRows([
  range('the first two', ['Range: bytes=0-1'], 206, '01', 'bytes 0-1/10'),
  range('from the middle', ['Range: bytes=4-6'], 206, '456', 'bytes 4-6/10'),
  range('to the end', ['Range: bytes=7-'], 206, '789', 'bytes 7-9/10'),
  range('the last one', ['Range: bytes=-1'], 206, '9', 'bytes 9-9/10'),
  range('one byte', ['Range: bytes=5-5'], 206, '5', 'bytes 5-5/10'),
  range('beyond the end is cut', ['Range: bytes=8-99'], 206, '89', 'bytes 8-9/10'),
  range('a suffix longer than all is all', ['Range: bytes=-99'], 206, all, 'bytes 0-9/10'),
  range('the unit in any case', ['Range: Bytes=0-1'], 206, '01', 'bytes 0-1/10', 'RFC 9110 §14.1'),
  range('behind the end', ['Range: bytes=10-'], 416, '', 'bytes */10', 'RFC 9110 §15.5.17'),
  range(
    'far behind the end',
    ['Range: bytes=99999999999999999999-'],
    416,
    '',
    'bytes */10',
    'RFC 9110 §15.5.17',
  ),
  range('a suffix of nothing', ['Range: bytes=-0'], 416, '', 'bytes */10', 'RFC 9110 §14.1.2'),
  range('another unit is ignored', ['Range: items=0-1'], 200, all),
  range('backwards is invalid and ignored', ['Range: bytes=5-2'], 200, all, undefined, 'RFC 9110 §14.1.1'),
  range('no numbers', ['Range: bytes=-'], 200, all, undefined, 'RFC 9110 §14.1.1'),
  range('letters', ['Range: bytes=a-b'], 200, all, undefined, 'RFC 9110 §14.1.1'),
  range('a sign', ['Range: bytes=+1-2'], 200, all, undefined, 'RFC 9110 §14.1.1'),
  range('spaces inside', ['Range: bytes=0 - 1'], 200, all, undefined, 'RFC 9110 §14.1.1'),
  range('nothing', ['Range: bytes='], 200, all, undefined, 'RFC 9110 §14.1.1'),
  range('overlapping ones are ignored', ['Range: bytes=0-5,3-7'], 200, all),
  range('unordered ones are ignored', ['Range: bytes=5-6,0-1'], 200, all),
  range('one of two can be satisfied', ['Range: bytes=2-3,50-60'], 206, '23', 'bytes 2-3/10'),
  range(
    'with a matching tag',
    ['Range: bytes=0-1', 'If-Range: "v1"'],
    206,
    '01',
    'bytes 0-1/10',
    'RFC 9110 §13.1.5',
  ),
  range(
    'with another tag: the whole',
    ['Range: bytes=0-1', 'If-Range: "v2"'],
    200,
    all,
    undefined,
    'RFC 9110 §13.1.5',
  ),
  range(
    'with a weak tag: the whole',
    ['Range: bytes=0-1', 'If-Range: W/"v1"'],
    200,
    all,
    undefined,
    'RFC 9110 §13.1.5',
  ),
  range(
    'with the date of the last change',
    ['Range: bytes=0-1', `If-Range: ${modified}`],
    206,
    '01',
    'bytes 0-1/10',
    'RFC 9110 §13.1.5',
  ),
  range(
    'with a later date: the whole',
    ['Range: bytes=0-1', 'If-Range: Thu, 15 Jan 2026 11:00:00 GMT'],
    200,
    all,
    undefined,
    'RFC 9110 §13.1.5',
  ),
  range(
    'with garbage: the whole',
    ['Range: bytes=0-1', 'If-Range: soon'],
    200,
    all,
    undefined,
    'RFC 9110 §13.1.5',
  ),
  range(
    'a condition that is not modified comes first',
    ['Range: bytes=0-1', 'If-None-Match: "v1"'],
    304,
    '',
    undefined,
    'RFC 9110 §13.2.2',
  ),
  range('only of a 200', ['Range: bytes=0-1'], 404, all, undefined, 'RFC 9110 §14.2', {
    ...whole,
    status: 404,
  }),
  {
    section: 'RFC 9110 §14.6',
    says: 'two ranges are a multipart answer',
    origin: whole,
    next: { headers: ['Range: bytes=0-1,-2'] },
    expect: ({ responses: [, second] }) => {
      assert.equal(second!.status, 206);
      const boundary = /^multipart\/byteranges; boundary=(\S+)$/.exec(second!.header('content-type')!)![1]!;
      assert.equal(
        second!.body.toString(),
        `--${boundary}\r\nContent-Type: text/a\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--${boundary}\r\nContent-Type: text/a\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n--${boundary}--\r\n`,
      );
      assert.equal(second!.header('content-range'), undefined);
    },
  },
  {
    section: 'RFC 9110 §14.2',
    says: 'a HEAD with Range is answered without',
    origin: whole,
    next: { method: 'HEAD', headers: ['Range: bytes=0-1'] },
    expect: ({ responses: [, second] }) => {
      assert.equal(second!.status, 200);
      assert.equal(second!.header('content-length'), '10');
    },
  },
  {
    section: 'RFC 9111 §3.3',
    says: 'a Range that nothing stored can answer goes to the origin as it is, and is not stored',
    origin: {
      status: 206,
      headers: ['Cache-Control: max-age=100', 'Content-Range: bytes 0-1/10'],
      body: '01',
    },
    first: { headers: ['Range: bytes=0-1'] },
    next: { headers: ['Range: bytes=0-1'] },
    expect: ({ requests, responses }) => {
      assert.deepEqual(
        requests.map((request) => request.header('range')),
        ['bytes=0-1', 'bytes=0-1'],
      );
      assert.equal(responses[1]!.status, 206);
    },
  },
  {
    section: 'RFC 9111 §4.3.1',
    says: 'a stale whole is validated, then the range is served',
    origin: [whole, { status: 304, headers: ['ETag: "v1"'] }],
    next: { after: 101, headers: ['Range: bytes=0-1'] },
    expect: ({ requests, responses }) => {
      assert.equal(requests[1]!.header('range'), undefined);
      assert.equal(requests[1]!.header('if-none-match'), '"v1"');
      assert.equal(responses[1]!.status, 206);
      assert.equal(responses[1]!.body.toString(), '01');
    },
  },
]);
