import { parseAuthority } from '../http1/authority.ts';
import type { RequestFault } from '../http1/faults.ts';
import { parseContentLength } from '../http1/framing.ts';
import { isToken } from '../http1/grammar.ts';
import { parseTarget } from '../http1/request-line.ts';
import type { RequestHead } from '../request-head.ts';

export interface Http2Head extends RequestHead {
  readonly expectsContinue: boolean;
}

/**
 * The head of an HTTP/2 request (RFC 9113 section 8.3). Framing, field syntax and pseudo-fields have been checked by
 * node:http2; what HTTP/1 would refuse in method, target and authority is refused here too.
 */
export function readHttp2Head(
  raw: readonly string[],
  endOfStream: boolean,
  secure: boolean,
  remoteAddress: string,
): Http2Head | RequestFault {
  let method = '';
  let target = '';
  let authority: string | null = null;
  let hostField: string | null = null;
  let length = -1;
  let cookies: string | null = null;
  let expectsContinue = false;
  const headers: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    const value = raw[i + 1]!;
    switch (name) {
      case ':method':
        method = value;
        continue;
      case ':path':
        target = value;
        continue;
      case ':authority':
        authority = value;
        continue;
      case 'host':
        if (hostField !== null) return 'host_repeated';
        hostField = value;
        continue;
      case 'cookie':
        // A client may split Cookie for compression (section 8.2.3).
        cookies = cookies === null ? value : `${cookies}; ${value}`;
        continue;
      case 'content-length':
        length = parseContentLength(value);
        if (length < 0) return 'length_invalid';
        break;
      case 'expect':
        if (value.toLowerCase() !== '100-continue') return 'expectation';
        expectsContinue = true;
        break;
    }
    if (!name.startsWith(':')) headers.push(name, value);
  }
  if (!isToken(method)) return 'request_line';
  if (method === 'CONNECT' || method === 'TRACE') return 'method_unsupported';
  const line = { method, target, authority: null as string | null, httpVersion: '1.1' as const };
  const reading = parseTarget(line);
  if (reading !== 'complete') return reading;
  const named = authority ?? hostField;
  if (named === null) return 'host_missing';
  const host = parseAuthority(named);
  if (host === null) return 'host_invalid';
  if (authority !== null && hostField !== null && authority !== hostField) return 'host_mismatch';
  headers.unshift('host', host);
  if (cookies !== null) headers.push('cookie', cookies);
  const bodyLength = endOfStream ? 0 : length;
  return {
    ...{ method, target: line.target, headers, host, secure, remoteAddress, bodyLength, expectsContinue },
    httpVersion: '2',
    upgrade: null,
    connectionFields: null,
  };
}
