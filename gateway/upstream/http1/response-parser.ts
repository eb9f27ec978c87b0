import type { ResponseFault } from '../../wire/http1/faults.ts';
import { type Cursor, type Reading, readFields } from '../../wire/http1/fields.ts';
import {
  type ConnectionOptions,
  parseConnection,
  parseContentLength,
  parseTransferEncoding,
} from '../../wire/http1/framing.ts';
import { fieldByte } from '../../wire/http1/grammar.ts';

/** How the end of a response body is found (RFC 9112 section 6.3). */
export type BodyFraming = 'none' | 'length' | 'chunked' | 'close';

const maxHeadBytes = 65536;
const maxFields = 256;
const smallRead = 2048;
const nothing = Buffer.alloc(0);
const versionText = Buffer.from('HTTP/1.', 'latin1');

const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;

/**
 * Reads response heads (RFC 9112 section 4) from bytes that may be split anywhere; `begin` before each response, and
 * before the head that follows an interim one. Stricter than the RFC obliges: whatever could be read in two ways
 * is a fault. No sockets, no timers.
 */
export class ResponseParser implements Cursor, ConnectionOptions {
  bytes: Buffer = nothing;
  base = 0;
  text = '';
  position = 0;
  /** The offset in the chunk last read behind the head. */
  consumed = 0;
  #lineRead = false;
  #method = 'GET';
  #upgradeAsked = false;

  status = 0;
  minorVersion = 1;
  /** Flat, lower-case names, without hop-by-hop and framing fields. */
  headers: string[] = [];
  framing: BodyFraming = 'none';
  /** As stated by Content-Length, also where no body follows (HEAD, 304); -1 when unknown. */
  bodyLength = -1;
  closeNamed = false;
  keepAliveNamed = false;
  upgradeNamed = false;
  connectionFields: string[] | null = null;
  /** From `Keep-Alive: timeout=`; -1 when not stated. */
  keepAliveSeconds = -1;

  get started(): boolean {
    return this.text.length > 0;
  }

  /** Whether the connection may carry another request after this response. */
  get persistent(): boolean {
    if (this.closeNamed || this.framing === 'close') return false;
    return this.minorVersion === 1 || this.keepAliveNamed;
  }

  /** `method` is that of the request; 101 is a fault unless `upgradeAsked`. */
  begin(method: string, upgradeAsked: boolean): void {
    this.#method = method;
    this.#upgradeAsked = upgradeAsked;
    this.bytes = nothing;
    this.text = '';
    this.position = 0;
    this.#lineRead = false;
    this.headers = [];
    this.framing = 'none';
    this.bodyLength = -1;
    this.closeNamed = false;
    this.keepAliveNamed = false;
    this.upgradeNamed = false;
    this.connectionFields = null;
    this.keepAliveSeconds = -1;
  }

