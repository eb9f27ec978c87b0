import type { RequestFault } from '../../../../gateway/wire/http1/faults.ts';
import { type NodeRequest, readWithNode } from './node-reader.ts';
import type { Random } from './request-generator.ts';
import { type ReadRequest, RequestReader } from './request-reader.ts';

/**
 * Where Tollgate refuses what node:http's parser lets pass, and why. A fault that is not listed must be shared: node
 * refuses these too, so that a disagreement about them is a bug of one of the two.
 */
export const stricter: Partial<Record<RequestFault, string>> = {
  host_missing: 'node:http checks Host above its parser, and only that there is one',
  host_repeated: 'node:http keeps the first Host',
  host_invalid: 'node:http does not look at the value of Host',
  host_mismatch: 'node:http does not compare Host and an absolute-form target',
  target_invalid:
    'node:http takes any target without spaces and controls, broken percent-encodings and fragments included',
  target_too_long: 'node:http has one limit for the whole head',
  too_many_fields: 'node:http cuts the list off above its parser',
  head_too_large: 'limits differ',
  request_line:
    'node:http passes over any number of empty lines before a request, we over one (RFC 9112 2.2)',
  method_unsupported: 'CONNECT and TRACE end at a gateway',
  version_unsupported: 'node:http accepts HTTP/0.9 and HTTP/2.0 in a request line',
  version_invalid: 'node:http passes over more than one space before the version',
  bare_cr: 'node:http lets a lone CR stand before a request line',
  bare_lf: 'node:http lets a lone LF stand before a request line and end one of HTTP/0.9',
  length_invalid: 'node:http takes lengths beyond 2^53-1, and any number of leading zeros',
  coding_invalid:
    'node:http takes a list whose codings it does not know for a body up to the end, or leaves it to its user',
  coding_unsupported:
    'node:http leaves codings below chunked to its user; a gateway that does not decode them refuses (RFC 9112 6.1)',
  coding_in_old_version: 'node:http honours Transfer-Encoding in HTTP/1.0',
  connection_invalid: 'node:http does not check the grammar of Connection',
  upgrade_invalid: 'node:http does not check the grammar of Upgrade',
  expectation: 'node:http leaves Expect to its user',
  chunk_extension: 'node:http takes extensions without a name or a value',
  chunk_extension_too_long: 'node:http bounds extensions elsewhere',
  trailer_forbidden: 'node:http lets any trailer field pass',
  chunk_size: 'node:http takes chunks beyond 2^53-1',
};

/** Where node:http's parser refuses what Tollgate lets pass, and why. */
export const laxer: Record<string, string> = {
  HPE_INVALID_METHOD: 'a method is any token (RFC 9110 9.1); node:http knows a list',
  HPE_INVALID_URL: 'the query may hold what the URL standard leaves unencoded',
  HPE_INVALID_CONTENT_LENGTH:
    'node:http refuses before the head has ended; here a head is judged when it is whole',
  HPE_UNEXPECTED_CONTENT_LENGTH:
    'node:http refuses before the head has ended; here a head is judged when it is whole',
  HPE_INVALID_TRANSFER_ENCODING:
    'node:http refuses before the head has ended; here a head is judged when it is whole',
  HPE_INVALID_CHUNK_SIZE: 'white space before a chunk extension is to be read (BWS, RFC 9112 7.1.1)',
  HPE_STRICT: 'white space around the parts of a chunk extension is to be read (BWS, RFC 9112 7.1.1)',
};

export interface Disagreement {
  readonly kind: 'stricter' | 'laxer' | 'different';
  /** The fault, node's error code, or what differs. */
  readonly detail: string;
}

/** Reads `bytes` in random pieces. */
function readOwn(bytes: Buffer, random: Random): RequestReader {
  const reader = new RequestReader();
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + random.below(random.below(2) === 0 ? 8 : bytes.length));
    reader.feed(bytes.subarray(at, end));
    at = end;
  }
  return reader;
}

/** Null: both read the same requests and stop in the same way. */
export function compare(bytes: Buffer, random: Random): Disagreement | null {
  const own = readOwn(bytes, random);
  const node = readWithNode(bytes);
  const whole = node.requests.filter(({ complete }) => complete);
  const shared = Math.min(own.requests.length, whole.length);
  for (let i = 0; i < shared; i++) {
    const detail = difference(own.requests[i]!, whole[i]!);
    if (detail !== null) return { kind: 'different', detail };
    // What follows belongs to another protocol, or to nobody: the two stop here in different ways.
    if (whole[i]!.upgrade || !own.requests[i]!.persistent) return null;
  }
  if (node.requests[own.requests.length]?.upgrade) return null;
  if (node.error !== null && whole.length < own.requests.length) return { kind: 'laxer', detail: node.error };
  if (own.fault !== null) {
    if (node.error !== null && whole.length === own.requests.length) return null;
    return { kind: 'stricter', detail: own.fault };
  }
  if (node.error !== null) return { kind: 'laxer', detail: node.error };
  return own.requests.length === whole.length ? null : { kind: 'different', detail: 'number of requests' };
}

function difference(own: ReadRequest, node: NodeRequest): string | null {
  if (own.method !== node.method) return 'method';
  if (own.httpVersion !== node.httpVersion) return 'version';
  if (own.target !== node.target && !/^https?:/i.test(node.target)) return 'target';
  if (own.body !== node.body) return 'body';
  if (!sameFields(own.headers ?? [], node.headers)) return 'headers';
  if (!sameFields(own.trailers ?? [], node.trailers)) return 'trailers';
  return null;
}

/** Host is normalized to lower case here. */
function sameFields(own: readonly string[], node: readonly string[]): boolean {
  if (own.length !== node.length) return false;
  return own.every(
    (text, i) => text === node[i] || (own[i - 1] === 'host' && text === node[i]!.toLowerCase()),
  );
}
