import type { ResponseFault } from '../../../../gateway/wire/http1/faults.ts';

export interface ExpectedResponse {
  readonly status?: number;
  readonly headers?: readonly string[];
  /** As stated; -1 unknown. */
  readonly bodyLength?: number;
  readonly body?: string;
  readonly trailers?: readonly string[];
  /** The interim statuses before it. */
  readonly interim?: readonly number[];
  readonly persistent?: boolean;
  readonly keepAliveSeconds?: number;
}

export interface ResponseCase {
  readonly raw: string;
  /** `reset`: the connection ended before the response was whole. */
  readonly verdict: ResponseFault | 'reset' | ExpectedResponse;
  readonly section: string;
  /** The method of the request. Default: GET. */
  readonly method: string;
  readonly upgradeAsked: boolean;
}

export const responseCases: ResponseCase[] = [];

function add(
  section: string,
  raw: string,
  verdict: ResponseCase['verdict'],
  method = 'GET',
  upgradeAsked = false,
): void {
  responseCases.push({ raw, verdict, section, method, upgradeAsked });
}

function head(...lines: string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** A 200 with these header lines and this body. */
function ok(lines: string[], body = ''): string {
  return head('HTTP/1.1 200 OK', ...lines) + body;
}

function chunked(body: string): string {
  return ok(['Transfer-Encoding: chunked'], body);
}

const empty = 'Content-Length: 0';

// Status line
add('RFC 9112 4', head('HTTP/1.1 200 OK', empty), { status: 200, body: '', persistent: true });
add('RFC 9112 4', head('HTTP/1.1 200 ', empty), { status: 200 });
add('RFC 9112 4', head('HTTP/1.1 200', empty), { status: 200 });
add('RFC 9112 4', head('HTTP/1.1 404 N\xf6t \tfound', empty), { status: 404 });
add('RFC 9112 4', head('HTTP/1.0 200 OK', empty), { status: 200, persistent: false });
add('RFC 9112 9.3', head('HTTP/1.0 200 OK', empty, 'Connection: keep-alive'), { persistent: true });
add('RFC 9110 15', head('HTTP/1.1 599 x', empty), { status: 599 });
add('RFC 9110 15', head('HTTP/1.1 600 x', empty), 'status_code');
add('RFC 9110 15', head('HTTP/1.1 999 x', empty), 'status_code');
for (const line of [
  'HTTP/1.1 099 x',
  'HTTP/1.1 20 x',
  'HTTP/1.1 2000 x',
  'HTTP/1.1 2a0 x',
  'HTTP/1.1  200 x',
  'HTTP/1.1\t200 x',
  'HTTP/1.2 200 x',
  'HTTP/2 200',
  'HTTP/2.0 200 x',
  'HTTP/0.9 200 x',
  'http/1.1 200 x',
  'HTTP/1.1 -20 x',
  'HTTP/1.1 200x',
  'ICY 200 OK',
  ' HTTP/1.1 200 OK',
  'HTTP 200 OK',
  '<html>',
  'HTTP/1.1 200 a\0b',
  'HTTP/1.1 200 a\x7f',
])
  add('RFC 9112 4', head(line, empty), 'status_line');
add('RFC 9112 2.2', `HTTP/1.1 200 OK\n${empty}\r\n\r\n`, 'bare_lf');
add('RFC 9112 2.2', `HTTP/1.1 200 OK\r${empty}\r\n\r\n`, 'bare_cr');
add('RFC 9112 2.2', `\r\nHTTP/1.1 200 OK\r\n${empty}\r\n\r\n`, 'status_line');
add('RFC 9112 4', '\x15\x03\x03\x00\x02\x02\x16', 'status_line');

// Fields: response splitting and what else could be read in two ways
add('RFC 9112 5', ok([empty, 'X: y', 'x: z']), { headers: ['x', 'y', 'x', 'z'] });
add('RFC 9110 5.5', ok([empty, 'X: \xe9\t!']), { headers: ['x', '\xe9\t!'] });
add('RFC 9112 5.2', ok([empty, 'X: y', ' z']), 'obs_fold');
add('RFC 9112 5.1', ok(['Content-Length : 0']), 'space_before_colon');
add('RFC 9112 2.2', ok([], '').replace('\r\n\r\n', '\r\n X: y\r\n\r\n'), 'leading_space');
add('RFC 9112 2.2', ok([empty, 'Location: /a\nSet-Cookie: b=c']), 'bare_lf');
add('RFC 9112 2.2', ok([empty, 'Location: /a\rSet-Cookie: b=c']), 'bare_cr');
add('RFC 9110 5.5', ok([empty, 'X: a\0b']), 'field_value');
add('RFC 9110 5.5', ok([empty, 'X: a\x08b']), 'field_value');
add('RFC 9110 5.1', ok([empty, 'X Y: z']), 'space_before_colon');
add('RFC 9110 5.1', ok([empty, 'X(: z']), 'field_name');
add('RFC 9110 5.1', ok([empty, ': z']), 'field_name');
add('RFC 9110 5.1', ok([empty, 'no colon']), 'space_before_colon');
add('RFC 9112 2.2', `${ok([empty]).slice(0, -2)}\n`, 'bare_lf');
add('RFC 6585 5', ok([`X: ${'a'.repeat(70000)}`]), 'head_too_large');
add('RFC 6585 5', ok(Array.from({ length: 257 }, (_, i) => `x${i}: y`)), 'too_many_fields');

// Framing
add('RFC 9112 6.2', ok(['Content-Length: 3'], 'abc'), { body: 'abc', bodyLength: 3, headers: [] });
add('RFC 9112 6.2', ok(['Content-Length: 3'], 'ab'), 'reset');
add('RFC 9112 6.3', ok([], 'abc'), { body: 'abc', bodyLength: -1, persistent: false });
add('RFC 9112 6.3', ok([], ''), { body: '', bodyLength: -1, persistent: false });
add('RFC 9112 6.3', ok(['Content-Length: 3', 'Content-Length: 3'], 'abc'), 'length_repeated');
add('RFC 9112 6.3', ok(['Content-Length: 3', 'Content-Length: 4'], 'abcd'), 'length_repeated');
for (const value of ['', '3, 3', '-1', '+3', '3x', '0x3', '3 3', '99999999999999999999'])
  add('RFC 9110 8.6', ok([`Content-Length: ${value}`], 'abc'), 'length_invalid');
add(
  'RFC 9112 6.1',
  ok(['Content-Length: 3', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
  'length_with_coding',
);
add('RFC 9112 6.1', head('HTTP/1.0 200 OK', 'Transfer-Encoding: chunked'), 'coding_in_old_version');
add('RFC 9112 6.1', ok(['Transfer-Encoding: gzip, chunked'], '0\r\n\r\n'), 'coding_unsupported');
for (const value of ['gzip', 'identity', 'chunked, chunked', 'xchunked', ''])
  add('RFC 9112 6.3', ok([`Transfer-Encoding: ${value}`]), 'coding_invalid');
add('RFC 9112 7.1', chunked('3\r\nabc\r\n0\r\n\r\n'), { body: 'abc', bodyLength: -1, persistent: true });
add('RFC 9112 7.1', chunked('3;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n'), {
  body: 'abc',
  trailers: ['x-sum', '1'],
});
add('RFC 9112 7.1', chunked('3\r\nabc\r\n'), 'reset');
add('RFC 9112 7.1', chunked('3\r\nabcd\r\n0\r\n\r\n'), 'chunk_end');
add('RFC 9112 7.1', chunked('x\r\nabc\r\n0\r\n\r\n'), 'chunk_size');
add('RFC 9112 7.1', chunked('3\nabc\r\n0\r\n\r\n'), 'bare_lf');
add('RFC 9112 7.1', chunked('3 \r\nabc\r\n0\r\n\r\n'), 'chunk_extension');
add('RFC 9110 6.5.1', chunked('0\r\nContent-Length: 1\r\n\r\n'), 'trailer_forbidden');
add('RFC 9110 9.3.2', ok(['Content-Length: 3']), { body: '', bodyLength: 3, persistent: true }, 'HEAD');
add(
  'RFC 9110 9.3.2',
  ok(['Transfer-Encoding: chunked']),
  { body: '', bodyLength: -1, persistent: true },
  'HEAD',
);
add('RFC 9110 9.3.2', ok([]), { body: '', bodyLength: -1, persistent: true }, 'HEAD');
add('RFC 9110 15.4.5', head('HTTP/1.1 304 x', 'Content-Length: 9', 'ETag: "a"'), {
  status: 304,
  body: '',
  bodyLength: 9,
  headers: ['etag', '"a"'],
});
add('RFC 9110 15.3.5', head('HTTP/1.1 204 x'), { status: 204, body: '', persistent: true });
add('RFC 9110 15.3.5', head('HTTP/1.1 204 x', empty), { status: 204, body: '' });
add('RFC 9110 8.6', head('HTTP/1.1 204 x', 'Content-Length: 3'), 'length_invalid');
add('RFC 9112 6.1', head('HTTP/1.1 204 x', 'Transfer-Encoding: chunked'), 'coding_invalid');

// Interim responses
add('RFC 9110 15.2.1', head('HTTP/1.1 100 Continue') + ok([empty]), { status: 200, interim: [100] });
add('RFC 8297 2', head('HTTP/1.1 103 x', 'Link: </a>') + head('HTTP/1.1 103 x') + ok([empty]), {
  interim: [103, 103],
});
add('RFC 9110 15.2', head('HTTP/1.1 102 x', 'Content-Length: 3'), 'length_invalid');
add('RFC 9112 6.1', head('HTTP/1.1 103 x', 'Transfer-Encoding: chunked'), 'coding_invalid');
add('RFC 9110 15.2', head('HTTP/1.1 103 x').repeat(40) + ok([empty]), 'too_much_information');
add('RFC 9110 7.8', head('HTTP/1.1 101 x', 'Connection: upgrade', 'Upgrade: x'), 'unasked_upgrade');
add('RFC 9110 7.8', head('HTTP/1.1 101 x', 'Upgrade: x'), 'unasked_upgrade', 'GET', true);
add(
  'RFC 9110 7.8',
  head('HTTP/1.1 101 x', 'Connection: upgrade', 'Upgrade: x'),
  { status: 101, headers: ['upgrade', 'x'] },
  'GET',
  true,
);

// Hop-by-hop fields and persistence
add('RFC 9112 9.3', ok([empty, 'Connection: close']), { persistent: false, headers: [] });
add('RFC 9110 7.6.1', ok([empty, 'Connection: x-a, close', 'X-A: 1', 'X-B: 2']), {
  persistent: false,
  headers: ['x-b', '2'],
});
add(
  'RFC 9110 7.6.1',
  ok([
    empty,
    'Keep-Alive: timeout=5, max=9',
    'Proxy-Connection: a',
    'Proxy-Authenticate: b',
    'TE: a',
    'Trailer: b',
    'Upgrade: c',
    'X: d',
  ]),
  { headers: ['x', 'd'], keepAliveSeconds: 5 },
);
add('RFC 9110 7.6.1', ok([empty, 'Connection: a b']), 'connection_invalid');
add('RFC 9110 7.8', head('HTTP/1.1 426 x', empty, 'Connection: upgrade', 'Upgrade: x'), {
  status: 426,
  headers: [],
});
add('RFC 9112 8', 'HTTP/1.1 20', 'reset');
add('RFC 9112 8', '', 'reset');