  /** Reads `chunk[start, end)`; a fault is final. */
  read(chunk: Buffer, start: number, end: number): Reading | ResponseFault {
    const before = this.text.length;
    let to = end - start > maxHeadBytes - before ? start + maxHeadBytes - before : end;
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
      if (this.text.length >= maxHeadBytes) return 'head_too_large';
      // The chunk is not ours to keep.
      if (before === 0) this.bytes = Buffer.from(chunk.subarray(start, to));
    }
    return reading;
  }

  #parse(): Reading | ResponseFault {
    if (!this.#lineRead) {
      const reading = this.#readStatusLine();
      if (reading !== 'complete') return reading;
      this.#lineRead = true;
    }
    const reading = readFields(this, this.headers, maxFields);
    return reading === 'complete' ? this.#interpret() : reading;
  }

  /** HTTP-version SP 3DIGIT [SP reason-phrase] CRLF: the space before a missing phrase may be missing too. */
  #readStatusLine(): Reading | ResponseFault {
    const { bytes, base } = this;
    const length = base + this.text.length;
    for (let i = 0; i < 12; i++) {
      if (base + i >= length) return 'partial';
      const code = bytes[base + i]!;
      let fits: boolean;
      if (i < 7) fits = code === versionText[i];
      else if (i === 7) fits = code === 0x30 || code === 0x31;
      else if (i === 8) fits = code === SP;
      else if (i === 9) fits = code >= 0x31 && code <= 0x39;
      else fits = code >= 0x30 && code <= 0x39;
      if (!fits) return 'status_line';
    }
    let at = base + 12;
    if (at === length) return 'partial';
    if (bytes[at] !== CR && bytes[at] !== SP) return 'status_line';
    while (at < length && fieldByte[bytes[at]!] === 1) at++;
    if (at === length) return 'partial';
    if (bytes[at] !== CR) return bytes[at] === LF ? 'bare_lf' : 'status_line';
    if (at + 1 === length) return 'partial';
    if (bytes[at + 1] !== LF) return 'bare_cr';
    this.minorVersion = bytes[base + 7]! - 0x30;
    this.status =
      (bytes[base + 9]! - 0x30) * 100 + (bytes[base + 10]! - 0x30) * 10 + bytes[base + 11]! - 0x30;
    this.position = at + 2 - base;
    return this.status > 599 ? 'status_code' : 'complete';
  }

  #interpret(): Reading | ResponseFault {
    const headers = this.headers;
    let kept = 0;
    let length: string | null = null;
    let coding: string | null = null;
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i]!;
      const value = headers[i + 1]!;
      switch (name.length) {
        case 2:
          if (name === 'te') continue;
          break;
        case 7:
          if (name === 'upgrade' && this.status !== 101) continue;
          if (name === 'trailer') continue;
          break;
        case 10:
          if (name === 'connection') {
            if (!parseConnection(value, this)) return 'connection_invalid';
            continue;
          }
          if (name === 'keep-alive') {
            this.keepAliveSeconds = parseKeepAlive(value);
            continue;
          }
          break;
        case 14:
          if (name !== 'content-length') break;
          if (length !== null) return 'length_repeated';
          length = value;
          continue;
        case 16:
          if (name === 'proxy-connection') continue;
          break;
        case 18:
          if (name === 'proxy-authenticate') continue;
          break;
        case 17:
          if (name !== 'transfer-encoding') break;
          coding = coding === null ? value : `${coding}, ${value}`;
          continue;
      }
      headers[kept++] = name;
      headers[kept++] = value;
    }
    headers.length = kept;
    if (this.connectionFields !== null) removeNamed(headers, this.connectionFields, this.status === 101);
    return this.#frame(length, coding);
  }

  #frame(length: string | null, coding: string | null): Reading | ResponseFault {
    if (length !== null) {
      this.bodyLength = parseContentLength(length);
      if (this.bodyLength < 0) return 'length_invalid';
    }
    if (coding !== null) {
      if (length !== null) return 'length_with_coding';
      if (this.minorVersion === 0) return 'coding_in_old_version';
      const parsed = parseTransferEncoding(coding);
      if (parsed !== 'chunked') return parsed === 'invalid' ? 'coding_invalid' : 'coding_unsupported';
    }
    const status = this.status;
    if (status < 200) {
      if (status === 101 && !(this.#upgradeAsked && this.upgradeNamed)) return 'unasked_upgrade';
      if (coding !== null || this.bodyLength > 0)
        return coding !== null ? 'coding_invalid' : 'length_invalid';
    } else if (status === 204) {
      if (coding !== null || this.bodyLength > 0)
        return coding !== null ? 'coding_invalid' : 'length_invalid';
      this.bodyLength = 0;
    } else if (this.#method !== 'HEAD' && status !== 304) {
      if (coding !== null) this.framing = 'chunked';
      else if (length === null) this.framing = 'close';
      else if (this.bodyLength > 0) this.framing = 'length';
    }
    return 'complete';
  }
}

function removeNamed(headers: string[], names: readonly string[], keepUpgrade: boolean): void {
  let kept = 0;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    if (names.includes(name) && !(keepUpgrade && name === 'upgrade')) continue;
    headers[kept++] = name;
    headers[kept++] = headers[i + 1]!;
  }
  headers.length = kept;
}

function parseKeepAlive(value: string): number {
  const found = /(?:^|[,\s])timeout\s*=\s*"?(\d{1,6})/i.exec(value);
  return found === null ? -1 : Number(found[1]);
}
