import type { RequestFault } from '../../../../gateway/wire/http1/faults.ts';

/** What a well-formed request has to be read as; fields left out are not compared. */
export interface Expected {
  readonly method?: string;
  readonly target?: string;
  readonly host?: string;
  readonly httpVersion?: '1.0' | '1.1';
  readonly headers?: readonly string[];
  readonly body?: string;
  readonly trailers?: readonly string[];
  readonly upgrade?: string | null;
  readonly connectionFields?: readonly string[];
  readonly expectsContinue?: boolean;
  /** Whether the connection may carry another request. */
  readonly persistent?: boolean;
}

export interface RequestCase {
  readonly raw: string;
  readonly verdict: RequestFault | Expected;
  readonly section: string;
}

export const requestCases: RequestCase[] = [];

function add(section: string, raw: string, verdict: RequestFault | Expected): void {
  requestCases.push({ raw, verdict, section });
}

/** A head of these lines. */
function head(...lines: string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** A GET with one more header line. */
function get(...lines: string[]): string {
  return head('GET / HTTP/1.1', 'Host: a', ...lines);
}

function line(requestLine: string): string {
  return head(requestLine, 'Host: a');
}

function post(lines: string[], body: string): string {
  return `${head('POST /p HTTP/1.1', 'Host: a', ...lines)}${body}`;
}

function chunked(body: string): string {
  return post(['Transfer-Encoding: chunked'], body);
}

// Request line
for (const method of [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'PROPFIND',
  'M-SEARCH',
  'get',
  "!#$%&'*+.^_`|~9",
])
  add('RFC 9110 9.1', line(`${method} / HTTP/1.1`), { method, target: '/' });
add('RFC 9110 9.1', line(`${'M'.repeat(32)} / HTTP/1.1`), { method: 'M'.repeat(32) });
add('RFC 9112 3', line(`${'M'.repeat(33)} / HTTP/1.1`), 'method_too_long');
add('RFC 9112 3', 'A'.repeat(400), 'method_too_long');
add('RFC 9110 9.3.6', line('CONNECT a:443 HTTP/1.1'), 'method_unsupported');
add('RFC 9110 9.3.6', line('CONNECT / HTTP/1.1'), 'method_unsupported');
add('RFC 9110 9.3.8', line('TRACE / HTTP/1.1'), 'method_unsupported');
add('RFC 9112 3.1', line('GE(T / HTTP/1.1'), 'request_line');
add('RFC 9112 3.1', line('GE\0T / HTTP/1.1'), 'request_line');
add('RFC 9112 3.1', line('G\xc9T / HTTP/1.1'), 'request_line');
add('RFC 9112 3.1', line(' GET / HTTP/1.1'), 'request_line');
add('RFC 9112 3.1', line('\tGET / HTTP/1.1'), 'request_line');
add('RFC 9112 3', line('GET\t/ HTTP/1.1'), 'request_line');
add('RFC 9112 3', line('GET  / HTTP/1.1'), 'request_line');
add('RFC 9112 3', line('GET /  HTTP/1.1'), 'version_invalid');
add('RFC 9112 3', line('GET / HTTP/1.1 '), 'version_invalid');
add('RFC 9112 3', line('GET /a b HTTP/1.1'), 'version_invalid');
add('RFC 9112 3', line('GET /a\tHTTP/1.1'), 'target_invalid');
add('RFC 9112 3', line('GET HTTP/1.1'), 'target_invalid');
add('RFC 9112 3', 'GET\r\n\r\n', 'request_line');
add('RFC 1945 4.1', 'GET /\r\n', 'target_invalid');
add('RFC 9112 3', '{"json":1}\r\n', 'request_line');
add('RFC 9112 3', '\x16\x03\x01\x02\x00\x01\x00', 'request_line');
add('RFC 9112 2.2', '\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', { method: 'GET', target: '/' });
add('RFC 9112 2.2', '\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', 'request_line');
add('RFC 9112 2.2', '\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', 'bare_lf');
add('RFC 9112 2.2', '\rGET / HTTP/1.1\r\nHost: a\r\n\r\n', 'bare_cr');
add('RFC 9112 2.2', 'GET / HTTP/1.1\nHost: a\r\n\r\n', 'bare_lf');
add('RFC 9112 2.2', 'GET / HTTP/1.1\rHost: a\r\n\r\n', 'bare_cr');
add('RFC 9112 2.2', 'GET /\nHost: a\r\n\r\n', 'bare_lf');
add('RFC 9112 2.2', 'GET\n/ HTTP/1.1\r\n\r\n', 'bare_lf');

// Version
add('RFC 9112 2.3', line('GET / HTTP/1.0'), { httpVersion: '1.0', persistent: false });
add('RFC 9112 2.3', line('GET / HTTP/1.1'), { httpVersion: '1.1', persistent: true });
for (const version of ['HTTP/1.2', 'HTTP/1.9', 'HTTP/2.0', 'HTTP/3.0', 'HTTP/0.9', 'HTTP/9.9'])
  add('RFC 9110 15.6.6', line(`GET / ${version}`), 'version_unsupported');
for (const version of [
  'http/1.1',
  'Http/1.1',
  'HTTP/1',
  'HTTP/11',
  'HTTP/1.10',
  'HTTP/01.1',
  'HTTP/1,1',
  'HTTP /1.1',
  'HTTPS/1.1',
  'HTTP/1.x',
  'ICY',
  'HTTP/-1.1',
  'HTTP/1.\0',
])
  add('RFC 9112 2.3', line(`GET / ${version}`), 'version_invalid');

// Target
add('RFC 9112 3.2.1', line('GET /a/b?c=d&e HTTP/1.1'), { target: '/a/b?c=d&e' });
add('RFC 9112 3.2.1', line('GET //a HTTP/1.1'), { target: '//a' });
add('RFC 9112 3.2.1', line('GET /?? HTTP/1.1'), { target: '/??' });
add('RFC 3986 3.3', line("GET /-._~!$&'()*+,;=:@ HTTP/1.1"), { target: "/-._~!$&'()*+,;=:@" });
add('RFC 3986 2.1', line('GET /%41%2f%e2%82%AC HTTP/1.1'), { target: '/%41%2f%e2%82%AC' });
add('URL query state', line('GET /?page[size]=1|2 HTTP/1.1'), { target: '/?page[size]=1|2' });
add('URL query state', line('GET /?a={b}^`\\ HTTP/1.1'), { target: '/?a={b}^`\\' });
for (const target of [
  '/%',
  '/%4',
  '/%zz',
  '/a%2',
  '/?%',
  '/?a=%g1',
  '/[a]',
  '/{a}',
  '/a|b',
  '/a^b',
  '/a`b',
  '/a\\b',
  '/a#b',
  '/?a#b',
  '/a"b',
  '/<a>',
  '/?a="b"',
  '/?<',
  '/a\x7f',
  '/\x01',
  '/a\0',
  '/\xe9',
  '/?\xff',
  'a',
  'a/b',
  '*',
  '?a=b',
  '../a',
  './a',
])
  add('RFC 3986 3.3', line(`GET ${target} HTTP/1.1`), 'target_invalid');
add('RFC 9112 3.2.4', line('OPTIONS * HTTP/1.1'), { method: 'OPTIONS', target: '*' });
add('RFC 9112 3.2.4', line('OPTIONS ** HTTP/1.1'), 'target_invalid');
add('RFC 9112 3.2.2', line('GET http://a/b?c HTTP/1.1'), { target: '/b?c', host: 'a' });
add('RFC 9112 3.2.2', line('GET HTTP://A/b HTTP/1.1'), { target: '/b', host: 'a' });
add('RFC 9112 3.2.2', line('GET https://a HTTP/1.1'), { target: '/', host: 'a' });
add('RFC 9112 3.2.2', line('GET http://a?x HTTP/1.1'), { target: '/?x', host: 'a' });
add('RFC 9112 3.2.2', head('GET http://a:8080/ HTTP/1.1', 'Host: a:8080'), { target: '/', host: 'a:8080' });
add('RFC 9112 3.2.2', line('GET http://b/ HTTP/1.1'), 'host_mismatch');
add('RFC 9112 3.2.2', line('GET http://a:80/ HTTP/1.1'), 'host_mismatch');
add('RFC 9112 3.2.2', head('GET http://a/ HTTP/1.0'), { target: '/', host: 'a' });
add('RFC 9112 3.2.2', head('GET http://a/ HTTP/1.1'), 'host_missing');
for (const target of [
  'http://',
  'http:///x',
  'http://u@a/',
  'http://a:b/',
  'http://a:99999/',
  'http:/a',
  'http:a',
  'ftp://a/',
  'ws://a/',
  'a:80',
  'http://a/#',
  'http://a b/',
  'http://[::1/',
  'http://a/%',
])
  add(
    'RFC 9112 3.2.2',
    line(`GET ${target} HTTP/1.1`),
    target === 'http://a b/' ? 'version_invalid' : 'target_invalid',
  );
add('RFC 9112 3', line(`GET /${'a'.repeat(8000)} HTTP/1.1`), { method: 'GET' });
add('RFC 9112 3', line(`GET /${'a'.repeat(8200)} HTTP/1.1`), 'target_too_long');
add('RFC 9112 3', `GET /${'a'.repeat(8200)}`, 'target_too_long');
add('RFC 9112 3', line(`GET /?${'a'.repeat(40000)} HTTP/1.1`), 'target_too_long');

// Fields
add('RFC 9112 5', get('X: y'), { headers: ['host', 'a', 'x', 'y'] });
add('RFC 9112 5', get('X-UPPER-lower_9: y'), { headers: ['host', 'a', 'x-upper-lower_9', 'y'] });
add('RFC 9112 5', get('X:y'), { headers: ['host', 'a', 'x', 'y'] });
add('RFC 9112 5', get('X: \t y \t '), { headers: ['host', 'a', 'x', 'y'] });
add('RFC 9112 5', get('X:'), { headers: ['host', 'a', 'x', ''] });
add('RFC 9112 5', get('X:   '), { headers: ['host', 'a', 'x', ''] });
add('RFC 9110 5.3', get('X: 1', 'X: 2', 'x: 3'), { headers: ['host', 'a', 'x', '1', 'x', '2', 'x', '3'] });
add('RFC 9110 5.5', get('X: a\tb c'), { headers: ['host', 'a', 'x', 'a\tb c'] });
add('RFC 9110 5.5', get('X: \xe9\xff\x80'), { headers: ['host', 'a', 'x', '\xe9\xff\x80'] });
add('RFC 9110 5.5', get('X: a:b:c'), { headers: ['host', 'a', 'x', 'a:b:c'] });
add('RFC 9110 5.6.2', get("!#$%&'*+-.^_`|~: y"), { headers: ['host', 'a', "!#$%&'*+-.^_`|~", 'y'] });
add('RFC 9110 5.1', get('Content-Typ\x65: a', 'ACCEPT: b'), {
  headers: ['host', 'a', 'content-type', 'a', 'accept', 'b'],
});
for (const code of [0x00, 0x01, 0x07, 0x08, 0x0b, 0x0c, 0x0e, 0x1b, 0x1f, 0x7f])
  add('RFC 9110 5.5', get(`X: a${String.fromCharCode(code)}b`), 'field_value');
for (const name of [
  'X Y',
  'X(',
  'X"',
  'X/',
  'X[',
  'X{',
  'X,',
  'X;',
  'X=',
  'X@',
  'X\\',
  'X?',
  'X<',
  'X\0',
  'X\x7f',
  'X\xe9',
  '\xe9',
])
  add('RFC 9110 5.1', get(`${name}: y`), name === 'X Y' ? 'space_before_colon' : 'field_name');
add('RFC 9110 5.1', get(': y'), 'field_name');
add('RFC 9110 5.1', get('Xy'), 'field_name');
add('RFC 9110 5.1', get('X\rY: a'), 'field_name');
add('RFC 9112 5.1', get('X : y'), 'space_before_colon');
add('RFC 9112 5.1', get('X\t: y'), 'space_before_colon');
add('RFC 9112 5.1', head('GET / HTTP/1.1', 'Host : a'), 'space_before_colon');
add('RFC 9112 5.1', post(['Content-Length : 3'], 'abc'), 'space_before_colon');
add('RFC 9112 5.1', post(['Transfer-Encoding\t: chunked'], '0\r\n\r\n'), 'space_before_colon');
add('RFC 9112 5.2', get('X: a', ' b'), 'obs_fold');
add('RFC 9112 5.2', get('X: a', '\tb'), 'obs_fold');
add('RFC 9112 5.2', get('X: a', ' '), 'obs_fold');
add('RFC 9112 5.2', post(['Transfer-Encoding:', ' chunked'], '0\r\n\r\n'), 'obs_fold');
add('RFC 9112 2.2', head('GET / HTTP/1.1', ' Host: a'), 'leading_space');
add('RFC 9112 2.2', head('GET / HTTP/1.1', '\tX: a', 'Host: a'), 'leading_space');
add('RFC 9112 2.2', 'GET / HTTP/1.1\r\nHost: a\n\r\n', 'bare_lf');
add('RFC 9112 2.2', 'GET / HTTP/1.1\r\nHost: a\r\n\n', 'bare_lf');
add('RFC 9112 2.2', 'GET / HTTP/1.1\r\nHost: a\r\r\n\r\n', 'bare_cr');
add('RFC 9112 2.2', 'GET / HTTP/1.1\r\nHost: a\r\n\rX', 'bare_cr');
add('RFC 9112 2.2', 'GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n', 'bare_cr');
add('RFC 9112 2.2', get('X: a\nTransfer-Encoding: chunked'), 'bare_lf');
add('RFC 9112 2.2', get('X: a\rTransfer-Encoding: chunked'), 'bare_cr');
add('RFC 9112 2.2', get('X\nY: a'), 'bare_lf');
add('RFC 6585 5', get(...Array.from({ length: 127 }, (_, i) => `x${i}: y`)), { method: 'GET' });
add('RFC 6585 5', get(...Array.from({ length: 128 }, (_, i) => `x${i}: y`)), 'too_many_fields');
add('RFC 6585 5', get(`X: ${'a'.repeat(32000)}`), { method: 'GET' });
add('RFC 6585 5', get(`X: ${'a'.repeat(33000)}`), 'head_too_large');
add('RFC 6585 5', get(`${'n'.repeat(33000)}: a`), 'head_too_large');
add('RFC 6585 5', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(40000)}`, 'head_too_large');
add(
  'RFC 6585 5',
  get(...Array.from({ length: 100 }, (_, i) => `x${i}: ${'y'.repeat(400)}`)),
  'head_too_large',
);

// Host
for (const host of [
  'a',
  'example.com',
  'EXAMPLE.com:8080',
  'a.b.c.',
  '127.0.0.1',
  '127.0.0.1:1',
  '[::1]',
  '[::1]:443',
  '[2001:DB8::1]:65535',
  'a_b',
  "a!$&'()*+;=",
  '%41.example',
  'a:0',
  '-a-',
  'xn--bcher-kva.example',
])
  add('RFC 9110 7.2', head('GET / HTTP/1.1', `Host: ${host}`), { host: host.toLowerCase() });
for (const host of [
  '',
  'a b',
  'a/b',
  'a?b',
  'a#b',
  'u@a',
  'u:p@a',
  'a:',
  'a:x',
  'a:-1',
  'a:+1',
  'a:65536',
  'a:000080',
  'a:80:80',
  ':80',
  'http://a',
  '[::1',
  '::1',
  '[::1]x',
  '[::g]',
  '[]',
  '[::1]:',
  '[fe80::1%eth0]',
  '%',
  '%4',
  '%zz',
  'a%',
  'a"b',
  'a<b',
  'a\\b',
  'a^b',
  'a`b',
  'a{b}',
  'a|b',
  '\xe9',
  'a, b',
  'a\tb',
  `${'h'.repeat(256)}`,
])
  add('RFC 9112 3.2', head('GET / HTTP/1.1', `Host: ${host}`), 'host_invalid');
