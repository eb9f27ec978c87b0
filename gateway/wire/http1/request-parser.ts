import type { RequestHead } from '../request-head.ts';
import { parseAuthority } from './authority.ts';
import type { RequestFault } from './faults.ts';
import { type Cursor, type Reading, readFields } from './fields.ts';
import {
  type ConnectionOptions,
  isConnectionOption,
  parseConnection,
  parseContentLength,
  parseTransferEncoding,
  parseUpgrade,
} from './framing.ts';
import { type RequestLine, readRequestLine } from './request-line.ts';

export interface HeadLimits {
  /** Of the request line with its line end; beyond: 414. */
  readonly maxRequestLineBytes: number;
  /** Of the whole head with the empty line; beyond: 431. */
  readonly maxHeadBytes: number;
  readonly maxFields: number;
}

export const defaultHeadLimits: HeadLimits = {
  maxRequestLineBytes: 8192,
  maxHeadBytes: 32768,
  maxFields: 128,
};

const nothing = Buffer.alloc(0);

/** Above this many bytes at hand the end of the head is looked for first, so that a body is not decoded as text. */
const smallRead = 2048;

/**
 * Reads request heads (RFC 9112) from bytes that may be split anywhere; one head at a time, `begin` before each.
 * No sockets, no timers. After `complete` its fields hold the head and `consumed` says where the body begins.
 */
export class RequestParser implements Cursor, RequestLine, ConnectionOptions, RequestHead {
  readonly #limits: HeadLimits;
  bytes: Buffer = nothing;
  base = 0;
  text = '';
  position = 0;
  /** The offset in the chunk last read behind the head. */
  consumed = 0;
  #lineRead = false;

  method = '';
  /** Origin form; "*" for OPTIONS alone. */
  target = '';
  /** The authority of a target in absolute form, else null. */
  authority: string | null = null;
  httpVersion: '1.0' | '1.1' = '1.1';
  headers: string[] = [];
  host = '';
  /** -1 chunked, 0 none. */
  bodyLength = 0;
  upgrade: string | null = null;
  connectionFields: string[] | null = null;
  closeNamed = false;
  keepAliveNamed = false;
  upgradeNamed = false;
  expectsContinue = false;
  readonly secure: boolean;
  readonly remoteAddress: string;
  #lastHost: string | null = null;
  #lastHostParsed = '';

  /** `secure` and `remoteAddress` are those of the connection; they complete the head. */
  constructor(limits: HeadLimits = defaultHeadLimits, secure = false, remoteAddress = '') {
    this.#limits = limits;
    this.secure = secure;
    this.remoteAddress = remoteAddress;
  }

  /** Whether bytes of a head have been read that is not complete. */
  get started(): boolean {
    return this.text.length > 0;
  }

  begin(): void {
    this.bytes = nothing;
    this.text = '';
    this.position = 0;
    this.#lineRead = false;
    this.authority = null;
    this.headers = [];
    this.host = '';
    this.bodyLength = 0;
    this.upgrade = null;
    this.connectionFields = null;
    this.closeNamed = false;
    this.keepAliveNamed = false;
    this.upgradeNamed = false;
    this.expectsContinue = false;
  }

  /** Reads `chunk[start, end)`; a fault is final. */
  read(chunk: Buffer, start: number, end: number): Reading | RequestFault {
    const before = this.text.length;
    const limit = this.#limits.maxHeadBytes;
    let to = end - start > limit - before ? start + limit - before : end;
    if (to - start > smallRead) {
      const close = chunk.indexOf('\r\n\r\n', start, 'latin1');
      if (close >= 0 && close + 4 < to) to = close + 4;
    }
    if (before === 0) {
      this.bytes = chunk;
      this.base = start;
    } else {
      this.bytes = Buffer.concat([this.bytes, chunk.subarray(start, to)]);
      this.base = 0;
    }
    this.text = this.bytes.toString('latin1', this.base, before === 0 ? to : this.bytes.length);
    const reading = this.#parse();
    if (reading === 'complete') {
      this.consumed = start + this.position - before;
      this.text = '';
      this.bytes = nothing;
    } else if (reading === 'partial') {
      if (this.text.length >= limit) return this.#lineRead ? 'head_too_large' : 'target_too_long';
      // The chunk is not ours to keep.
      if (before === 0) this.bytes = Buffer.from(chunk.subarray(start, to));
    }
    return reading;
  }