add('RFC 9112 3.2', head('GET / HTTP/1.1'), 'host_missing');
add('RFC 9112 3.2', head('GET / HTTP/1.1', 'X: y'), 'host_missing');
add('RFC 9112 3.2', head('GET / HTTP/1.1', 'Host: a', 'Host: a'), 'host_repeated');
add('RFC 9112 3.2', head('GET / HTTP/1.1', 'Host: a', 'X: y', 'hOST: b'), 'host_repeated');
add('RFC 9112 3.2', head('GET / HTTP/1.0'), { host: '', httpVersion: '1.0' });
add('RFC 9112 3.2', head('GET / HTTP/1.0', 'Host: a', 'Host: b'), 'host_repeated');

// Content-Length
add('RFC 9112 6.2', post(['Content-Length: 3'], 'abc'), { body: 'abc' });
add('RFC 9112 6.2', post(['content-length:3'], 'abc'), { body: 'abc' });
add('RFC 9112 6.2', post(['Content-Length: 0'], ''), { body: '' });
add('RFC 9112 6.2', post(['Content-Length: 003'], 'abc'), { body: 'abc' });
add('RFC 9112 6.3', post([], ''), { body: '' });
add('RFC 9110 9.3.1', `${get('Content-Length: 2')}ab`, { method: 'GET', body: 'ab' });
add('RFC 9112 6.2', head('POST / HTTP/1.0', 'Content-Length: 2').concat('ab'), {
  body: 'ab',
  httpVersion: '1.0',
});
for (const value of [
  '',
  '+3',
  '-3',
  '3.0',
  '0x3',
  '3a',
  'a',
  '3 3',
  '3;',
  '3,',
  '3, 3',
  '3,3',
  '3, 4',
  '1e1',
  '١',
  '9007199254740992',
  '18446744073709551619',
  '99999999999999999999999999999999',
  `${'0'.repeat(40)}3`,
  '"3"',
  '3\t4',
  '\xb2',
])
  add(
    'RFC 9110 8.6',
    head('POST /p HTTP/1.1', 'Host: a', `Content-Length: ${value === '١' ? '\xd9\xa1' : value}`),
    'length_invalid',
  );
add('RFC 9112 6.3', post(['Content-Length: 3', 'Content-Length: 3'], 'abc'), 'length_repeated');
add('RFC 9112 6.3', post(['Content-Length: 3', 'Content-Length: 4'], 'abcd'), 'length_repeated');
add('RFC 9112 6.3', post(['Content-Length: 3', 'CONTENT-LENGTH: 0'], 'abc'), 'length_repeated');
add('RFC 9112 6.2', post(['Content_Length: 3'], ''), { body: '' });

// Transfer-Encoding
add('RFC 9112 6.1', chunked('0\r\n\r\n'), { body: '' });
add('RFC 9112 7', post(['Transfer-Encoding: CHUNKED'], '3\r\nabc\r\n0\r\n\r\n'), { body: 'abc' });
add('RFC 9112 6.1', post(['Transfer-Encoding: \tchunked '], '0\r\n\r\n'), { body: '' });
add('RFC 9112 6.1', post(['Transfer-Encoding: , chunked'], '0\r\n\r\n'), { body: '' });
add(
  'RFC 9112 6.1',
  post(['Transfer-Encoding: chunked', 'Content-Length: 3'], '0\r\n\r\n'),
  'length_with_coding',
);
add(
  'RFC 9112 6.1',
  post(['Content-Length: 0', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
  'length_with_coding',
);
add('RFC 9112 6.1', post(['Content-Length: x', 'Transfer-Encoding: x'], ''), 'length_with_coding');
add('RFC 9112 6.1', post(['Transfer-Encoding: gzip, chunked'], ''), 'coding_unsupported');
add('RFC 9112 6.1', post(['Transfer-Encoding: gzip;q=1, chunked'], ''), 'coding_unsupported');
add(
  'RFC 9112 6.1',
  post(['Transfer-Encoding: gzip', 'Transfer-Encoding: chunked'], ''),
  'coding_unsupported',
);
add('RFC 9112 6.1', post(['Transfer-Encoding: identity, chunked'], ''), 'coding_unsupported');
for (const value of [
  '',
  ',',
  'identity',
  'gzip',
  'xchunked',
  'chunkedx',
  'chunked;',
  'chunked;a=b',
  'chunked, gzip',
  'chunked, chunked',
  'chunked, identity',
  'chun ked',
  '"chunked"',
  "'chunked'",
  'chunked\x80',
  '\xa0chunked',
  'x:chunked',
  'chunked\t\xa0',
])
  add('RFC 9112 6.3', post([`Transfer-Encoding: ${value}`], ''), 'coding_invalid');
add(
  'RFC 9112 6.3',
  post(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
  'coding_invalid',
);
add(
  'RFC 9112 6.3',
  post(['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], '0\r\n\r\n'),
  'coding_invalid',
);
add('RFC 9110 5.5', post(['Transfer-Encoding: \x0bchunked'], '0\r\n\r\n'), 'field_value');
add(
  'RFC 9112 6.1',
  `${head('POST / HTTP/1.0', 'Host: a', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
  'coding_in_old_version',
);
add('RFC 9112 6.1', post(['Transfer_Encoding: chunked'], ''), { body: '' });

// Chunks
add('RFC 9112 7.1', chunked('3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n'), { body: 'abcdefg' });
add('RFC 9112 7.1', chunked('A\r\n0123456789\r\n0\r\n\r\n'), { body: '0123456789' });
add('RFC 9112 7.1', chunked('a\r\n0123456789\r\n000\r\n\r\n'), { body: '0123456789' });
add('RFC 9112 7.1', chunked('0000000000000003\r\nabc\r\n0\r\n\r\n'), { body: 'abc' });
add('RFC 9112 7.1', chunked('5\r\n\r\n0\r\n\r\n0\r\n\r\n'), { body: '\r\n0\r\n' });
add('RFC 9112 7.1', chunked('2\r\n\r\n\r\n0\r\n\r\n'), { body: '\r\n' });
for (const size of [
  '',
  ' 3',
  '\t3',
  '+3',
  '-3',
  '0x3',
  'g',
  '3_0',
  '3h',
  '00000000000000003',
  'fffffffffffffffff',
  'ffffffffffffffff',
  '20000000000000',
  '\xb3',
  '"3"',
  '3,',
  '.3',
])
  add('RFC 9112 7.1', chunked(`${size}\r\nabc\r\n0\r\n\r\n`), 'chunk_size');
add('RFC 9112 7.1.1', chunked('3 \r\nabc\r\n0\r\n\r\n'), 'chunk_extension');
add('RFC 9112 7.1.1', chunked('3\t\r\nabc\r\n0\r\n\r\n'), 'chunk_extension');
add('RFC 9112 2.2', chunked('3\nabc\r\n0\r\n\r\n'), 'bare_lf');
add('RFC 9112 2.2', chunked('3\r\rabc\r\n0\r\n\r\n'), 'bare_cr');
add('RFC 9112 7.1', chunked('3\r\nabcd\r\n0\r\n\r\n'), 'chunk_end');
add('RFC 9112 7.1', chunked('3\r\nabc\n0\r\n\r\n'), 'chunk_end');
add('RFC 9112 7.1', chunked('3\r\nabc\r0\r\n\r\n'), 'chunk_end');
add('RFC 9112 7.1', chunked('3\r\nabc0\r\n\r\n'), 'chunk_end');
add('RFC 9112 7.1', chunked('3\r\nabc\r\n\r\n'), 'chunk_size');
for (const extension of [
  ';a',
  ';a=b',
  '; a = b',
  ' ;a',
  ';a="b"',
  ';a="\\""',
  ';a=" ;\xe9"',
  ';a;b;c=d',
  ';a="" ;b',
])
  add('RFC 9112 7.1.1', chunked(`3${extension}\r\nabc\r\n0${extension}\r\n\r\n`), { body: 'abc' });
for (const extension of [
  ';',
  ';;',
  ';=b',
  ';a=',
  ';a="b',
  ';a="b"c',
  ';a b',
  ';a=b c',
  ';a="\x00"',
  ';(',
  ';a=(',
  ' a',
  '; \r',
  ';a\x00',
  ';a="\\\x01"',
  ';a=b;',
  ';a= ',
])
  add('RFC 9112 7.1.1', chunked(`3${extension}\r\nabc\r\n0\r\n\r\n`), 'chunk_extension');
for (const extension of [';\n', ';a\n', ';a=b\n', ';a="b"\n', ';a=\n', ' \n'])
  add('RFC 9112 2.2', chunked(`3${extension}abc\r\n0\r\n\r\n`), 'bare_lf');
add('RFC 9112 7.1.1', chunked(`3;${'a'.repeat(2000)}\r\nabc\r\n0\r\n\r\n`), 'chunk_extension_too_long');
add('RFC 9112 7.1.1', chunked(`3;a="${'b'.repeat(2000)}"\r\nabc\r\n0\r\n\r\n`), 'chunk_extension_too_long');
add(
  'RFC 9112 7.1.1',
  chunked(`${'1;aaaaaaaaaaaaaaa\r\nx\r\n'.repeat(80)}0\r\n\r\n`),
  'chunk_extension_too_long',
);

// Trailers
add('RFC 9112 7.1.2', chunked('0\r\nX-Sum: 1\r\nY: 2\r\n\r\n'), {
  body: '',
  trailers: ['x-sum', '1', 'y', '2'],
});
add('RFC 9112 7.1.2', chunked('1\r\na\r\n0\r\nX:\r\n\r\n'), { body: 'a', trailers: ['x', ''] });
add('RFC 9112 7.1.2', chunked('0\r\nX : 1\r\n\r\n'), 'space_before_colon');
add('RFC 9112 7.1.2', chunked('0\r\nX: 1\r\n 2\r\n\r\n'), 'obs_fold');
add('RFC 9112 7.1.2', chunked('0\r\n X: 1\r\n\r\n'), 'leading_space');
add('RFC 9112 7.1.2', chunked('0\r\nX\r\n\r\n'), 'field_name');
add('RFC 9112 7.1.2', chunked('0\r\nX: \0\r\n\r\n'), 'field_value');
add('RFC 9112 2.2', chunked('0\r\nX: 1\n\r\n'), 'bare_lf');
add('RFC 9112 2.2', chunked('0\r\n\n'), 'bare_lf');
add('RFC 9112 2.2', chunked('0\r\n\rX'), 'bare_cr');
for (const name of [
  'Transfer-Encoding',
  'Content-Length',
  'Host',
  'Connection',
  'Trailer',
  'TE',
  'Authorization',
  'X-API-Key',
  'Set-Cookie',
  'Content-Type',
])
  add('RFC 9110 6.5.1', chunked(`0\r\n${name}: 1\r\n\r\n`), 'trailer_forbidden');
add('RFC 6585 5', chunked(`0\r\nX: ${'a'.repeat(9000)}\r\n\r\n`), 'head_too_large');
add('RFC 6585 5', chunked(`0\r\n${'X: a\r\n'.repeat(33)}\r\n`), 'too_many_fields');

// Connection, Upgrade, Expect
add('RFC 9112 9.3', get('Connection: close'), { persistent: false });
add('RFC 9112 9.3', get('Connection: Close'), { persistent: false });
add('RFC 9112 9.3', get('Connection: keep-alive'), { persistent: true });
add('RFC 9112 9.3', get('Connection: keep-alive, close'), { persistent: false });
add('RFC 9112 9.3', get('Connection: keep-alive', 'Connection: x, close'), {
  persistent: false,
  connectionFields: ['x'],
});
add('RFC 9112 9.3', head('GET / HTTP/1.0', 'Host: a', 'Connection: keep-alive'), { persistent: true });
add('RFC 9112 9.3', head('GET / HTTP/1.0', 'Host: a', 'Connection: keep-alive, close'), {
  persistent: false,
});
add('RFC 9110 7.6.1', get('Connection: X-Drop, te ,,TE'), { connectionFields: ['x-drop', 'te', 'te'] });
add('RFC 9110 7.6.1', get('Connection:'), { persistent: true });
for (const value of [
  'a b',
  '"close"',
  'close;',
  'a=b',
  'cl\xf6se',
  'close, (',
  Array.from({ length: 40 }, () => 'x').join(','),
])
  add('RFC 9110 7.6.1', get(`Connection: ${value}`), 'connection_invalid');
for (const value of ['host', 'Content-Length', 'close, transfer-encoding'])
  add('RFC 9110 7.6.1', get(`Connection: ${value}`), 'connection_invalid');
add('RFC 9110 7.8', get('Connection: Upgrade', 'Upgrade: websocket'), { upgrade: 'websocket' });
add('RFC 9110 7.8', get('Connection: keep-alive, upgrade', 'Upgrade: a/1, b'), { upgrade: 'a/1' });
add('RFC 9110 7.8', get('Upgrade: websocket'), { upgrade: null });
add('RFC 9110 7.8', get('Connection: upgrade'), { upgrade: null });
add('RFC 9113 3.1', get('Connection: upgrade, http2-settings', 'Upgrade: h2c', 'HTTP2-Settings: AAA'), {
  upgrade: null,
  connectionFields: ['http2-settings'],
});
add('RFC 9110 7.8', post(['Connection: upgrade', 'Upgrade: x', 'Content-Length: 1'], 'a'), {
  upgrade: null,
  body: 'a',
});
add('RFC 9110 7.8', head('GET / HTTP/1.0', 'Host: a', 'Connection: upgrade', 'Upgrade: x'), {
  upgrade: null,
});
for (const value of ['', 'a b', 'a/', '/1', 'a/b/c', 'a;b', '('])
  add('RFC 9110 7.8', get('Connection: upgrade', `Upgrade: ${value}`), 'upgrade_invalid');
add('RFC 9110 10.1.1', post(['Expect: 100-continue', 'Content-Length: 1'], 'a'), {
  expectsContinue: true,
  body: 'a',
});
add('RFC 9110 10.1.1', post(['Expect: 100-Continue', 'Content-Length: 1'], 'a'), { expectsContinue: true });
add(
  'RFC 9110 10.1.1',
  `${head('POST / HTTP/1.0', 'Host: a', 'Expect: 100-continue', 'Content-Length: 1')}a`,
  { expectsContinue: false },
);
for (const value of ['', '200-ok', '100-continue, x', '100-continue;a'])
  add('RFC 9110 10.1.1', get(`Expect: ${value}`), 'expectation');