  #parse(): Reading | RequestFault {
    if (!this.#lineRead) {
      const reading = readRequestLine(this, this, this.#limits.maxRequestLineBytes);
      if (reading !== 'complete') return reading;
      this.#lineRead = true;
    }
    const reading = readFields(this, this.headers, this.#limits.maxFields);
    return reading === 'complete' ? this.#interpret() : reading;
  }

  #interpret(): Reading | RequestFault {
    const headers = this.headers;
    let hostAt = -1;
    let length: string | null = null;
    let coding: string | null = null;
    let upgrade: string | null = null;
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i]!;
      switch (name.length) {
        case 4:
          if (name !== 'host') break;
          if (hostAt >= 0) return 'host_repeated';
          hostAt = i + 1;
          break;
        case 6:
          if (name !== 'expect' || this.httpVersion === '1.0') break;
          if (headers[i + 1]!.toLowerCase() !== '100-continue') return 'expectation';
          this.expectsContinue = true;
          break;
        case 7:
          if (name === 'upgrade')
            upgrade = upgrade === null ? headers[i + 1]! : `${upgrade}, ${headers[i + 1]}`;
          break;
        case 10:
          if (name === 'connection' && !parseConnection(headers[i + 1]!, this)) return 'connection_invalid';
          break;
        case 14:
          if (name !== 'content-length') break;
          if (length !== null) return 'length_repeated';
          length = headers[i + 1]!;
          break;
        case 17:
          if (name === 'transfer-encoding')
            coding = coding === null ? headers[i + 1]! : `${coding}, ${headers[i + 1]}`;
          break;
      }
    }
    const hostFault = this.#readHost(hostAt);
    if (hostFault !== null) return hostFault;
    if (coding !== null) {
      if (length !== null) return 'length_with_coding';
      if (this.httpVersion === '1.0') return 'coding_in_old_version';
      const parsed = parseTransferEncoding(coding);
      if (parsed !== 'chunked') return parsed === 'invalid' ? 'coding_invalid' : 'coding_unsupported';
      this.bodyLength = -1;
    } else if (length !== null) {
      this.bodyLength = parseContentLength(length);
      if (this.bodyLength < 0) return 'length_invalid';
    }
    if (this.connectionFields !== null && !this.connectionFields.every(isConnectionOption))
      return 'connection_invalid';
    if (upgrade !== null) return this.#readUpgrade(upgrade);
    return 'complete';
  }

  #readHost(at: number): RequestFault | null {
    if (at < 0) {
      if (this.httpVersion === '1.1') return 'host_missing';
      this.host = this.authority ?? '';
      return null;
    }
    const value = this.headers[at]!;
    if (value !== this.#lastHost) {
      const parsed = parseAuthority(value);
      if (parsed === null) return 'host_invalid';
      this.#lastHost = value;
      this.#lastHostParsed = parsed;
    }
    this.host = this.#lastHostParsed;
    this.headers[at] = this.#lastHostParsed;
    return this.authority !== null && this.authority !== this.host ? 'host_mismatch' : null;
  }

  /** HTTP/1.0 has no Upgrade; with a body, and to HTTP/2, it is not taken up (RFC 9110 section 7.8, RFC 9113 3.1). */
  #readUpgrade(value: string): Reading | RequestFault {
    const protocol = parseUpgrade(value);
    if (protocol === null) return 'upgrade_invalid';
    if (this.upgradeNamed && this.httpVersion === '1.1' && this.bodyLength === 0) {
      if (protocol.toLowerCase() !== 'h2c') this.upgrade = protocol;
    }
    return 'complete';
  }
}
